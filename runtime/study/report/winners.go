package report

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// winner is a best cell in the table of all best cells.
type winner struct {
	stats.Best
	Cell, Half string // the cells, in brief; Half is the one chosen on half of the prompts
	By         string
	Remarks    []string
}

// winners returns the best cells of a series, by log-odds first. Measures that choose the same cells share a line.
func (s *series) winners() []winner {
	var out []winner
	for _, b := range slices.Backward(s.Best) {
		if n := len(out); n > 0 && s.sameCells(out[n-1].Best, b) {
			out[n-1].By = "both"
			continue
		}
		by := "paper's mean"
		if b.Measure == stats.ByLogOdds {
			by = "log-odds"
		}
		w := winner{Best: b, Cell: s.cellOf(b.Effect).Brief(), By: by, Remarks: s.remarks(b)}
		if b.Held != nil {
			w.Half = s.half(b.Held).Brief()
		}
		out = append(out, w)
	}
	return out
}

// sameCells reports whether two measures chose the same cells, on all prompts and on one half.
func (s *series) sameCells(a, b stats.Best) bool {
	half := a.Held == nil && b.Held == nil || a.Held != nil && b.Held != nil && s.half(a.Held) == s.half(b.Held)
	return half && s.cellOf(a.Effect) == s.cellOf(b.Effect)
}
