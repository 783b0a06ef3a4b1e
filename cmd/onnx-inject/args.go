package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// arrange puts a command line into the one order that the library reads: global flags, the verb, its flags, "--", and the
// arguments. Left alone, the library takes a flag behind an argument for one more argument and says nothing. Flags of the
// verb may stand anywhere behind it, global ones anywhere; an argument that begins with a dash goes behind "--".
func arrange(app *cli.App, args []string) ([]string, error) {
	line := &commandLine{global: app.Flags, commands: app.Commands, seen: map[cli.Flag]string{}}
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			for _, arg := range args[i+1:] {
				if err := line.word(arg); err != nil {
					return nil, err
				}
			}
			i = len(args)
		case len(arg) < 2 || arg[0] != '-':
			if err := line.word(arg); err != nil {
				return nil, err
			}
		default:
			took, err := line.flag(arg, args[i+1:])
			if err != nil {
				return nil, err
			}
			i += took
		}
	}
	out := append([]string{args[0]}, line.globals...)
	switch {
	case line.path == nil && line.help:
		return out, nil
	case line.path == nil:
		return nil, errNoCommand
	}
	out = append(out, line.path...)
	out = append(out, line.flags...)
	if len(line.words) > 0 && !line.help {
		out = append(append(out, "--"), line.words...)
	}
	return out, nil
}

// errNoCommand says that a command line has nothing to do.
var errNoCommand = usagef("want a verb")

// commandLine is what arrange has read so far.
type commandLine struct {
	global   []cli.Flag
	command  *cli.Command
	commands []*cli.Command      // what the next word may name: verbs, or the parts of one
	path     []string            // the verb and its part: "ort", "install"
	globals  []string            // arguments that are global flags
	flags    []string            // arguments that are flags of the verb
	words    []string            // what is no flag
	seen     map[cli.Flag]string // what a flag was given first
	help     bool                // -h or -v stands somewhere: the library would take the first word for a topic
}

func (l *commandLine) word(arg string) error {
	if len(l.commands) == 0 {
		l.words = append(l.words, arg)
		return nil
	}
	i := slices.IndexFunc(l.commands, func(c *cli.Command) bool { return c.HasName(arg) })
	if i < 0 {
		var names []string
		for _, c := range l.commands {
			if !c.Hidden {
				names = append(names, c.Name)
			}
		}
		what := strings.Join(append(slices.Clone(l.path), "verb"), " ")
		return didYouMean(usagef("unknown %s %s, want one of %s", what, quote(arg), strings.Join(names, ", ")), arg, names)
	}
	l.command, l.commands = l.commands[i], l.commands[i].Subcommands
	l.path = append(l.path, arg)
	return nil
}

// flag files one flag, with its value when that is the next argument, and tells how many of rest it took.
func (l *commandLine) flag(arg string, rest []string) (took int, err error) {
	name, _, inline := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	known := l.global
	f := find(l.global, name)
	into := &l.globals
	if l.command != nil {
		known = slices.Concat(l.command.Flags, l.global)
		if own := find(l.command.Flags, name); own != nil {
			f, into = own, &l.flags
		}
	}
	if f == nil {
		return 0, l.unknown(arg, name, known)
	}
	// The library takes the last of several values, and the others are lost. A switch may be turned on twice.
	value := "true"
	if _, text, ok := strings.Cut(arg, "="); ok {
		value = text
	}
	if first, again := l.seen[f]; again && !mayRepeat(f) && !(isBool(f) && first == value) {
		return 0, usagef("flag %s: stands twice, and takes one value", dashed(name))
	}
	l.seen[f] = value
	l.help = l.help || f == cli.HelpFlag || f == cli.VersionFlag
	*into = append(*into, arg)
	if inline || isBool(f) {
		return 0, nil
	}
	if len(rest) == 0 {
		return 0, usagef("flag %s wants a value", dashed(name))
	}
	*into = append(*into, rest[0])
	return 1, nil
}

func (l *commandLine) unknown(arg, name string, flags []cli.Flag) error {
	err := usagef("unknown flag %s", dashed(name))
	if l.command != nil {
		err = usagef("%s: unknown flag %s", strings.Join(l.path, " "), dashed(name))
	}
	switch {
	case strings.Trim(arg[1:], "0123456789.,") == "":
		return hintf(err, "an argument that begins with a dash goes behind --")
	case l.command == nil && slices.ContainsFunc(l.commands, func(c *cli.Command) bool { return find(c.Flags, name) != nil }):
		return hintf(err, "flags of a verb stand behind it: onnx-inject VERB %s", dashed(name))
	}
	var names []string
	for _, f := range flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, dashed(n))
			}
		}
	}
	return didYouMean(err, dashed(name), names)
}

// find returns the flag of that name, nil when there is none.
func find(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// isBool reports whether a flag takes no value.
func isBool(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && !d.TakesValue()
}

// dashed writes a flag's name as users type it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// didYouMean adds the name that is closest to what was typed, when one is close, and else a pointer to help.
func didYouMean(err error, typed string, names []string) error {
	best, score := "", 0.8
	for _, n := range names {
		if s := smetrics.JaroWinkler(strings.ToLower(strings.TrimLeft(typed, "-")), strings.TrimLeft(n, "-"), 0.7, 4); s > score {
			best, score = n, s
		}
	}
	if best == "" {
		return hintf(err, "onnx-inject help lists the verbs, and a verb with -h its flags")
	}
	return hintf(err, "did you mean %s?", best)
}
