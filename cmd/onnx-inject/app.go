package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/urfave/cli/v2"
)

// execute reads a command line and does what it says. colour says that stdout is a terminal.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer, colour bool) error {
	app := newApp(stdout, stderr)
	app.Metadata["colour"] = colour
	if len(args) > 2 && args[1] == completeWord {
		complete(app, args[2:len(args)-1], args[len(args)-1])
		return nil
	}
	args, err := arrange(app, args)
	switch {
	case errors.Is(err, errNoCommand):
		app.Writer = stderr
		return errors.Join(helpOf(app, nil), err)
	case err != nil:
		return err
	}
	return app.RunContext(ctx, args)
}

// newApp makes the library's form of the table of verbs.
func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:      "onnx-inject",
		HelpName:  "onnx-inject",
		Usage:     "open GPT-2 models in ONNX files, and inject memories into their attention",
		Version:   version(),
		Writer:    stdout,
		ErrWriter: stderr,
		Metadata:  map[string]any{},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "ort-lib", Usage: "load the ONNX Runtime library at `PATH` (default: see ort which)", TakesFile: true},
			cli.HelpFlag,
		},
		HideHelpCommand:           true, // ours is a verb like the others
		DisableSliceFlagSeparator: true, // a comma belongs to the text
		CustomAppHelpTemplate:     appHelp,
		ExitErrHandler:            func(*cli.Context, error) {}, // main alone exits
		Action:                    func(c *cli.Context) error { return helpOf(c.App, nil) },
	}
	app.OnUsageError = badValue(app.Flags)
	for _, cmd := range commands() {
		app.Commands = append(app.Commands, cmd.cliCommand())
	}
	app.Setup()
	return app
}

// appWords tells what all verbs have in common.
const appWords = `MODEL is an ONNX file, or a folder that holds one with config.json and the files of its tokenizer.
LAYERS is all, 7, 0-3,7 or -1 (the last). Flags that take a list may stand several times.
`

const appHelp = `{{.Name}}: {{.Usage}}

usage:
  onnx-inject VERB [arguments and flags, in any order]

verbs:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}

flags of every verb:{{range .VisibleFlags}}
  {{.}}{{end}}

` + appWords + `
example:
  onnx-inject demo
`

const commandHelp = `usage:
  {{.UsageText}}

{{.Description}}
{{if .VisibleCommands}}
verbs:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}
{{end}}
flags:{{range .VisibleFlags}}
  {{.}}{{end}}
`

// helpOf prints the help of the program, or of a verb and its parts.
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
			return didYouMean(usagef("help: unknown verb %s", quote(path[0])), path[0], names)
		}
		c = commands[i]
		commands = c.Subcommands
	}
	cli.HelpPrinter(app.Writer, c.CustomHelpTemplate, c)
	return nil
}

func helpCommand() *command {
	return &command{
		name: "help", args: "[VERB] [PART]", usage: "what a verb does, with an example",
		doc:     "Prints the verbs, or the flags of one with an example that works.",
		example: "onnx-inject help run",
		run:     func(c *call) error { return helpOf(c.App, c.args) },
	}
}
