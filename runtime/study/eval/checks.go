package eval

import (
	"math"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// notFinite counts the cells and the prompts without a number, and those of side effects.
func notFinite(r *results.Run) int {
	n := 0
	for _, c := range r.Cells {
		if !c.OK() && c.Status != results.Missing {
			n++
		}
	}
	for _, p := range r.Prompts {
		if !p.Clean.OK() || !p.Ceiling.OK() && p.Ceiling.Status != results.Missing || p.Told != nil && !p.Told.OK() && p.Told.Status != results.Missing {
			n++
		}
	}
	for _, s := range r.SideEffects {
		if !s.OK() {
			n++
		}
	}
	return n
}

// unchanged is how close a log-probability is to the clean one, relative to it, when a memory changed nothing. Rows of one run
// differ by less, although they are computed from the same numbers.
const unchanged = 1e-5

// noEffect returns the sources whose memories changed no score although they should: something is wrong with them. The source of no
// memory is among them only where the operation needs none.
func noEffect(r *results.Run) []string {
	clean := map[int]results.Score{}
	for _, p := range r.Prompts {
		clean[p.Index] = p.Clean
	}
	tried, effect := map[string]bool{}, map[string]bool{}
	for _, c := range r.Cells {
		if !r.Manifest.Acts(&c) || c.Status == results.Missing {
			continue
		}
		tried[c.Source] = true
		was := clean[c.Prompt]
		if c.OK() != was.OK() || c.OK() && !(math.Abs(c.LogP-was.LogP) <= unchanged*min(1, math.Abs(was.LogP))) {
			effect[c.Source] = true
		}
	}
	var out []string
	for _, m := range r.Manifest.Memories {
		if tried[m.Name] && !effect[m.Name] {
			out = append(out, m.Name)
		}
	}
	return out
}
