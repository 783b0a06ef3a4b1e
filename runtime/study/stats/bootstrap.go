package stats

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// Resamples is the number of bootstrap samples for an interval.
const Resamples = 1000

// A bootstrap holds the draws of n prompts out of n with replacement, as the number of times each prompt was drawn. All
// cells use the same draws, so that their intervals differ only because of the data.
type bootstrap struct {
	n     int
	times [][]uint16 // [resample][prompt]
}

// newBootstrap draws with a fixed seed. The generator is PCG, whose output Go guarantees. The reduction to a range is done
// here, because that of rand.IntN is not guaranteed.
func newBootstrap(n int) *bootstrap {
	b := &bootstrap{n: n, times: make([][]uint16, Resamples)}
	source := rand.NewPCG(42, 0)
	for r := range b.times {
		b.times[r] = make([]uint16, n)
		for range n {
			i, _ := bits.Mul64(source.Uint64(), uint64(n))
			b.times[r][i]++
		}
	}
	return b
}

// sums is the contribution of a prompt to the means that have an interval in every cell: 1 when the prompt counts, its
// change, its change of log-odds, p and p0.
type sums struct{ n, change, logOdds, p, p0 float64 }

// means returns the intervals of the mean change, the mean change of log-odds and the ratio of means. The rows are by
// prompt.
func (b *bootstrap) means(rows []sums) (change, odds, ratio Interval) {
	changes, oddses, ratios := make([]float64, 0, Resamples), make([]float64, 0, Resamples), make([]float64, 0, Resamples)
	for _, times := range b.times {
		var s sums
		for i, k := range times {
			w, row := float64(k), &rows[i]
			s.n += w * row.n
			s.change += w * row.change
			s.logOdds += w * row.logOdds
			s.p += w * row.p
			s.p0 += w * row.p0
		}
		if s.n > 0 {
			changes, oddses, ratios = append(changes, s.change/s.n), append(oddses, s.logOdds/s.n), append(ratios, s.p/s.p0-1)
		}
	}
	return middle(changes), middle(oddses), middle(ratios)
}

// value is a number that belongs to one prompt.
type value struct {
	v      float64
	prompt int
}

// statistic returns the interval of a statistic that is computed from ascending values of each column and averaged over
// the columns.
func (b *bootstrap) statistic(columns [][]value, of func(ascending []float64) float64) Interval {
	sorted := make([][]value, len(columns))
	for i, c := range columns {
		sorted[i] = slices.Clone(c)
		slices.SortStableFunc(sorted[i], func(x, y value) int { return compare(x.v, y.v) })
	}
	var out []float64
	drawn := make([]float64, b.n+4)
	for _, times := range b.times {
		sum, n := 0.0, 0
		for _, c := range sorted {
			if s := Number(of(draw(drawn, c, times))); s.OK() {
				sum, n = sum+float64(s), n+1
			}
		}
		if n > 0 {
			out = append(out, sum/float64(n))
		}
	}
	return middle(out)
}

// draw repeats each value as often as its prompt was drawn. Nearly all prompts are drawn fewer than five times, an
// unpredictable number of times. Always writing four copies and advancing by the actual number is several times as fast as
// a loop. The buffer has room for four extra values.
func draw(buffer []float64, values []value, times []uint16) []float64 {
	n := 0
	for _, x := range values {
		k := int(times[x.prompt])
		four := buffer[n : n+4 : n+4]
		four[0], four[1], four[2], four[3] = x.v, x.v, x.v, x.v
		for i := 4; i < k; i++ {
			buffer[n+i] = x.v
		}
		n += k
	}
	return buffer[:n]
}

// middle is the interval between the 2.5th and the 97.5th percentile.
func middle(values []float64) Interval {
	slices.Sort(values)
	return Interval{Low: Number(Percentile(values, 2.5)), High: Number(Percentile(values, 97.5))}
}

// noInterval is the interval for too few prompts: resampling a single prompt would pretend certainty.
func noInterval() Interval { return Interval{Low: None(), High: None()} }
