package main

import (
	"fmt"
	"math"

	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
)

// positionsRead is the number of positions that the text lists for a pattern.
const positionsRead = 5

// printParts shows the selected parts of every prompt.
func printParts(c *call, r *lens.Report) {
	p := c.out
	for i, v := range r.Views {
		name := ""
		if len(r.Views) > 1 {
			name = viewName(i) + ": "
		}
		if c.Bool("stream") {
			printStream(p, name, v.Stream)
		}
		if v.Attribution != nil {
			printAttribution(p, name, r, v.Attribution)
		}
		if c.IsSet("pattern") {
			printPatterns(p, name, &v)
		}
	}
}

// printStream shows the most likely tokens after each layer at the last position.
func printStream(p *printer, name string, s *lens.Stream) {
	p.line(styled(bold, "%sresidual stream at the last position, through the final norm and the unembedding", name))
	n := min(compactTokens, len(s.Rows[0].Cells[0].Top))
	head, right := []span{styled(dim, "layer")}, []int{0}
	if a := s.Rows[0].Cells[0].Answer; a != nil {
		head = append(head, styled(dim, "rank of %s", quote(a.Token.Token)), styled(dim, "p"))
		right = append(right, 1, 2)
	}
	for i := range n {
		right = append(right, len(head)+1)
		head = append(head, styled(dim, "rank %d", i), styled(dim, "p"))
	}
	rows := [][]span{head}
	for _, row := range s.Rows {
		cell := row.Cells[len(row.Cells)-1]
		line := []span{text("%s", row.Name())}
		answer := int64(-1)
		if a := cell.Answer; a != nil {
			answer = a.ID
			line = append(line, text("%d", a.Rank), text("%s", probability(math.Exp(a.LogP))))
		}
		for _, t := range cell.Top[:n] {
			style := ""
			if t.ID == answer {
				style = green
			}
			line = append(line, styled(style, "%s", quote(t.Token)), text("%s", probability(math.Exp(t.LogP))))
		}
		rows = append(rows, line)
	}
	p.table(rows, right...)
	p.line(styled(dim, "   --json and --html list every position"))
	p.line()
}

// printAttribution shows the contribution of every part of the stream to the logit of the answer.
func printAttribution(p *printer, name string, r *lens.Report, a *lens.Attribution) {
	p.line(styled(bold, "%sdirect logit attribution of %s", name, quote(a.Answer.Token)),
		text("   logit %.3f, p %s, rank %d", a.Answer.Logit, probability(math.Exp(a.Answer.LogP)), a.Rank))
	largest := a.Largest()
	signed := func(x float64) span {
		style := ""
		if math.Abs(x) < largest/8 {
			style = dim
		}
		return styled(style, "%s", lens.Signed(x, largest))
	}
	table := a.Table(r.PerRow)
	head := []span{styled(dim, "layer")}
	for _, c := range table.Columns {
		head = append(head, styled(dim, "%s", c))
	}
	rows := [][]span{head}
	for layer, line := range table.Rows {
		row := []span{text("%d", layer)}
		for _, x := range line {
			row = append(row, signed(x))
		}
		rows = append(rows, row)
	}
	p.table(rows, columns(len(head)-1)...)
	rest := []span{text("  ")}
	for _, c := range a.Parts {
		if c.Layer < 0 {
			rest = append(rest, text("%s %s, ", c.Kind, lens.Signed(c.Logit, largest)))
		}
	}
	p.line(append(rest, text("sum of all parts %s", fmt.Sprintf("%.3f", a.Sum)))...)
	p.line()
}

// printPatterns shows the positions that the last position reads most, for each head.
func printPatterns(p *printer, name string, v *lens.View) {
	p.line(styled(bold, "%spositions that the last position reads most", name))
	var rows [][]span
	for i := range v.Patterns {
		x := &v.Patterns[i]
		row := []span{styled(dim, "head %v", x.HeadAt)}
		for _, s := range x.Last(positionsRead) {
			row = append(row, styled(dim, "%d", s.Position), text("%s", quote(v.Pieces[s.Position])), text("%.3f", s.Weight))
		}
		rows = append(rows, row)
	}
	p.table(rows, 1, 4, 7, 10, 13)
	p.line(styled(dim, "   --json and --html list every position"))
	p.line()
}
