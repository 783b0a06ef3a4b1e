package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// shown is the number of prompts of each end, and of tokens of each prompt, in the report.
const shown = 5

// example is one prompt without and with a memory.
type example struct {
	Index          int
	Prompt, Answer string
	Memory         string
	Effect         stats.PromptEffect
	Before, After  []token
}

// token is one of the most likely tokens.
type token struct {
	Text   string
	Answer bool // it is the token of the answer
}

// extremes returns the prompts with the largest gains and with the largest losses or smallest gains, by log-odds. No prompt
// is in both lists.
func extremes(s *series, effects []stats.PromptEffect, name func(*results.Run, int64) string) (best, worst []example) {
	sorted := slices.Clone(effects)
	slices.SortStableFunc(sorted, func(a, b stats.PromptEffect) int { return cmp.Compare(b.LogOdds, a.LogOdds) })
	n := min(shown, (len(sorted)+1)/2)
	for i, e := range sorted {
		switch {
		case i < n:
			best = append(best, s.example(e, name))
		case i >= len(sorted)-min(shown, len(sorted)/2):
			worst = append(worst, s.example(e, name))
		}
	}
	slices.Reverse(worst)
	return best, worst
}

func (s *series) example(e stats.PromptEffect, name func(*results.Run, int64) string) example {
	x := example{Index: e.Prompt, Effect: e}
	i := slices.IndexFunc(s.run.Prompts, func(p results.Prompt) bool { return p.Index == e.Prompt })
	if i < 0 || len(e.Cells) == 0 {
		return x
	}
	p := &s.run.Prompts[i]
	x.Prompt, x.Answer, x.Memory = p.TwoHop, p.Answer, e.Cells[0].Memory
	if n := len(e.Cells); n > 1 {
		x.Memory = fmt.Sprintf("%s, … (%d memories; tokens are for the first)", x.Memory, n)
	}
	tokens := func(ids []int64) []token {
		var out []token
		for _, id := range ids[:min(shown, len(ids))] {
			text := ""
			if name != nil {
				text = name(s.run, id)
			}
			if text == "" {
				text = fmt.Sprintf("#%d", id)
			}
			out = append(out, token{text, id == p.AnswerID})
		}
		return out
	}
	x.Before, x.After = tokens(p.Clean.Top), tokens(e.Cells[0].Top)
	return x
}
