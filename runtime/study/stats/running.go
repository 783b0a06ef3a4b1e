package stats

import (
	"math"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Running finds the best cell so far, for the progress line of an evaluation. It is cheap enough to query after every
// prompt. It uses the mean change of log-odds, because the paper's measure needs all prompts at once. The zero value is
// ready for use.
type Running struct {
	Harm bool // the best cell is the one that lowers the answers most

	sums  map[results.Point]*leader
	order []*leader
}

// leader is a cell that prompts are still added to.
type leader struct {
	results.Point
	n, improved int
	logOdds     float64 // sum over prompts
}

// Leader is the best cell so far.
type Leader struct {
	results.Point
	N        int     // prompts that count
	Improved int     // of these, with a higher probability
	LogOdds  float64 // mean change
}

// Add counts a prompt with all its cells. It skips cells without a number.
func (r *Running) Add(prompt results.Prompt, cells []results.Cell) {
	if !clean(&prompt) {
		return
	}
	if r.sums == nil {
		r.sums = map[results.Point]*leader{}
	}
	type sum struct {
		n               int
		change, logOdds float64
	}
	met := map[results.Point]*sum{}
	var order []results.Point
	for i := range cells {
		c := &cells[i]
		if !c.OK() || !usable(c.LogP) {
			continue
		}
		at := c.Point()
		s := met[at]
		if s == nil {
			s = &sum{}
			met[at] = s
			order = append(order, at)
		}
		s.n++
		s.change += math.Expm1(c.LogP - prompt.Clean.LogP)
		s.logOdds += logOdds(c.LogP) - logOdds(prompt.Clean.LogP)
	}
	for _, at := range order {
		l := r.sums[at]
		if l == nil {
			l = &leader{Point: at}
			r.sums[at] = l
			r.order = append(r.order, l)
		}
		l.n++
		l.logOdds += met[at].logOdds / float64(met[at].n)
		if met[at].change > 0 {
			l.improved++
		}
	}
}

// Best returns the best cell so far among those with the most prompts; false when there is none.
func (r *Running) Best() (Leader, bool) {
	var best *leader
	for _, l := range r.order {
		if best == nil || l.n > best.n || l.n == best.n && (l.logOdds < best.logOdds) == r.Harm && l.logOdds != best.logOdds {
			best = l
		}
	}
	if best == nil {
		return Leader{}, false
	}
	return Leader{Point: best.Point, N: best.n, Improved: best.improved, LogOdds: best.logOdds / float64(best.n)}, true
}
