package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

const barWidth = 16

// printTokens shows the most likely tokens without and with the memory, side by side.
func printTokens(p *printer, r *steer.Result) {
	head := []span{styled(dim, "rank"), styled(bold, "clean"), styled(dim, "p"), text("")}
	if r.Injected != nil {
		head = append(head, styled(bold, "injected"), styled(dim, "p"), text(""))
	}
	rows := [][]span{head}
	for i, t := range r.Clean {
		row := append([]span{styled(dim, "%d", i)}, tokenCells(t, "")...)
		if r.Injected != nil {
			style := ""
			if r.Answer != nil && r.Injected[i].ID == r.Answer.ID {
				style = green
			}
			row = append(row, tokenCells(r.Injected[i], style)...)
		}
		rows = append(rows, row)
	}
	p.table(rows, 0, 2, 5)
}

func tokenCells(t steer.Token, style string) []span {
	return []span{styled(style, "%s", quote(t.Token)), text("%s", probability(t.P)), styled(style, "%s", bar(t.P))}
}

// printAnswer shows the effect of the memory on the answer.
func printAnswer(p *printer, r *steer.Result) {
	a := r.Answer
	if r.Injected == nil {
		p.table([][]span{{text("answer"), text("%s", quote(a.Token)), text("p %s", probability(a.PClean)), text("rank %d", a.RankClean)}})
		return
	}
	style := green
	if a.PInjected < a.PClean {
		style = red
	}
	p.table([][]span{{
		text("answer"), text("%s", quote(a.Token)), text("p %s → %s", probability(a.PClean), probability(a.PInjected)),
		styled(style, "%s", times(a.PInjected/a.PClean)), text("rank %d → %d", a.RankClean, a.RankInjected),
	}})
}

// times writes a factor.
func times(f float64) string {
	if f < 1e4 {
		return fmt.Sprintf("×%.3g", f)
	}
	return fmt.Sprintf("×%.1e", f)
}

// probability writes p with about three significant digits.
func probability(p float64) string {
	if p >= 0.001 {
		return fmt.Sprintf("%.4f", p)
	}
	return fmt.Sprintf("%.2e", p)
}

// bar draws a probability with a resolution of an eighth of a character.
func bar(p float64) string {
	if !(p > 0) {
		return ""
	}
	n := int(math.Round(p * barWidth * 8))
	s := strings.Repeat("█", n/8)
	if n%8 > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[n%8-1])
	}
	return s
}
