package main

// verbs is the table of the command line: to add a verb, write a file with a function like these and name it here. Help shows
// the verbs in this order.
func verbs() []*verb {
	return []*verb{
		demoVerb(),       // the built-in model: see the effect without a download
		inspectVerb(),    // what a file is, and what can be reached in it
		rewriteVerb(),    // write a patched copy
		runVerb(),        // one prompt before and after a memory
		evalVerb(),       // every cell of prompts x layers x taus
		reportVerb(),     // results as pictures and tables
		lensVerb(),       // what attention heads write, as words
		verifyVerb(),     // is the patched copy the original, when tau is 0?
		encodeVerb(),     // a memory as a file
		tokensVerb(),     // a text as tokens
		pullVerb(),       // a model folder from the hub
		ortVerb(),        // the ONNX Runtime library
		completionVerb(), // for shells
		manVerb(),        // the manual page
		versionVerb(),    // what this program was built from
		helpVerb(),       // this table
	}
}
