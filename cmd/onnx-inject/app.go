package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/urfave/cli/v2"
)

// execute parses a command line and runs its command, which prints its results to stdout.
func (p process) execute(ctx context.Context, args []string, stdout io.Writer) error {
	app := newApp(stdout, p.stderr)
	app.Metadata["process"] = p
	if len(args) > 2 && args[1] == completeWord {
		complete(app, args[2:len(args)-1], args[len(args)-1])
		return nil
	}
	args, err := arrange(app, args)
	switch {
	case errors.Is(err, errNoCommand):
		app.Writer = p.stderr
		return errors.Join(helpOf(app, nil), err)
	case err != nil:
		return err
	}
	return app.RunContext(ctx, args)
}

// newApp converts the table of commands to the form that the command-line library needs.
func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:      "onnx-inject",
		HelpName:  "onnx-inject",
		Usage:     "inspect, patch and steer decoder language models in ONNX files",
		Version:   version(),
		Writer:    stdout,
		ErrWriter: stderr,
		Metadata:  map[string]any{},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "ort-lib", Usage: "load the ONNX Runtime library at `PATH` (default: see ort which)", TakesFile: true},
			cli.HelpFlag,
		},
		HideHelpCommand:           true, // ours is a command like the others
		DisableSliceFlagSeparator: true, // a comma is part of the value
		CustomAppHelpTemplate:     appHelp,
		ExitErrHandler:            func(*cli.Context, error) {}, // only main exits
		Action:                    func(c *cli.Context) error { return helpOf(c.App, nil) },
	}
	app.OnUsageError = badValue(app.Flags)
	for _, cmd := range commands() {
		app.Commands = append(app.Commands, cmd.cliCommand())
	}
	app.Setup()
	return app
}

// appWords describes what all commands have in common.
const appWords = `MODEL is an ONNX file, or a folder with an ONNX file, config.json and the tokenizer's files.
LAYERS is all, 7, 0-3,7 or -1 (the last). Flags that take a list can be repeated.
`

const appHelp = `{{.Name}}: {{.Usage}}

usage:
  onnx-inject COMMAND [arguments and flags, in any order]

commands:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}

flags of every command:{{range .VisibleFlags}}
  {{.}}{{end}}

` + appWords + `
example:
  onnx-inject demo
`

const commandHelp = `usage:
  {{.UsageText}}

{{.Description}}
{{if .VisibleCommands}}
commands:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}
{{end}}
flags:{{range .VisibleFlags}}
  {{.}}{{end}}
`

// helpOf prints the help of the program, or of a command or subcommand.
func helpOf(app *cli.App, path []string) error {
	if len(path) == 0 {
		cli.HelpPrinter(app.Writer, appHelp, app)
		return nil
	}
	var c *cli.Command
	for commands := app.Commands; len(path) > 0; path = path[1:] {
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(path[0]) })
		if i < 0 {
			var names []string
			for _, c := range commands {
				names = append(names, c.Name)
			}
			return didYouMean(usagef("help: unknown command %s", quote(path[0])), path[0], names)
		}
		c = commands[i]
		commands = c.Subcommands
	}
	cli.HelpPrinter(app.Writer, c.CustomHelpTemplate, c)
	return nil
}

func helpCommand() *command {
	return &command{
		name: "help", args: "[COMMAND] [SUBCOMMAND]", usage: "show help for a command",
		doc:     "Lists the commands, or describes one command: its flags, and an example that works.",
		example: "onnx-inject help run",
		run:     func(c *call) error { return helpOf(c.App, c.args) },
	}
}
