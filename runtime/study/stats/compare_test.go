package stats_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func TestCompare(t *testing.T) {
	run := world()
	d, err := stats.Compare(stats.At{Run: run, Point: results.Point{Source: "curated", Layer: 2, Tau: 1}}, stats.At{Run: run, Point: results.Point{Source: "random:words", Layer: 2, Tau: 1}})
	if err != nil {
		t.Fatal(err)
	}
	// Differences of changes by prompt: 1-0, -0.5-0.5, 0.6+0.25.
	ln := func(v float64) stats.Number { return stats.Number(math.Log(v)) }
	want := &stats.Difference{
		N: 3, Better: 2, Change: 0.85 / 3, MedianChange: 0.85,
		LogOdds: (ln(9./4) + ln(4./9) + ln(4) - ln(9./19)/2 - ln(27./17)/2 - ln(8./3)/2 - ln(1./3)/2) / 3,
	}
	if diff := cmp.Diff(want, d, approx, cmpopts.IgnoreTypes(stats.Interval{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !(d.ChangeInterval.Low < d.Change && d.Change < d.ChangeInterval.High) {
		t.Errorf("the interval %+v does not contain %v", d.ChangeInterval, d.Change)
	}

	// Only prompts with a number in both count.
	d, err = stats.Compare(stats.At{Run: run, Point: results.Point{Source: "curated", Layer: 2, Tau: 1}}, stats.At{Run: run, Point: results.Point{Source: "curated", Layer: 2, Tau: 4}})
	if err != nil || d.N != 2 {
		t.Errorf("%+v, %v; want 2 prompts", d, err)
	}

	other := world()
	other.Prompts[1].Answer = "q"
	_, err = stats.Compare(stats.At{Run: run, Point: results.Point{Source: "curated", Layer: 2, Tau: 1}}, stats.At{Run: other, Point: results.Point{Source: "curated", Layer: 2, Tau: 1}})
	if want := `compare a run with a run: prompt 1 is "b", answer "y", in one and "b", answer "q", in the other`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = stats.Compare(stats.At{Run: run, Point: results.Point{Source: "curated", Layer: 2, Tau: 1}}, stats.At{Run: run, Point: results.Point{Source: "wrong", Layer: 2, Tau: 1}})
	if want := `look up layer 2, tau 1, "wrong": a run has no such cell`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestChanges(t *testing.T) {
	run := world()
	got, err := stats.Changes(stats.At{Run: run, Point: results.Point{Source: "random:words", Layer: 2, Tau: 1}})
	if err != nil {
		t.Fatal(err)
	}
	want := []stats.PromptEffect{
		{Prompt: 0, Before: 0.1, After: 0.1, Change: 0, LogOdds: (math.Log(9./19) + math.Log(27./17)) / 2},
		{Prompt: 1, Before: 0.2, After: 0.3, Change: 0.5, LogOdds: math.Log(8./3) / 2},
		{Prompt: 2, Before: 0.5, After: 0.375, Change: -0.25, LogOdds: math.Log(1./3) / 2},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateApprox(1e-12, 1e-12), cmpopts.IgnoreFields(stats.PromptEffect{}, "Cells")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(got) != 3 || len(got[1].Cells) != 2 || got[1].Cells[1] != &run.Cells[7] {
		t.Error("the cells of a prompt are not those of the run")
	}
}

// The progress line and the summary name the same cell.
func TestRunning(t *testing.T) {
	var r stats.Running
	if _, ok := r.Best(); ok {
		t.Error("there is a best cell without data")
	}
	run := world()
	for _, p := range run.Prompts {
		r.Add(p, run.Cells[p.Index*4:min(p.Index*4+4, len(run.Cells))])
	}
	got, ok := r.Best()
	want := stats.Leader{Point: results.Point{Source: "curated", Layer: 2, Tau: 1}, N: 3, Improved: 2, LogOdds: math.Log(4) / 3}
	if d := cmp.Diff(want, got, cmpopts.EquateApprox(1e-12, 0)); !ok || d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
