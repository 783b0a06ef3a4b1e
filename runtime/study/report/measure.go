package report

import (
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// measure is a number of a cell that a map shows.
type measure struct {
	name   string // of files
	title  string
	unit   string // measures of one unit share a scale
	of     func(stats.Effect) stats.Number
	format func(float64) string
	tick   func(float64) string // for axes
	best   stats.Measure        // whose best cell is marked
	read   string
}

// measures are the maps of a series.
var measures = []measure{
	{
		"paper", "Paper's mean change of the probability", "percent", func(e stats.Effect) stats.Number { return e.Rejected }, percent, percentTick, stats.ByRejected,
		"Mean over prompts of (p − p₀)/p₀, without the changes from the 99th percentile up, as the paper computes it. Trap: prompts whose p₀ is tiny rule it; a few of them can make " +
			"a cell red in which most prompts lose. Compare the median beside it.",
	},
	{
		"median", "Median change of the probability", "percent", func(e stats.Effect) stats.Number { return e.MedianChange }, percent, percentTick, stats.ByRejected,
		"Half of the prompts change by more than this, half by less. The mark is the paper's best cell, so that the two maps can be compared at one place.",
	},
	{
		"log-odds", "Mean change of the log-odds", "log-odds", func(e stats.Effect) stats.Number { return e.LogOdds }, logOdds, logOddsTick, stats.ByLogOdds,
		"Mean over prompts of the change of ln(p/(1−p)): +0.69 doubles the odds of the answer, −0.69 halves them. A gain and a loss weigh the same and no single prompt rules it; it is the " +
			"measure to trust.",
	},
}

// scale says which colour a number has. Its steps are equal, unless the largest is so large that the changes that most cells
// have would all be one colour: then they grow by a factor.
type scale struct {
	limit     float64 // the last step on either side
	first     float64 // the first one, where they grow; 0 where they are equal
	low, high bool    // something lies beyond the end
}

// half is how many steps there are on either side of zero.
var half = float64(len(steps)-1) / 2

// growing is from which limit on steps grow, and from which first step: losses end at -100 %, gains do not end.
const growing, firstStep = 2, 0.2

// position gives the place of a number on the scale, in steps from zero.
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

// value gives the number at a step, -half to half.
func (s *scale) value(step float64) float64 {
	switch {
	case s.first == 0 || step == 0:
		return s.limit * step / half
	}
	v := s.first * math.Pow(s.limit/s.first, (math.Abs(step)-1)/(half-1))
	digits := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Copysign(math.Round(v/digits)*digits, step)
}

// newScale ends at the 95th percentile of all sizes, rounded up.
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

// scales finds the scale of each unit over all series, so that one colour means one number.
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

// roundUp gives the next of 1, 2, 5, 10, 20, … and 0.1, 0.2, 0.5, …; 1 where there is no number above zero.
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
