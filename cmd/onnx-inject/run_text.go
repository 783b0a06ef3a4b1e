package main

import (
	"fmt"
	"math"
	"strconv"
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

// printAnswer shows the effect of the memory on the answer: on its first token, or on all of its tokens.
func printAnswer(p *printer, r *steer.Result, whole bool) {
	a := r.Answer
	row, rank := []span{text("answer"), text("%s", quote(a.Token))}, "rank"
	switch n := len(a.Tokens); {
	case n > 1 && whole:
		row[1] = text("%s", quote(a.Text))
		row = append(row, styled(dim, "all %d tokens", n), text("log p %s", change(a.LogPClean, a.LogPInjected, r.Injected != nil, logarithm)))
		rank = "rank of " + quote(a.Token)
	case n > 1:
		row = append(row, styled(dim, "first of %d tokens of %s", n, quote(a.Text)))
	}
	row = append(row, text("p %s", change(a.PClean, a.PInjected, r.Injected != nil, probability)))
	if r.Injected != nil {
		style := green
		if a.LogPInjected < a.LogPClean {
			style = red
		}
		row = append(row, styled(style, "%s", times(math.Exp(a.LogPInjected-a.LogPClean))))
	}
	p.table([][]span{append(row, text("%s %s", rank, change(a.RankClean, a.RankInjected, r.Injected != nil, strconv.Itoa)))})
}

// change writes a number without a memory and, if there is one, with it.
func change[T any](clean, injected T, both bool, write func(T) string) string {
	if !both {
		return write(clean)
	}
	return write(clean) + " → " + write(injected)
}

func logarithm(x float64) string { return fmt.Sprintf("%.3f", x) }

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
