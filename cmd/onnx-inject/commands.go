package main

// commands is the table of the command line. To add a command, write a file with a function like these and add it here. Help
// lists the commands in this order.
func commands() []*command {
	return []*command{
		demoCommand(),
		inspectCommand(),
		rewriteCommand(),
		runCommand(),
		generateCommand(),
		evalCommand(),
		captureCommand(),
		reportCommand(),
		lensCommand(),
		probeCommand(),
		verifyCommand(),
		encodeCommand(),
		tokensCommand(),
		pullCommand(),
		ortCommand(),
		completionCommand(),
		manCommand(),
		versionCommand(),
		helpCommand(),
	}
}
