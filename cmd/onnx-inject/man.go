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
		name: "man", usage: "the manual page",
		doc:     "Prints the manual page, section 1, in roff. To read it: onnx-inject man | man -l -",
		example: "onnx-inject man",
		run: func(c *call) error {
			_, err := c.out.w.Write(md2man.Render([]byte(manPage(newApp(io.Discard, io.Discard), commands()))))
			return err
		},
	}
}

// manPage says in Markdown what the help texts say, and what all verbs have in common. The page that the command line's library
// makes, with the same renderer, has another synopsis than help, and neither exit codes nor the names of flags' values.
func manPage(app *cli.App, list []*command) string {
	p := &markdown{}
	p.lines("% "+strings.ToUpper(app.Name)+" 1", "# NAME", app.Name+" - "+app.Usage, "# SYNOPSIS", escaped.Replace(app.Name+" VERB [arguments and flags, in any order]"), "# DESCRIPTION")
	p.doc(appWords)
	p.lines("# VERBS")
	for _, cmd := range list {
		p.command(cmd, app.Name)
	}
	p.lines("# FLAGS OF EVERY VERB")
	p.flags(app.Flags)
	p.lines("# EXIT STATUS")
	for _, e := range exitCodes {
		p.item(strconv.Itoa(e.code), e.what)
	}
	p.lines("# ENVIRONMENT")
	p.item("ONNX_INJECT_ORT_LIB, ONNXRUNTIME_SHARED_LIBRARY_PATH", "path of the ONNX Runtime library")
	p.item("HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE", "token, folders and address of the hub, as its own client reads them")
	p.item("NO_COLOR", "when set, no colours on a terminal")
	return p.String()
}

// markdown collects paragraphs.
type markdown struct{ strings.Builder }

func (p *markdown) lines(paragraphs ...string) {
	for _, s := range paragraphs {
		p.WriteString(s + "\n\n")
	}
}

// escaped keeps what our texts have from being taken for markup.
var escaped = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "`", "\\`", "|", `\|`)

func (p *markdown) item(term, what string) {
	p.lines("**" + escaped.Replace(term) + "**\n: " + escaped.Replace(what))
}

// doc writes paragraphs; indented lines are lists of names and meanings.
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
