package report

import "github.com/onnx-inject/onnx-inject/runtime/study/stats"

// side is what the best cell of a series, by the log-odds, does to texts that it should not touch.
type side struct {
	*series
	stats.SideEffect
	Cell  string // in brief
	Where string // the texts and the positions
}

// sides lists the series whose side effects were measured.
func sides(all []*series) []side {
	var out []side
	for _, s := range all {
		if best, x, ok := s.Chosen(); ok {
			out = append(out, side{s, x, s.cellOf(best).Brief(), s.SideEffects.Where()})
		}
	}
	return out
}
