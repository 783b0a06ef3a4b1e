package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/isolate"
)

// command is one command of the program: its name, its arguments and flags, and its function.
type command struct {
	name    string
	args    string // names of the arguments, "MODEL"; one in brackets is optional, one with … can be repeated
	need    string // required flags, "-o OUT"
	usage   string // one line
	doc     string // paragraphs for -h
	example string // works when pasted after `onnx-inject demo` has run
	flags   []cli.Flag
	run     func(*call) error
	parts   []*command // subcommands, in place of run
}

// call is one invocation of a command.
type call struct {
	*cli.Context
	ctx   context.Context
	args  []string // as many as command.args allows
	out   *printer // results
	err   io.Writer
	child *isolate.Child // nil unless this process runs a model for another one
}

// processOf returns the process of an invocation.
func processOf(app *cli.App) process {
	p, _ := app.Metadata["process"].(process)
	return p
}

// note prints a message that is not a result.
func (c *call) note(format string, args ...any) { say(c.err, format, args...) }

// cliCommand converts the command to the form of the command-line library.
func (cmd *command) cliCommand() *cli.Command {
	c := &cli.Command{
		Name: cmd.name, Usage: cmd.usage, ArgsUsage: cmd.args, Description: strings.TrimSpace(cmd.doc), Flags: append(slices.Clone(cmd.flags), cli.HelpFlag), UsageText: cmd.usageText("onnx-inject"),
		HideHelpCommand: true, CustomHelpTemplate: commandHelp + cmd.exampleText(), OnUsageError: badValue(cmd.flags),
	}
	for _, p := range cmd.parts {
		sub := p.cliCommand()
		sub.UsageText = p.usageText("onnx-inject " + cmd.name)
		c.Subcommands = append(c.Subcommands, sub)
	}
	c.Action = func(cc *cli.Context) error {
		if cmd.run == nil {
			return cmd.wantPart()
		}
		x := &call{Context: cc, ctx: cc.Context, args: cc.Args().Slice(), out: newPrinter(cc.App), err: cc.App.ErrWriter, child: processOf(cc.App).child}
		if err := cmd.checkArgs(cc.Command.HelpName, x.args); err != nil {
			return err
		}
		if err := cmd.checkFiles(cc); err != nil {
			return err
		}
		return cmd.withExample(cc.Command.HelpName, cmd.run(x))
	}
	return c
}

// withExample adds an example to an error about a missing flag or argument that has no other advice.
func (cmd *command) withExample(path string, err error) error {
	if err == nil || hint.Of(err) != "" || !strings.HasPrefix(err.Error(), strings.TrimPrefix(path, "onnx-inject ")+": missing ") {
		return err
	}
	return hintf(err, "for example: %s", cmd.example)
}

func (cmd *command) wantPart() error {
	var names []string
	for _, p := range cmd.parts {
		names = append(names, p.name)
	}
	return hintf(usagef("%s: missing subcommand: want one of %s", cmd.name, strings.Join(names, ", ")), "onnx-inject %s -h", cmd.name)
}

// checkArgs compares the arguments with their names. path is the full name of the command.
func (cmd *command) checkArgs(path string, args []string) error {
	words := strings.Fields(cmd.args)
	many := strings.Contains(cmd.args, "…")
	least := len(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w[0] == '[' }))
	var got []string
	for _, a := range args {
		got = append(got, quote(a))
	}
	name := strings.TrimPrefix(path, "onnx-inject ")
	switch {
	case len(args) < least:
		return hintf(usagef("%s: missing %s", name, strings.Join(words[len(args):least], " and ")), "for example: %s", cmd.example)
	case many || len(args) <= len(words):
		return nil
	case len(words) == 0:
		return usagef("%s: takes no arguments, got %s", name, strings.Join(got, " "))
	}
	return hintf(usagef("%s: want only %s, got %s", name, cmd.args, strings.Join(got, " ")), "%s", cmd.whereElse(args[len(words)]))
}

// whereElse advises on the first argument that is too many: a file to write, or a text.
func (cmd *command) whereElse(extra string) string {
	has := func(name string) bool { return find(cmd.flags, name) != nil }
	switch {
	case strings.Contains(cmd.need, "-o ") && (!has("text") || strings.ContainsAny(extra, `./\`)):
		return "to write to " + extra + ": -o " + shellWord(extra)
	case has("prompt"):
		return "a prompt is --prompt TEXT, in quotes if it has spaces"
	case has("text"):
		return "a text is --text TEXT, in quotes if it has spaces"
	}
	return "put quotes around text with spaces"
}

// checkFiles refuses the file name "-": no command streams a file, and a user who types "-" means standard output.
func (cmd *command) checkFiles(c *cli.Context) error {
	for _, f := range cmd.flags {
		if s, ok := f.(*cli.StringFlag); ok && s.TakesFile && c.String(s.Name) == "-" {
			return hintf(usagef("flag --%s: want a file name, got \"-\": standard input and output are not supported here", s.Name), "a file with the name - is ./-")
		}
	}
	return nil
}

func (cmd *command) usageText(prefix string) string {
	s := prefix + " " + cmd.name
	var parts []string
	for _, p := range cmd.parts {
		parts = append(parts, p.name)
	}
	args, need := cmd.args, cmd.need
	if before, ok := strings.CutSuffix(args, " [-]"); ok { // in place of the flag
		args, need = before, need+"|-"
	}
	for _, words := range []string{strings.Join(parts, "|"), args, need} {
		if words != "" {
			s += " " + words
		}
	}
	if len(cmd.flags) > 0 {
		s += " [flags]"
	}
	return s
}

// exampleText returns the last section of the command's help.
func (cmd *command) exampleText() string {
	return "\nexample:\n  " + strings.ReplaceAll(cmd.example, "\n", "\n  ") + "\n"
}

var invalid = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-+([a-z-]+): (.*)$`)
})

// badValue rewrites the flag package's message about an invalid value in the style of our errors.
func badValue(flags []cli.Flag) cli.OnUsageErrorFunc {
	return func(c *cli.Context, err error, _ bool) error {
		m := invalid().FindStringSubmatch(err.Error())
		if m == nil {
			return usage(err)
		}
		why := m[3]
		switch find(flags, m[2]).(type) {
		case *cli.Float64Flag:
			why = "want a number"
		case *cli.IntFlag:
			why = "want a whole number"
		case *cli.BoolFlag:
			why = "want true or false"
		case *cli.DurationFlag:
			why = "want a time such as 20s or 2m30s"
		}
		return usagef("flag %s: %s, got %s", dashed(m[2]), why, m[1])
	}
}

// badFlag returns an error about the value of a flag. A library names the kind of the value ("layers \"9\""), which the name of the
// flag repeats: the name is written once.
func badFlag(name string, err error) error {
	text := err.Error()
	kind, rest, _ := strings.Cut(text, " ")
	if strings.HasPrefix(rest, `"`) && strings.TrimSuffix(kind, "s") == strings.TrimSuffix(name, "s") {
		return usagef("flag %s %w", dashed(name), shortened{err, rest})
	}
	return usagef("flag %s: %w", dashed(name), err)
}

// shortened is an error with another text.
type shortened struct {
	error
	text string
}

func (s shortened) Error() string { return s.text }

func (s shortened) Unwrap() error { return s.error }

// choice is the value of a flag that takes one of a fixed list of words.
type choice struct {
	value string
	from  []string
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.from, s) {
		return fmt.Errorf("want one of %s", strings.Join(c.from, ", "))
	}
	c.value = s
	return nil
}

// texts is the value of a flag that can be repeated.
type texts []string

func (t *texts) String() string { return strings.Join(*t, ",") }

func (t *texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// list is the value of a flag that can be repeated to extend a list: --layers 0 --layers 3,4 equals --layers 0,3,4.
type list struct {
	text  string
	given bool // text is not the default
}

func (l *list) String() string { return l.text }

func (l *list) Set(s string) error {
	if l.given {
		s = l.text + "," + s
	}
	l.text, l.given = s, true
	return nil
}

// listFlag returns a flag with a list as its value.
func listFlag(name, usage, byDefault string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, Value: &list{text: byDefault}}
}

// listed returns the value of a flag made by listFlag.
func (c *call) listed(name string) string { return c.Generic(name).(*list).text }

// mayRepeat reports whether a flag can be repeated.
func mayRepeat(f cli.Flag) bool {
	g, ok := f.(*cli.GenericFlag)
	if !ok {
		return false
	}
	switch g.Value.(type) {
	case *texts, *list:
		return true
	}
	return false
}

// oneOf returns a flag that takes one of a fixed list of words; the first is the default. usage names the value in backquotes.
func oneOf[T ~string](name, usage string, from []T) cli.Flag {
	c := &choice{}
	for _, w := range from {
		c.from = append(c.from, string(w))
	}
	c.value = c.from[0]
	return &cli.GenericFlag{Name: name, Usage: usage + ": " + strings.Join(c.from, ", "), Value: c, DefaultText: c.value}
}

// chosen returns the value of a flag made by oneOf.
func chosen[T ~string](c *call, name string) T { return T(c.Generic(name).(*choice).value) }
