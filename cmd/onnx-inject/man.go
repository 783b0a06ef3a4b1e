package main

import (
	"io"
	"strconv"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/urfave/cli/v2"
)

func manCommand() *command {
	return &command{
		name: "man", usage: "print the manual page",
		doc:     "Prints the manual page, section 1, in roff. To read it: onnx-inject man | man -l -",
		example: "onnx-inject man",
		run: func(c *call) error {
			_, err := c.out.w.Write(md2man.Render([]byte(manPage(newApp(io.Discard, io.Discard), commands()))))
			return err
		},
	}
}

// manPage writes the help texts and what all commands have in common as Markdown. The manual page of the command-line library has
// a synopsis that differs from the help, no exit codes, and no names for the values of flags.
func manPage(app *cli.App, list []*command) string {
	p := &markdown{}
	p.lines("% "+strings.ToUpper(app.Name)+" 1", "# NAME", app.Name+" - "+app.Usage, "# SYNOPSIS", escaped.Replace(app.Name+" COMMAND [arguments and flags, in any order]"), "# DESCRIPTION")
	p.doc(appWords)
	p.lines("# COMMANDS")
	for _, cmd := range list {
		p.command(cmd, app.Name)
	}
	p.lines("# FLAGS OF EVERY COMMAND")
	p.flags(app.Flags)
	p.lines("# EXIT STATUS")
	for _, e := range exitCodes {
		p.item(strconv.Itoa(e.code), e.what)
	}
	p.lines("# ENVIRONMENT")
	p.item("ONNX_INJECT_ORT_LIB, ONNXRUNTIME_SHARED_LIBRARY_PATH", "path of the ONNX Runtime library")
	p.item("HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE", "access token, folders and address of the hub; the hub's own client uses the same variables")
	p.item("NO_COLOR", "if set, output on a terminal has no colours")
	return p.String()
}

// markdown collects paragraphs.
type markdown struct{ strings.Builder }

func (p *markdown) lines(paragraphs ...string) {
	for _, s := range paragraphs {
		p.WriteString(s + "\n\n")
	}
}

// escaped escapes characters of our texts that Markdown would read as markup.
var escaped = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "`", "\\`", "|", `\|`)

func (p *markdown) item(term, what string) {
	p.lines("**" + escaped.Replace(term) + "**\n: " + escaped.Replace(what))
}

// doc writes paragraphs; indented lines are lists of names and descriptions.
func (p *markdown) doc(s string) {
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		if name, what, ok := strings.Cut(strings.TrimSpace(line), "  "); ok && strings.HasPrefix(line, "  ") {
			p.WriteString("\n")
			p.item(name, strings.TrimSpace(what))
		} else {
			p.WriteString(escaped.Replace(line) + "\n")
		}
	}
	p.WriteString("\n")
}

func (p *markdown) flags(flags []cli.Flag) {
	for _, f := range flags {
		term, what, _ := strings.Cut(f.String(), "\t")
		p.item(term, what)
	}
}

func (p *markdown) command(cmd *command, prefix string) {
	p.lines("### " + escaped.Replace(cmd.usageText(prefix)))
	p.doc(cmd.doc)
	p.flags(cmd.flags)
	if cmd.parts == nil {
		p.lines("Example:", "```\n"+strings.TrimRight(cmd.example, "\n")+"\n```")
	}
	for _, part := range cmd.parts {
		p.command(part, prefix+" "+cmd.name)
	}
}
