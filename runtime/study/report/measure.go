package report

import (
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// measure is a number of a cell that a map shows.
type measure struct {
	name   string // in file names
	title  string
	unit   string // measures with the same unit share a scale
	of     func(stats.Effect) stats.Number
	format func(float64) string
	tick   func(float64) string // for axes
	best   stats.Measure        // whose best cell is marked
	read   string
}

// measures are the maps of a series, the most reliable one first.
var measures = []measure{
	{
		"log-odds", "Mean change of the log-odds", "log-odds", func(e stats.Effect) stats.Number { return e.LogOdds }, logOdds, logOddsTick, stats.ByLogOdds,
		"Mean over prompts of the change of ln(p/(1−p)): +0.69 doubles the odds of the answer, −0.69 halves them. Gains and losses have the same weight, and no single prompt dominates it. It is the " +
			"most reliable of the three measures.",
	},
	{
		"median", "Median change of the probability", "percent", func(e stats.Effect) stats.Number { return e.MedianChange }, percent, percentTick, stats.ByRejected,
		"Half of the prompts change by more than this, half by less. The frame marks the best cell by the paper's mean, so that the two maps can be compared at one cell.",
	},
	{
		"paper", "Paper's mean change of the probability", "percent", func(e stats.Effect) stats.Number { return e.Rejected }, percent, percentTick, stats.ByRejected,
		"Mean over prompts of (p − p₀)/p₀ without the changes at or above the 99th percentile, as in the paper. Caution: prompts with a tiny p₀ dominate this mean; a few of them can make " +
			"a cell red in which most prompts lose. Compare it with the median.",
	},
}

// scale assigns colours to numbers. Its steps are equal, unless the largest number is so large that most cells would have
// the same colour; then the steps grow by a factor.
type scale struct {
	limit     float64 // the last step on either side
	first     float64 // the first step when steps grow; 0 when they are equal
	low, high bool    // some number is beyond the end
}

// half is the number of steps on either side of zero.
var half = float64(len(steps)-1) / 2

// Steps grow when the limit is growing or more; the first step is then firstStep. Losses end at -100 %, gains have no limit.
const growing, firstStep = 2, 0.2

// position returns the position of a number on the scale, in steps from zero.
func (s *scale) position(v float64) float64 {
	size := math.Abs(v)
	switch {
	case s.first == 0:
		return v / s.limit * half
	case size < s.first:
		return v / s.first
	}
	return math.Copysign(1+math.Log(size/s.first)/math.Log(s.limit/s.first)*(half-1), v)
}

// value returns the number at a step, -half to half.
func (s *scale) value(step float64) float64 {
	switch {
	case s.first == 0 || step == 0:
		return s.limit * step / half
	}
	v := s.first * math.Pow(s.limit/s.first, (math.Abs(step)-1)/(half-1))
	digits := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Copysign(math.Round(v/digits)*digits, step)
}

// labels names the steps. A step that no number can have has no label.
func (s *scale) labels(tick func(float64) string) []string {
	labels := make([]string, len(steps))
	for i := range steps {
		if v := s.value(float64(i) - half); v >= -1 || s.first == 0 { // no probability loses more than 100 %
			labels[i] = tick(v)
		}
	}
	if s.low {
		labels[0] = "≤ " + labels[0]
	}
	if s.high {
		labels[len(steps)-1] = "≥ " + labels[len(steps)-1]
	}
	return labels
}

// step returns the step of a number as a hexadecimal digit; '-' when there is no number.
func (s *scale) step(n stats.Number) byte {
	if !n.OK() {
		return '-'
	}
	return "0123456789abcdef"[int(math.Max(0, math.Min(2*half, math.Floor(s.position(float64(n))+half+0.5))))]
}

// newScale returns a scale that ends at the 95th percentile of all magnitudes, rounded up.
func newScale(values []float64, mayGrow bool) *scale {
	var sizes []float64
	for _, v := range values {
		sizes = append(sizes, math.Abs(v))
	}
	slices.Sort(sizes)
	s := &scale{limit: roundUp(stats.Percentile(sizes, 95))}
	if mayGrow && s.limit > growing {
		s.first = firstStep
	}
	for _, v := range values {
		s.low, s.high = s.low || v < -s.limit, s.high || v > s.limit
	}
	return s
}

// scales returns the scale of each unit over all series, so that a colour means the same number in all of them.
func scales(series []*series) map[string]*scale {
	values := map[string][]float64{}
	for _, m := range measures {
		for _, s := range series {
			for _, row := range s.Grid {
				for _, e := range row {
					if v := m.of(e); v.OK() {
						values[m.unit] = append(values[m.unit], float64(v))
					}
				}
			}
		}
	}
	out := map[string]*scale{}
	for _, m := range measures {
		if out[m.unit] == nil {
			out[m.unit] = newScale(values[m.unit], m.unit == "percent")
		}
	}
	return out
}

// roundUp returns the next of 1, 2, 5, 10, 20, … and 0.1, 0.2, 0.5, …; 1 when there is no number above zero.
func roundUp(f float64) float64 {
	if !(f > 0) || math.IsInf(f, 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(f)))
	for _, k := range []float64{1, 2, 5} {
		if f <= k*power*(1+1e-9) {
			return k * power
		}
	}
	return 10 * power
}
