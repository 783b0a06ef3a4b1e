package report

import (
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/stats"
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

// scale is where the colours of a unit end.
type scale struct {
	limit      float64
	low, high  bool // something lies beyond the end
	unit       string
	lowest     float64
	highest    float64
	anyNumbers bool
}

// scales finds the scale of each unit over all series, so that one colour means one number.
func scales(series []*series) map[string]*scale {
	sizes := map[string][]float64{}
	out := map[string]*scale{}
	for _, m := range measures {
		if out[m.unit] == nil {
			out[m.unit] = &scale{unit: m.unit, lowest: math.Inf(1), highest: math.Inf(-1)}
		}
		sc := out[m.unit]
		for _, s := range series {
			for _, row := range s.Grid {
				for _, e := range row {
					if v := float64(m.of(e)); m.of(e).OK() {
						sizes[m.unit] = append(sizes[m.unit], math.Abs(v))
						sc.lowest, sc.highest, sc.anyNumbers = math.Min(sc.lowest, v), math.Max(sc.highest, v), true
					}
				}
			}
		}
	}
	for unit, sc := range out {
		list := sizes[unit]
		slices.Sort(list)
		sc.limit = roundUp(stats.Percentile(list, 95))
		sc.low, sc.high = sc.lowest < -sc.limit, sc.highest > sc.limit
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
