package stats

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// draw equals a plain loop.
func TestDraw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SliceOfN(rapid.Uint16Range(0, 9), 1, 20).Draw(t, "times")
		var values []value
		var want []float64
		total := 0
		for i, k := range times {
			total += int(k)
			if rapid.Bool().Draw(t, "present") {
				values = append(values, value{float64(i), i})
				want = append(want, slices.Repeat([]float64{float64(i)}, int(k))...)
			}
		}
		if got := draw(make([]float64, total+4), values, times); !slices.Equal(got, want) {
			t.Errorf("%v by %v gives %v, want %v", values, times, got, want)
		}
	})
}

// Every resample has as many prompts as the data, each prompt is drawn once on average, and the draws are reproducible.
func TestBootstrapDraws(t *testing.T) {
	const n = 37
	b, again := newBootstrap(n), newBootstrap(n)
	each := make([]int, n)
	for r, times := range b.times {
		total := 0
		for i, k := range times {
			total += int(k)
			each[i] += int(k)
		}
		if total != n || !slices.Equal(times, again.times[r]) {
			t.Fatalf("resample %d has %d prompts of %d, the same again: %v", r, total, n, slices.Equal(times, again.times[r]))
		}
	}
	for i, k := range each {
		if math.Abs(float64(k)-Resamples) > 5*math.Sqrt(Resamples) { // Poisson, five deviations
			t.Errorf("prompt %d was drawn %d times in %d resamples", i, k, Resamples)
		}
	}
}

// Both ways to compute an interval agree where both apply: for a mean, including prompts without a number.
func TestBootstrapWays(t *testing.T) {
	const n = 30
	b := newBootstrap(n)
	rows := make([]sums, n)
	var values []value
	for i := range n {
		if i%7 == 3 {
			continue
		}
		v := math.Sin(float64(i)) + 1
		rows[i] = sums{n: 1, change: v, logOdds: 2 * v, p: v, p0: 1}
		values = append(values, value{v, i})
	}
	change, odds, ratio := b.means(rows)
	want := b.statistic([][]value{values}, average)
	near := func(a, b Number) bool { return math.Abs(float64(a-b)) < 1e-12 }
	if !near(change.Low, want.Low) || !near(change.High, want.High) || !near(odds.Low, 2*want.Low) || !near(ratio.High, want.High-1) {
		t.Errorf("change %v, log-odds %v, ratio %v; by drawing %v", change, odds, ratio, want)
	}
	// The average of two columns with the same numbers equals each of them.
	if two := b.statistic([][]value{values, values}, average); !near(two.Low, want.Low) || !near(two.High, want.High) {
		t.Errorf("two columns %v, want %v", two, want)
	}
}
