package stats_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func score(p float64, rank int) results.Score { return results.Score{LogP: math.Log(p), Rank: rank} }

func broken(s results.Status) results.Score {
	return results.Score{LogP: math.NaN(), Rank: -1, Status: s}
}

func cell(prompt, layer int, tau float64, source, memory string, s results.Score) results.Cell {
	return results.Cell{Prompt: prompt, Layer: layer, Tau: tau, Source: source, Memory: memory, Score: s}
}

// world is four prompts whose statistics can be computed by hand.
//
//	prompt   p0    layer 2, tau 1   tau 4    random words a, b
//	0        0.1   0.2  (+1)        nan      0.05 0.15  (-0.5 +0.5)
//	1        0.2   0.1  (-0.5)      0.4      0.2  0.4   (0    +1)
//	2        0.5   0.8  (+0.6)      0.5      0.5  0.25  (0    -0.5)
//	3        nan   0.3              0.3      0.3  0.3
func world() *results.Run {
	return &results.Run{
		Manifest: &results.Manifest{
			Model: results.Model{Name: "m"}, Data: results.File{Name: "d.csv"}, Encoding: "unembed", Convention: "tl-folded", Positions: "all",
			Memories: []results.Source{{Name: "random:words"}, {Name: "curated"}},
		},
		Prompts: []results.Prompt{
			{Index: 0, TwoHop: "a", Answer: "x", Clean: score(0.1, 3), Ceiling: score(0.2, 0)},
			{Index: 1, TwoHop: "b", Answer: "y", Clean: score(0.2, 0), Ceiling: score(0.2, 0)},
			{Index: 2, TwoHop: "c", Answer: "z", Clean: score(0.5, 0), Ceiling: results.None()},
			{Index: 3, TwoHop: "d", Answer: "w", Clean: broken(results.NaN), Ceiling: broken(results.Inf)},
		},
		Cells: []results.Cell{
			cell(0, 2, 1, "curated", "A", score(0.2, 1)),
			cell(0, 2, 4, "curated", "A", broken(results.NaN)),
			cell(0, 2, 1, "random:words", "a", score(0.05, 9)),
			cell(0, 2, 1, "random:words", "b", score(0.15, 5)),
			cell(1, 2, 1, "curated", "B", score(0.1, 4)),
			cell(1, 2, 4, "curated", "B", score(0.4, 0)),
			cell(1, 2, 1, "random:words", "a", score(0.2, 0)),
			cell(1, 2, 1, "random:words", "b", score(0.4, 1)),
			cell(2, 2, 1, "curated", "C", score(0.8, 0)),
			cell(2, 2, 4, "curated", "C", score(0.5, 0)),
			cell(2, 2, 1, "random:words", "a", score(0.5, 0)),
			cell(2, 2, 1, "random:words", "b", score(0.25, 2)),
			cell(3, 2, 1, "curated", "D", score(0.3, 0)),
			cell(3, 2, 4, "curated", "D", broken(results.Inf)),
			cell(3, 2, 1, "random:words", "a", score(0.3, 0)),
			cell(3, 2, 1, "random:words", "b", score(0.3, 0)),
		},
	}
}

// approx compares numbers to twelve digits; absent ones are equal.
var approx = cmp.Comparer(func(a, b stats.Number) bool { return near(float64(a), float64(b), 1e-12) })

func TestSummarize(t *testing.T) {
	s, err := stats.Summarize(world())
	if err != nil {
		t.Fatal(err)
	}
	ln := func(v float64) stats.Number { return stats.Number(math.Log(v)) }
	random := stats.Series{
		Model: "m", Data: "d.csv", Encoding: "unembed", Convention: "tl-folded", Positions: "all", Source: "random:words",
		Prompts: 4, Memories: 2, Cells: 8, NoClean: 1,
		TwoHop: stats.Level{N: 3, MeanP: 0.8 / 3, MedianP: 0.2, Surprisal: -ln(0.1*0.2*0.5) / 3, Ranked: 3, MeanRank: 1, MedianRank: 0, Top1: 2},
		OneHop: &stats.Level{N: 2, MeanP: 0.2, MedianP: 0.2, Surprisal: -ln(0.2), Ranked: 2, MeanRank: 0, MedianRank: 0, Top1: 2},
		Ceiling: &stats.Effect{
			Layer: -1, N: 2, NonFinite: 0, MeanP: 0.2, Change: 0.5, MedianChange: 0.5, Rejected: 0, Kept: 1, Improved: 1, Ratio: 0.4/0.3 - 1,
			LogOdds: ln(9./4) / 2, Surprisal: -ln(0.2), MedianRank: 0,
		},
		Layers: []int{2}, Taus: []float64{1},
		Grid: [][]stats.Effect{{{
			// By prompt: changes 0, 0.5, -0.25. By word: a: -0.5, 0, 0, of which only -0.5 is below the cutoff 0; b: 0.5, 1, -0.5, of
			// which 1 is not below the cutoff.
			Layer: 2, Tau: 1, N: 3, MeanP: (0.1 + 0.3 + 0.375) / 3, Change: 0.25 / 3, MedianChange: 0, Rejected: (-0.5 + 0) / 2, Kept: 3,
			Improved: 1, Ratio: 0.775/0.8 - 1,
			LogOdds:   (ln(9./19)/2 + ln(27./17)/2 + ln(8./3)/2 + ln(1./3)/2) / 3,
			Surprisal: -(ln(0.05*0.15)/2 + ln(0.2*0.4)/2 + ln(0.5*0.25)/2) / 3, MedianRank: 1,
		}}},
		Peaks: []stats.Peak{
			{Measure: "rejected", Layer: 2, Tau: 1, Value: -0.25},
			{Measure: "log_odds", Layer: 2, Tau: 1, Value: (ln(9./19)/2 + ln(27./17)/2 + ln(8./3)/2 + ln(1./3)/2) / 3},
		},
	}
	curated := random
	curated.Source, curated.Memories, curated.NonFinite, curated.Taus = "curated", 1, 2, []float64{1, 4}
	odds := (ln(9./4) + ln(4./9) + ln(4)) / 3
	curated.Grid = [][]stats.Effect{{
		{
			Layer: 2, Tau: 1, N: 3, MeanP: 1.1 / 3, Change: 1.1 / 3, MedianChange: 0.6, Rejected: 0.05, Kept: 2, Improved: 2, Ratio: 1.1/0.8 - 1,
			LogOdds: odds, Surprisal: -ln(0.2*0.1*0.8) / 3, MedianRank: 1,
		},
		{
			Layer: 2, Tau: 4, N: 2, NonFinite: 2, MeanP: 0.45, Change: 0.5, MedianChange: 0.5, Rejected: 0, Kept: 1, Improved: 1, Ratio: 0.9/0.7 - 1,
			LogOdds: ln(8./3) / 2, Surprisal: -ln(0.4*0.5) / 2, MedianRank: 0,
		},
	}}
	// Tau 4 has the higher log-odds, but not for every prompt: it does not compete.
	curated.Peaks = []stats.Peak{{Measure: "rejected", Layer: 2, Tau: 1, Value: 0.05}, {Measure: "log_odds", Layer: 2, Tau: 1, Value: odds}}
	want := &stats.Summary{Version: 1, Resamples: 1000, Series: []stats.Series{random, curated}}

	opts := cmp.Options{approx, cmpopts.IgnoreTypes(stats.Interval{}, &stats.Interval{}), cmpopts.IgnoreFields(stats.Series{}, "Best")}
	if d := cmp.Diff(want, s, opts); d != "" {
		t.Errorf("summary (-want +got):\n%s", d)
	}

	// The best cells equal those of the grid, plus the intervals that a grid does not have.
	for i, series := range s.Series {
		if len(series.Best) != 2 {
			t.Fatalf("series %d has %d best cells", i, len(series.Best))
		}
		for _, b := range series.Best {
			if d := cmp.Diff(series.Grid[0][0], b.Effect, approx, cmpopts.IgnoreTypes(&stats.Interval{})); d != "" {
				t.Errorf("best of series %d differs from the grid:\n%s", i, d)
			}
			if b.Effect.MedianInterval == nil || b.Effect.RejectedInterval == nil || b.Held == nil {
				t.Errorf("best of series %d by %s lacks an interval or the held-out half", i, b.Measure)
			}
		}
	}

	// Every absent number is null in JSON, and reading restores it.
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"NaN", "Inf"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the JSON contains %s", bad)
		}
	}
	var back stats.Summary
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, &back, approx); d != "" {
		t.Errorf("JSON changes the summary:\n%s", d)
	}
}

func TestNumberJSON(t *testing.T) {
	tests := []struct {
		n    stats.Number
		want string
	}{
		{0.25, "0.25"}, {-1e-300, "-1e-300"}, {0, "0"}, {stats.None(), "null"},
		{stats.Number(math.Inf(1)), "null"}, {stats.Number(math.Inf(-1)), "null"},
	}
	for _, tt := range tests {
		text, err := json.Marshal(tt.n)
		if err != nil || string(text) != tt.want {
			t.Errorf("%v is %s (%v), want %s", float64(tt.n), text, err, tt.want)
		}
		var back stats.Number
		if err := json.Unmarshal(text, &back); err != nil || back.OK() != tt.n.OK() || tt.n.OK() && back != tt.n {
			t.Errorf("%s reads as %v (%v)", text, float64(back), err)
		}
	}
	if err := json.Unmarshal([]byte(`"x"`), new(stats.Number)); err == nil {
		t.Error("a text reads as a number")
	}
}

// A probability of 0 or 1 that float32 rounded must not make a mean infinite.
func TestSummarizeExtremes(t *testing.T) {
	run := &results.Run{
		Prompts: []results.Prompt{{Index: 0, Clean: score(0.5, 0), Ceiling: results.None()}, {Index: 1, Clean: score(0.5, 0), Ceiling: results.None()}},
		Cells:   []results.Cell{cell(0, 0, 1, "curated", "", score(0, 9)), cell(1, 0, 1, "curated", "", score(1, 0))},
	}
	s, err := stats.Summarize(run)
	if err != nil {
		t.Fatal(err)
	}
	e := s.Series[0].Grid[0][0]
	want := stats.Effect{
		Tau: 1, N: 2, MeanP: 0.5, Change: 0, MedianChange: 0, Rejected: -1, Kept: 1, Improved: 1, Ratio: 0,
		LogOdds:   stats.Number((-149 + 24) * math.Ln2 / 2), // ln(2^-149) and -ln(2^-24)
		Surprisal: stats.Number(149 * math.Ln2 / 2), MedianRank: 4.5,
	}
	if d := cmp.Diff(want, e, approx, cmpopts.IgnoreTypes(stats.Interval{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if s.Series[0].OneHop != nil || s.Series[0].Ceiling != nil {
		t.Error("there is a ceiling where the data has none")
	}
}

// A prompt whose clean probability is 0, or would be 0 in float32, counts only in NoClean, because no change can be
// computed.
func TestSummarizeNoClean(t *testing.T) {
	run := &results.Run{
		Prompts: []results.Prompt{
			{Index: 5, Clean: score(0, 9), Ceiling: results.None()},
			{Index: 6, Clean: results.Score{LogP: -800, Rank: 9}, Ceiling: results.None()},
		},
		Cells: []results.Cell{cell(5, 0, 1, "curated", "", score(0.5, 0)), cell(6, 0, 1, "curated", "", score(0.5, 0))},
	}
	s, err := stats.Summarize(run)
	if err != nil {
		t.Fatal(err)
	}
	got := s.Series[0]
	if got.NoClean != 2 || got.Grid[0][0].N != 0 || got.Best == nil || len(got.Best) != 0 { // no best cells are [] in JSON, not null
		t.Errorf("NoClean %d, N %d, %d best cells; want 2, 0, 0", got.NoClean, got.Grid[0][0].N, len(got.Best))
	}
	if p := got.Peaks[0]; p.Tau.OK() || p.Value.OK() {
		t.Errorf("there is a best tau without data: %+v", p)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

func TestSummarizeErrors(t *testing.T) {
	twice := world()
	twice.Dir = "out"
	twice.Prompts = append(twice.Prompts, twice.Prompts[1])
	stray := world()
	stray.Cells = append(stray.Cells, cell(7, 2, 1, "curated", "", score(0.5, 0)))
	tests := []struct {
		name string
		run  *results.Run
		want string
	}{
		{"nil", nil, "summarize: no run"},
		{"prompt twice", twice, `summarize "out": prompt 1 appears twice`},
		{"stray cell", stray, `summarize a run: a cell (layer 2, tau 1, "curated") belongs to prompt 7, which is not in the run`},
	}
	for _, tt := range tests {
		if _, err := stats.Summarize(tt.run); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	if s, err := stats.Summarize(&results.Run{}); err != nil || len(s.Series) != 0 {
		t.Errorf("a run without cells gives %v, %v", s, err)
	}
}

// Two cells: one is good for the first, third, … prompt, the other is slightly good for all. When cells are chosen and
// reported on the same prompts, the first wins; on the held-out half, it shows its true effect.
func TestHeld(t *testing.T) {
	run := &results.Run{}
	for i := range 20 {
		run.Prompts = append(run.Prompts, results.Prompt{Index: i, Clean: score(0.1, 5), Ceiling: results.None()})
		lucky := 0.01
		if i%2 == 0 {
			lucky = 0.9
		}
		run.Cells = append(run.Cells, cell(i, 0, 1, "curated", "", score(lucky, 0)), cell(i, 1, 1, "curated", "", score(0.11, 0)))
	}
	s, err := stats.Summarize(run)
	if err != nil {
		t.Fatal(err)
	}
	b := s.Series[0].Best[1]
	if b.Measure != stats.ByLogOdds || b.Effect.Layer != 0 {
		t.Fatalf("best is layer %d by %s, want 0 by log_odds", b.Effect.Layer, b.Measure)
	}
	if h := b.Held; h.Layer != 0 || h.Chosen.N != 10 || h.Other.N != 10 ||
		!near(float64(h.Chosen.LogOdds), math.Log(81), 1e-12) || !near(float64(h.Other.LogOdds), math.Log(1./11), 1e-12) {
		t.Errorf("held: %+v", h)
	}
}
