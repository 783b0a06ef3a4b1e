package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// command reads a command line and does what it says. colour says that stdout is a terminal.
func command(ctx context.Context, args []string, stdout, stderr io.Writer, colour bool) error {
	app := newApp(stdout, stderr)
	app.Metadata["colour"] = colour
	if args[len(args)-1] != completionFlag {
		var err error
		if args, err = arrange(app, args); errors.Is(err, errNoVerb) {
			app.Writer = stderr
			return errors.Join(helpOf(app, nil), err)
		} else if err != nil {
			return err
		}
	} else {
		app.Metadata["words"] = args[1 : len(args)-1]
	}
	return app.RunContext(ctx, args)
}

// completionFlag is what completion scripts put at the end of a line to ask for what may stand there.
const completionFlag = "--generate-bash-completion"

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
		EnableBashCompletion:      true,
		BashComplete:              completeVerbs,
		HideHelpCommand:           true, // ours is a verb like the others
		DisableSliceFlagSeparator: true, // a comma belongs to the text
		CustomAppHelpTemplate:     appHelp,
		ExitErrHandler:            func(*cli.Context, error) {}, // main alone exits
		Action:                    func(c *cli.Context) error { return helpOf(c.App, nil) },
	}
	app.OnUsageError = badValue(app.Flags)
	for _, v := range verbs() {
		app.Commands = append(app.Commands, v.command())
	}
	app.Setup()
	return app
}

const appHelp = `{{.Name}}: {{.Usage}}

usage:
  onnx-inject VERB [arguments and flags, in any order]

verbs:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}

flags of every verb:{{range .VisibleFlags}}
  {{.}}{{end}}

MODEL is an ONNX file, or a folder that holds one with config.json and the files of its tokenizer.
LAYERS is all, 7, 0-3,7 or -1 (the last).

example:
  onnx-inject demo
`

const verbHelp = `usage:
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

func helpVerb() *verb {
	return &verb{
		name: "help", args: "[VERB] [PART]", usage: "what a verb does, with an example",
		doc:     "Prints the verbs, or the flags of one with an example that works.",
		example: "onnx-inject help run",
		run:     func(c *call) error { return helpOf(c.App, c.args) },
	}
}

// completeVerbs prints what may stand in the place of a verb.
func completeVerbs(c *cli.Context) {
	words, _ := c.App.Metadata["words"].([]string)
	if len(words) > 0 && strings.HasPrefix(words[len(words)-1], "-") {
		completeFlags(c, words[len(words)-1], c.App.Flags)
		return
	}
	for _, v := range c.App.VisibleCommands() {
		fmt.Fprintln(c.App.Writer, v.Name)
	}
}

// complete prints what may stand next in a verb: the words that a flag takes, flags, or parts. Where it prints nothing, shells
// offer files.
func (v *verb) complete(c *cli.Context) {
	words, _ := c.App.Metadata["words"].([]string)
	last := words[len(words)-1]
	if !strings.HasPrefix(last, "-") {
		for _, p := range v.parts {
			fmt.Fprintln(c.App.Writer, p.name)
		}
		return
	}
	if f, ok := find(v.flags, strings.TrimLeft(last, "-")).(*cli.GenericFlag); ok {
		if words, ok := f.Value.(*choice); ok {
			fmt.Fprintln(c.App.Writer, strings.Join(words.from, "\n"))
		}
		return
	}
	completeFlags(c, last, slices.Concat(v.flags, []cli.Flag{cli.HelpFlag}, c.App.Flags))
}

func completeFlags(c *cli.Context, typed string, flags []cli.Flag) {
	var names []string
	for _, f := range flags {
		if name := dashed(f.Names()[0]); strings.HasPrefix(name, typed) && !slices.Contains(names, name) {
			names = append(names, name)
			fmt.Fprintln(c.App.Writer, name)
		}
	}
}
