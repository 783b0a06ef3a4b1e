package stats_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// exact compares numbers bit by bit; absent ones are equal.
var exact = cmp.Comparer(func(a, b stats.Number) bool { return a == b || !a.OK() && !b.OK() })

// columned gives each prompt of a run a value of the column kind.
func columned(run *results.Run, values ...string) *results.Run {
	run.Manifest.Columns = []string{"other", "kind"}
	for i := range run.Prompts {
		run.Prompts[i].Further = []string{"x", values[i]}
	}
	return run
}

func groups(t interface {
	Helper()
	Fatal(...any)
}, run *results.Run, s *stats.Series) []stats.Group {
	t.Helper()
	out, err := s.GroupBy(run, "kind", stats.ByLogOdds)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGroupBy(t *testing.T) {
	run := columned(world(), "b", "a", "b", "c")
	sum, err := stats.Summarize(run)
	if err != nil {
		t.Fatal(err)
	}
	ln := func(v float64) stats.Number { return stats.Number(math.Log(v)) }
	// The best cell of the curated memories is layer 2, tau 1: tau 4 has a prompt less. Prompt 3 has no number without a memory. The first
	// half is prompts 0 and 2, and the second prompt 1; on the first half, tau 1 is the best as well.
	got := groups(t, run, &sum.Series[1])
	if len(got) != 3 || got[0].Value != "b" || got[1].Value != "a" || got[2].Value != "c" {
		t.Fatalf("the groups are %+v", got)
	}
	b, a, c := got[0], got[1], got[2]
	if b.Prompts != 2 || b.Effect.N != 2 || b.Effect.Improved != 2 || !near(float64(b.MeanP0), 0.3, 1e-12) || !near(float64(b.Effect.MeanP), 0.5, 1e-12) ||
		!near(float64(b.Effect.LogOdds), float64(ln(9./4)+ln(4))/2, 1e-12) || !b.Effect.LogOddsInterval.Low.OK() || b.Other != nil {
		t.Errorf("group b is %+v", b)
	}
	if a.Prompts != 1 || a.Effect.N != 1 || a.Effect.Improved != 0 || !near(float64(a.Effect.LogOdds), float64(ln(4./9)), 1e-12) || a.Effect.LogOddsInterval.Low.OK() ||
		a.Other == nil || a.Other.N != 1 || !near(float64(a.Other.LogOdds), float64(ln(4./9)), 1e-12) {
		t.Errorf("group a is %+v, %+v", a, a.Other)
	}
	if c.Prompts != 1 || c.Effect.N != 0 || c.Effect.LogOdds.OK() || c.MeanP0.OK() || c.Effect.Layer != 2 || c.Effect.Tau != 1 {
		t.Errorf("group c is %+v", c)
	}
	harm := sum.Series[1]
	harm.Harm = true
	if got := groups(t, run, &harm); got[0].Value != "a" || got[2].Value != "c" {
		t.Errorf("with harm the groups are %+v", got)
	}
	if got, err := sum.Series[1].GroupBy(run, "answer", stats.ByLogOdds); got != nil || err != nil {
		t.Errorf("a column that is not there: %+v, %v", got, err)
	}
}

// A group is what a run of its prompts alone gives at the same cell, with the same intervals. Groups together have all prompts.
func TestGroupIsItsPromptsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := anyRun(t)
		var values []string
		for range run.Prompts {
			values = append(values, rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "kind"))
		}
		columned(run, values...)
		whole := summarize(t, run)
		all := groups(t, run, &whole)
		i := slices.IndexFunc(whole.Best, func(b stats.Best) bool { return b.Measure == stats.ByLogOdds })
		if i < 0 {
			if all != nil {
				t.Fatalf("without a best cell there are %d groups", len(all))
			}
			return
		}
		best := whole.Best[i]
		prompts, n, other := 0, 0, 0
		for _, g := range all {
			alone := &results.Run{Manifest: run.Manifest}
			in := map[int]bool{}
			for i, p := range run.Prompts {
				if values[i] == g.Value {
					alone.Prompts, in[p.Index] = append(alone.Prompts, p), true
				}
			}
			for _, c := range run.Cells {
				if in[c.Prompt] {
					alone.Cells = append(alone.Cells, c)
				}
			}
			series := summarize(t, alone)
			want := series.Grid[slices.Index(series.Layers, best.Effect.Layer)][slices.Index(series.Taus, best.Effect.Tau)]
			want.NonFinite, g.Effect.NonFinite = 0, 0 // the summary counts those of prompts without a number, too
			if d := cmp.Diff(want, g.Effect, exact); d != "" || g.Prompts != series.Prompts {
				t.Fatalf("group %q has %d prompts, alone %d (-alone +group):\n%s", g.Value, g.Prompts, series.Prompts, d)
			}
			prompts, n = prompts+g.Prompts, n+g.Effect.N
			if g.Other != nil {
				other += g.Other.N
			}
		}
		if prompts != len(run.Prompts) || n != best.Effect.N {
			t.Fatalf("the groups have %d prompts, of which %d count; want %d and %d", prompts, n, len(run.Prompts), best.Effect.N)
		}
		if best.Held != nil && other != best.Held.Other.N || best.Held == nil && other != 0 {
			t.Fatalf("the groups have %d prompts in the other half, held is %+v", other, best.Held)
		}
		for i := 1; i < len(all); i++ {
			if x, y := all[i-1].Effect.LogOdds, all[i].Effect.LogOdds; y.OK() && !(x >= y) {
				t.Fatalf("group %d has the effect %v, and the next one %v", i-1, x, y)
			}
		}
	})
}
