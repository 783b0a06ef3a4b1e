package main

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

func manVerb() *verb {
	return &verb{
		name: "man", usage: "the manual page",
		doc:     "Prints the manual page, section 1, in roff.",
		example: "onnx-inject man",
		run: func(c *call) error {
			app := newApp(io.Discard, io.Discard)
			withDocs(app.Commands, verbs())
			page, err := app.ToManWithSection(1)
			if err == nil {
				_, err = io.WriteString(c.out.w, strings.TrimSpace(page)+"\n")
			}
			return err
		},
	}
}

// withDocs puts what -h says about each verb where the library's manual page has a place for it.
func withDocs(commands []*cli.Command, verbs []*verb) {
	for i, v := range verbs {
		commands[i].UsageText += "\n\n" + strings.TrimSpace(v.doc) + "\n\nexample:\n" + strings.TrimRight(v.example, "\n")
		withDocs(commands[i].Subcommands, v.parts)
	}
}
