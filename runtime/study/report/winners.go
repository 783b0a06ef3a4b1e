package report

import "github.com/onnx-inject/onnx-inject/runtime/study/stats"

// winner is a best cell in the table of all best cells.
type winner struct {
	stats.Best
	By      string
	Remarks []string
}

// winners returns the best cells of a series. Measures that choose the same cells share a line.
func (s *series) winners() []winner {
	var out []winner
	for _, b := range s.Best {
		if n := len(out); n > 0 && sameCells(out[n-1].Best, b) {
			out[n-1].By = "both"
			continue
		}
		by := "paper's mean"
		if b.Measure == stats.ByLogOdds {
			by = "log-odds"
		}
		out = append(out, winner{b, by, s.remarks(b)})
	}
	return out
}

// sameCells reports whether two measures chose the same cells, on all prompts and on one half.
func sameCells(a, b stats.Best) bool {
	half := a.Held == nil && b.Held == nil || a.Held != nil && b.Held != nil && a.Held.Layer == b.Held.Layer && a.Held.Tau == b.Held.Tau
	return half && a.Effect.Layer == b.Effect.Layer && a.Effect.Tau == b.Effect.Tau
}
