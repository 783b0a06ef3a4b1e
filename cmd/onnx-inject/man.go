package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func manVerb() *verb {
	return &verb{
		name: "man", usage: "the manual page",
		doc:     "Prints the manual page, section 1, in roff. To read it: onnx-inject man | man -l -",
		example: "onnx-inject man",
		run: func(c *call) error {
			_, err := io.WriteString(c.out.w, manPage(newApp(io.Discard, io.Discard), verbs()))
			return err
		},
	}
}

// manPage says in roff what the help texts say, and what all verbs have in common.
func manPage(app *cli.App, verbs []*verb) string {
	p := &roff{}
	p.macro("TH", strings.ToUpper(app.Name), "1", "", app.Name+" "+app.Version, "")
	p.macro("SH", "NAME")
	p.text(app.Name + " - " + app.Usage)
	p.macro("SH", "SYNOPSIS")
	p.text(app.Name + " VERB [arguments and flags, in any order]")
	p.macro("SH", "DESCRIPTION")
	p.doc(appWords)
	p.macro("SH", "VERBS")
	for _, v := range verbs {
		p.verb(v, app.Name)
	}
	p.macro("SH", "FLAGS OF EVERY VERB")
	p.flags(app.Flags)
	p.macro("SH", "EXIT STATUS")
	for _, e := range exitCodes {
		p.item(e[0], e[1])
	}
	p.macro("SH", "ENVIRONMENT")
	p.item("ONNX_INJECT_ORT_LIB, ONNXRUNTIME_SHARED_LIBRARY_PATH", "path of the ONNX Runtime library")
	p.item("NO_COLOR", "when set, no colours on a terminal")
	return p.String()
}

// roff writes a manual page: macros on lines of their own, text in which nothing is taken for one.
type roff struct{ strings.Builder }

func (p *roff) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, a := range args {
		fmt.Fprintf(p, ` "%s"`, strings.ReplaceAll(roffText(a), `"`, `\(dq`))
	}
	p.WriteByte('\n')
}

// text writes one line.
func (p *roff) text(s string) {
	s = roffText(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	p.WriteString(s + "\n")
}

// roffText keeps dashes dashes, and writes what is not ASCII so that every roff reads it.
func roffText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r > 0x7e:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (p *roff) item(term, what string) {
	p.macro("TP")
	p.text(term)
	p.text(what)
}

// doc writes paragraphs; indented lines are lists of names and meanings.
func (p *roff) doc(s string) {
	gap := false // a paragraph has ended
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		switch name, what, _ := strings.Cut(strings.TrimSpace(line), "  "); {
		case line == "":
			gap = true
		case strings.HasPrefix(line, "  "):
			p.item(name, strings.TrimSpace(what))
			gap = true
		default:
			if gap {
				p.macro("PP")
			}
			p.text(line)
			gap = false
		}
	}
}

func (p *roff) flags(flags []cli.Flag) {
	for _, f := range flags {
		term, what, _ := strings.Cut(f.String(), "\t")
		p.item(term, what)
	}
}

func (p *roff) verb(v *verb, prefix string) {
	p.macro("SS", v.usageText(prefix))
	p.doc(v.doc)
	p.flags(v.flags)
	if v.parts == nil {
		p.macro("PP")
		p.text("Example:")
		p.macro("PP")
		p.macro("EX")
		for line := range strings.SplitSeq(v.example, "\n") {
			p.text(line)
		}
		p.macro("EE")
	}
	for _, part := range v.parts {
		p.verb(part, prefix+" "+v.name)
	}
}
