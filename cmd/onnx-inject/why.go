package main

import (
	"strings"

	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// printWhy shows how far every form of attention matched.
func printWhy(p *printer, r *recognise.Report) {
	p.line(styled(bold, "why"))
	rows := [][]span{{styled(dim, "form"), styled(dim, "tried"), styled(dim, "matched"), styled(dim, "closest miss")}}
	for _, f := range r.Forms {
		row := []span{text("%s", f.Form), text("%d", f.Anchors), text("%d", f.Found)}
		if f.At != "" {
			row = append(row, text("%d of %d steps, at %s: want %s, got %s", f.Steps, recognise.StepsAll, f.At, f.Want, f.Got))
		}
		rows = append(rows, row)
	}
	p.table(rows, 1, 2)
	p.line(styled(bold, "forms"))
	rows = nil
	for _, f := range r.Forms {
		for i, line := range strings.Split(f.Doc, "\n") {
			name := text("%s", f.Form)
			if i > 0 {
				name = text("")
			}
			rows = append(rows, []span{name, text("%s", line)})
		}
	}
	p.table(rows)
	if len(r.Ops) > 0 {
		p.line(styled(bold, "operations"), text("  %s", strings.Join(r.Ops, ", ")))
	}
	if r.Reason != "" {
		p.line(styled(bold, "refused"), text("  %s", r.Reason))
	}
}
