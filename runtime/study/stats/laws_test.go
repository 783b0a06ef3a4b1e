package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// anyScore draws a score; one in eight has no number.
func anyScore(t *rapid.T, label string) results.Score {
	if rapid.IntRange(0, 7).Draw(t, label+" broken") == 0 {
		return broken(rapid.SampledFrom([]results.Status{results.NaN, results.Inf}).Draw(t, label))
	}
	return results.Score{LogP: rapid.Float64Range(-30, 0).Draw(t, label), Rank: rapid.IntRange(-1, 50000).Draw(t, label+" rank")}
}

// anyRun draws a complete grid: every prompt has the same number of memories at every layer and tau.
func anyRun(t *rapid.T) *results.Run {
	run := &results.Run{Manifest: &results.Manifest{}}
	layers, taus, memories := rapid.IntRange(1, 3).Draw(t, "layers"), rapid.IntRange(1, 3).Draw(t, "taus"), rapid.IntRange(1, 3).Draw(t, "memories")
	for i := range rapid.IntRange(1, 9).Draw(t, "prompts") {
		run.Prompts = append(run.Prompts, results.Prompt{Index: i, Clean: anyScore(t, "clean"), Ceiling: anyScore(t, "ceiling")})
		for l := range layers {
			for tau := range taus {
				for range memories {
					run.Cells = append(run.Cells, cell(i, l, float64(tau), "curated", "", anyScore(t, "cell")))
				}
			}
		}
	}
	return run
}

func summarize(t *rapid.T, run *results.Run) stats.Series {
	t.Helper()
	s, err := stats.Summarize(run)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Series) != 1 {
		t.Fatalf("%d series, want 1", len(s.Series))
	}
	return s.Series[0]
}

// The order of prompts and cells in a run does not matter, except the order of the memories of one prompt.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun(t)
		want := summarize(t, run)
		mixed := &results.Run{Manifest: run.Manifest, Prompts: rapid.Permutation(run.Prompts).Draw(t, "prompts")}
		var order []int
		for i := range run.Prompts {
			order = append(order, i)
		}
		for _, p := range rapid.Permutation(order).Draw(t, "cells") {
			for _, c := range run.Cells {
				if c.Prompt == p {
					mixed.Cells = append(mixed.Cells, c)
				}
			}
		}
		exact := cmp.Comparer(func(a, b stats.Number) bool { return a == b || !a.OK() && !b.OK() })
		// The paper's rule drops by value, so equal changes of two prompts may swap; nothing else may differ.
		if d := cmp.Diff(want, summarize(t, mixed), exact); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// A memory without an effect changes nothing, at any layer and tau.
func TestNothingGivesZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun(t)
		for i, c := range run.Cells {
			run.Cells[i].Score = run.Prompts[c.Prompt].Clean
		}
		for _, line := range summarize(t, run).Grid {
			for _, e := range line {
				if e.N == 0 {
					continue
				}
				for name, v := range map[string]stats.Number{"change": e.Change, "median": e.MedianChange, "log-odds": e.LogOdds} {
					if v != 0 {
						t.Errorf("layer %d, tau %g: %s is %v", e.Layer, e.Tau, name, v)
					}
				}
				if !near(float64(e.Ratio), 0, 1e-9) { // sums of p/k and of p0 round differently
					t.Errorf("layer %d, tau %g: ratio is %v", e.Layer, e.Tau, e.Ratio)
				}
				if e.Improved != 0 || e.Kept != 0 || e.Rejected.OK() {
					t.Errorf("layer %d, tau %g: improved %d, kept %d, rejected %v", e.Layer, e.Tau, e.Improved, e.Kept, e.Rejected)
				}
			}
		}
	})
}

// Forty memories of a prompt are not forty prompts: the same memory twice gives the same effect, intervals included.
func TestMemoriesDoNotMultiply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun(t)
		twice := &results.Run{Manifest: run.Manifest, Prompts: run.Prompts}
		for _, c := range run.Cells {
			twice.Cells = append(twice.Cells, c, c)
		}
		one, two := summarize(t, run), summarize(t, twice)
		for i, line := range one.Grid {
			for j, e := range line {
				e.Kept, e.NonFinite = 2*e.Kept, 2*e.NonFinite // these count cells
				if d := cmp.Diff(e, two.Grid[i][j], approx); d != "" {
					t.Errorf("(-once +twice):\n%s", d)
				}
			}
		}
	})
}

// Counts add up, the ends of an interval are in order, and no cell is better than the best.
func TestCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun(t)
		s := summarize(t, run)
		usable := s.Prompts - s.NoClean
		bad, cells := 0, 0
		for _, c := range run.Cells {
			cells++
			if !c.OK() {
				bad++
			}
		}
		if s.Cells != cells || s.NonFinite != bad || s.Prompts != len(run.Prompts) {
			t.Errorf("%d cells, %d without a number, %d prompts; want %d, %d, %d", s.Cells, s.NonFinite, s.Prompts, cells, bad, len(run.Prompts))
		}
		most := 0
		for _, line := range s.Grid {
			for _, e := range line {
				most = max(most, e.N)
				if e.N > usable || e.Improved > e.N || e.Kept > e.N*s.Memories {
					t.Errorf("counts do not add up: %+v of %d prompts", e, usable)
				}
				for _, in := range []stats.Interval{e.ChangeInterval, e.RatioInterval, e.LogOddsInterval} {
					if in.Low.OK() != (e.N >= 2) || in.Low > in.High {
						t.Errorf("interval %+v of %d prompts", in, e.N)
					}
				}
			}
		}
		for _, b := range s.Best {
			for _, line := range s.Grid {
				for _, e := range line {
					if e.N == most && e.Value(b.Measure) > b.Effect.Value(b.Measure) {
						t.Errorf("by %s, %+v is better than %+v", b.Measure, e, b.Effect)
					}
				}
			}
			if h := b.Held; h != nil && (h.Chosen.N > (usable+1)/2 || h.Other.N > usable/2 || h.Other.Layer != h.Layer || h.Other.Tau != h.Tau) {
				t.Errorf("halves of %d prompts: %d and %d", usable, h.Chosen.N, h.Other.N)
			}
		}
	})
}

// The progress line and the summary use the same numbers.
func TestRunningAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun(t)
		per := len(run.Cells) / len(run.Prompts)
		var r stats.Running
		for i, p := range run.Prompts {
			r.Add(p, run.Cells[i*per:(i+1)*per])
		}
		got, ok := r.Best()
		best := summarize(t, run).Best
		i := slices.IndexFunc(best, func(b stats.Best) bool { return b.Measure == stats.ByLogOdds })
		if ok != (i >= 0) {
			t.Fatalf("a best cell: %v, in the summary: %v", ok, i >= 0)
		}
		if want := 0.0; ok {
			want = float64(best[i].Effect.LogOdds)
			if !near(got.LogOdds, want, 1e-9) || got.N != best[i].Effect.N {
				t.Errorf("%+v, want %+v", got, best[i].Effect)
			}
		}
	})
}

// The interval of a mean contains the true mean about 19 times in 20. Percentile intervals of 50 values contain it slightly
// less often.
func TestIntervalCovers(t *testing.T) {
	const runs, n, shift = 300, 50, 0.3
	random := rand.New(rand.NewPCG(1, 2))
	held, width := 0, 0.0
	for range runs {
		run := &results.Run{}
		for i := range n {
			// The log-odds of the clean prompt are 0. Those of the cell are normal with mean shift and standard deviation 1.
			odds := shift + random.NormFloat64()
			run.Prompts = append(run.Prompts, results.Prompt{Index: i, Clean: score(0.5, 0), Ceiling: results.None()})
			run.Cells = append(run.Cells, cell(i, 0, 1, "curated", "", results.Score{LogP: -math.Log1p(math.Exp(-odds))}))
		}
		e, err := stats.At{Run: run, Point: results.Point{Source: "curated", Tau: 1}}.Effect()
		if err != nil {
			t.Fatal(err)
		}
		if e.MedianInterval == nil || e.RejectedInterval == nil {
			t.Fatal("an interval is missing")
		}
		in := e.LogOddsInterval
		width += float64(in.High-in.Low) / runs
		if in.Low <= shift && shift <= in.High {
			held++
		}
	}
	if held < 270 || held > 295 { // expected 285, standard deviation 4
		t.Errorf("%d of %d intervals contain the true mean", held, runs)
	}
	if want := 2 * 1.96 / math.Sqrt(n); !near(width, want, 0.05) {
		t.Errorf("intervals are %.3f wide, want %.3f", width, want)
	}
}

// BenchmarkSummarize has the size of the paper's larger data: 1000 prompts, 12 layers, 15 taus, 3 encodings.
func BenchmarkSummarize(b *testing.B) {
	random := rand.New(rand.NewPCG(3, 4))
	var runs []*results.Run
	for range 3 {
		run := &results.Run{}
		for i := range 1000 {
			run.Prompts = append(run.Prompts, results.Prompt{Index: i, Clean: score(random.Float64(), 0), Ceiling: score(random.Float64(), 0)})
			for l := range 12 {
				for tau := range 15 {
					run.Cells = append(run.Cells, cell(i, l, float64(tau), "curated", "", score(random.Float64(), 0)))
				}
			}
		}
		runs = append(runs, run)
	}
	for b.Loop() {
		if _, err := stats.Summarize(runs...); err != nil {
			b.Fatal(err)
		}
	}
}
