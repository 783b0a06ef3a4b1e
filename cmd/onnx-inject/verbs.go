package main

// verbs is the table of the command line: to add a verb, write a file with a function like these and name it here. Help shows
// the verbs in this order.
func verbs() []*verb {
	return []*verb{
		inspectVerb(), // what a file is, and what can be reached in it
		versionVerb(), // what this program was built from
		helpVerb(),    // this table
	}
}
