package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// arrange puts a command line into the only order that the library reads: global flags, the command, its flags, "--", and the
// arguments. Without this, the library silently reads a flag after an argument as another argument. Command flags can appear
// anywhere after the command, and global flags anywhere. An argument that begins with a dash must follow "--".
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

// errNoCommand reports a command line without a command.
var errNoCommand = usagef("missing command")

// commandLine is what arrange has read so far.
type commandLine struct {
	global   []cli.Flag
	command  *cli.Command
	commands []*cli.Command      // that the next word can name: commands, or subcommands
	path     []string            // command and subcommand: "ort", "install"
	globals  []string            // global flags
	flags    []string            // command flags
	words    []string            // arguments that are not flags
	seen     map[cli.Flag]string // the first value of each flag
	help     bool                // -h or -v was given: the library would read the first word as a help topic
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
		what := strings.Join(append(slices.Clone(l.path), "command"), " ")
		return didYouMean(usagef("unknown %s %s: want one of %s", what, quote(arg), strings.Join(names, ", ")), arg, names)
	}
	l.command, l.commands = l.commands[i], l.commands[i].Subcommands
	l.path = append(l.path, arg)
	return nil
}

// flag records one flag, with its value if that is the next argument. It returns how many arguments of rest it consumed.
func (l *commandLine) flag(arg string, rest []string) (took int, err error) {
	name, _, inline := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	known := l.global
	if on, ok := strings.CutPrefix(name, "no-"); ok && l.command != nil && !inline && find(l.command.Flags, name) == nil {
		if f := find(l.command.Flags, on); f != nil && isBool(f) && f != cli.HelpFlag { // --no-prompt-bos is --prompt-bos=false
			name, arg, inline = on, dashed(on)+"=false", true
		}
	}
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
	// The library keeps the last of several values and drops the others. A Boolean flag may be given twice with the same value.
	value := "true"
	if _, text, ok := strings.Cut(arg, "="); ok {
		value = text
	}
	if first, again := l.seen[f]; again && !mayRepeat(f) && !(isBool(f) && first == value) {
		return 0, usagef("%s was given twice: it takes one value", dashed(name))
	}
	l.seen[f] = value
	l.help = l.help || f == cli.HelpFlag || f == cli.VersionFlag
	*into = append(*into, arg)
	if inline || isBool(f) {
		return 0, nil
	}
	if len(rest) == 0 {
		return 0, usagef("flag %s needs a value", dashed(name))
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
		return hintf(err, "put an argument that begins with a dash after --")
	case l.command == nil && slices.ContainsFunc(l.commands, func(c *cli.Command) bool { return find(c.Flags, name) != nil }):
		return hintf(err, "put command flags after the command: onnx-inject COMMAND %s", dashed(name))
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

// find returns the flag with that name, or nil.
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

// didYouMean adds a hint: the name that is closest to what was typed, or how to get help if no name is close.
func didYouMean(err error, typed string, names []string) error {
	best, score := "", 0.8
	for _, n := range names {
		if s := smetrics.JaroWinkler(strings.ToLower(strings.TrimLeft(typed, "-")), strings.TrimLeft(n, "-"), 0.7, 4); s > score {
			best, score = n, s
		}
	}
	if best == "" {
		return hintf(err, "onnx-inject help lists the commands; onnx-inject COMMAND -h lists its flags")
	}
	return hintf(err, "did you mean %s?", best)
}
