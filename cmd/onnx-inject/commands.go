package main

// verbs is the table of the command line: to add a verb, write a file with a function like these and name it here. Help shows
// the verbs in this order.
func commands() []*command {
	return []*command{
		demoCommand(),       // the built-in model: see the effect without a download
		inspectCommand(),    // what a file is, and what can be reached in it
		rewriteCommand(),    // write a patched copy
		runCommand(),        // one prompt before and after a memory
		evalCommand(),       // every cell of prompts x layers x taus
		reportCommand(),     // results as pictures and tables
		lensCommand(),       // what attention heads write, as words
		verifyCommand(),     // is the patched copy the original, when tau is 0?
		encodeCommand(),     // a memory as a file
		tokensCommand(),     // a text as tokens
		pullCommand(),       // a model folder from the hub
		ortCommand(),        // the ONNX Runtime library
		completionCommand(), // for shells
		manCommand(),        // the manual page
		versionCommand(),    // what this program was built from
		helpCommand(),       // this table
	}
}
