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
)

// verb is one command: what it is called, what it takes, and what it does.
type command struct {
	name    string
	args    string // words that stand for the arguments, "MODEL"; one in brackets may be left out, one with … repeated
	need    string // flags that must stand, "-o OUT"
	usage   string // one line
	doc     string // paragraphs for -h
	example string // works when pasted after `onnx-inject demo`
	flags   []cli.Flag
	run     func(*call) error
	parts   []*command // verbs of its own, in place of run
}

// call is one use of a verb.
type call struct {
	*cli.Context
	ctx  context.Context
	args []string // as many as verb.args allows
	out  *printer // results
	err  io.Writer
}

// note prints what is worth knowing and no result.
func (c *call) note(format string, args ...any) { say(c.err, format, args...) }

// command makes the verb one of the library's.
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
		x := &call{Context: cc, ctx: cc.Context, args: cc.Args().Slice(), out: newPrinter(cc.App), err: cc.App.ErrWriter}
		if err := cmd.checkArgs(cc.Command.HelpName, x.args); err != nil {
			return err
		}
		if err := cmd.checkFiles(cc); err != nil {
			return err
		}
		return cmd.run(x)
	}
	return c
}

func (cmd *command) wantPart() error {
	var names []string
	for _, p := range cmd.parts {
		names = append(names, p.name)
	}
	return hintf(usagef("%s: want one of %s behind it", cmd.name, strings.Join(names, ", ")), "onnx-inject %s -h", cmd.name)
}

// checkArgs compares the arguments with the words that stand for them. path is what the verb is called in full.
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
		return hintf(usagef("%s: want %s", name, strings.Join(words[len(args):least], " and ")), "for example: %s", cmd.example)
	case many || len(args) <= len(words):
		return nil
	case len(words) == 0:
		return usagef("%s: takes no arguments, got %s", name, strings.Join(got, " "))
	}
	return hintf(usagef("%s: want only %s, got %s", name, cmd.args, strings.Join(got, " ")), "text with spaces wants quotes around it")
}

// checkFiles refuses "-": no verb streams a file, and one of that name is a trap for whoever meant standard output.
func (cmd *command) checkFiles(c *cli.Context) error {
	for _, f := range cmd.flags {
		if s, ok := f.(*cli.StringFlag); ok && s.TakesFile && c.String(s.Name) == "-" {
			return hintf(usagef("flag --%s: want a name, got \"-\": files are read and written whole", s.Name), "a file that is called so is ./-")
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
	for _, words := range []string{strings.Join(parts, "|"), cmd.args, cmd.need} {
		if words != "" {
			s += " " + words
		}
	}
	if len(cmd.flags) > 0 {
		s += " [flags]"
	}
	return s
}

// exampleText ends the help of the verb.
func (cmd *command) exampleText() string {
	return "\nexample:\n  " + strings.ReplaceAll(cmd.example, "\n", "\n  ") + "\n"
}

var invalid = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-+([a-z-]+): (.*)$`)
})

// badValue puts the flag package's message about a value into our words.
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
		}
		return usagef("flag %s: %s, got %s", dashed(m[2]), why, m[1])
	}
}

// choice is the value of a flag that takes one of a few words.
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

// texts is the value of a flag that may stand several times.
type texts []string

func (t *texts) String() string { return strings.Join(*t, ",") }

func (t *texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}

// list is the value of a flag whose values add up: --layers 0 --layers 3,4 is --layers 0,3,4.
type list struct {
	text  string
	given bool // text is no default
}

func (l *list) String() string { return l.text }

func (l *list) Set(s string) error {
	if l.given {
		s = l.text + "," + s
	}
	l.text, l.given = s, true
	return nil
}

// listFlag makes a flag of a list. otherwise is what it holds when it does not stand.
func listFlag(name, usage, otherwise string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, Value: &list{text: otherwise}}
}

// listed returns what a flag made by listFlag holds.
func (c *call) listed(name string) string { return c.Generic(name).(*list).text }

// mayRepeat reports whether a flag may stand several times: what it is given adds up.
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

// oneOf makes a flag that takes one of a few words, the first unless told otherwise. usage names the word in backquotes.
func oneOf[T ~string](name, usage string, from []T) cli.Flag {
	c := &choice{}
	for _, w := range from {
		c.from = append(c.from, string(w))
	}
	c.value = c.from[0]
	return &cli.GenericFlag{Name: name, Usage: usage + ": " + strings.Join(c.from, ", "), Value: c, DefaultText: c.value}
}

// chosen returns what a flag made by oneOf holds.
func chosen[T ~string](c *call, name string) T { return T(c.Generic(name).(*choice).value) }
