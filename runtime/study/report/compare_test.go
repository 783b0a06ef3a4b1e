package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func allSeries(t *testing.T, runs ...*results.Run) []*series {
	t.Helper()
	sum, err := stats.Summarize(runs...)
	if err != nil {
		t.Fatal(err)
	}
	return newSeries(sum, runs, distinct(runLabels(runs), runs))
}

// only keeps the cells that satisfy keep.
func only(r *results.Run, keep func(results.Cell) bool) *results.Run {
	r.Cells = slices.DeleteFunc(r.Cells, func(c results.Cell) bool { return !keep(c) })
	return r
}

func with(r *results.Run, change func(*results.Run)) *results.Run {
	change(r)
	return r
}

// Series are compared only for the same model, data, encoding, convention, positions and prompts. The cell is the best of
// those that both have.
func TestCompare(t *testing.T) {
	curatedOnly := func() *results.Run {
		return only(made(usual), func(c results.Cell) bool { return c.Source == curated })
	}
	others := func(change func(*results.Run)) *results.Run {
		r := only(made(usual), func(c results.Cell) bool { return c.Source == "none" && c.Layer == 1 && c.Tau < 8 })
		if change != nil {
			change(r)
		}
		return r
	}
	tests := []struct {
		name string
		runs []*results.Run
		want []string // reference / control @ cell
	}{
		{"one run", []*results.Run{made(usual)}, []string{"curated / none @ layer 2, tau 4", "curated / random:nouns @ layer 2, tau 4"}},
		{"of two runs, at a cell that both have", []*results.Run{others(nil), curatedOnly()}, []string{"curated / none @ layer 1, tau 4"}},
		{"the best cell has a number for few", []*results.Run{with(made(usual), func(r *results.Run) {
			for i, c := range r.Cells {
				if c.Source == curated && c.Layer == 2 && c.Tau == 4 && c.Prompt > 0 {
					r.Cells[i].Score = results.Score{LogP: math.NaN(), Rank: -1, Status: results.NaN}
				}
			}
		})}, []string{"curated / none @ layer 3, tau 4", "curated / random:nouns @ layer 3, tau 4"}},
		{"no cell in common", []*results.Run{only(curatedOnly(), func(c results.Cell) bool { return c.Layer == 0 }), others(nil)}, nil},
		{"another encoding", []*results.Run{curatedOnly(), others(func(r *results.Run) { r.Manifest.Encoding = "embed" })}, nil},
		{"another token of the answer", []*results.Run{curatedOnly(), others(func(r *results.Run) { r.Manifest.Texts.AnswerSpace = !r.Manifest.Texts.AnswerSpace })}, nil},
		{"another model of the same name", []*results.Run{curatedOnly(), others(func(r *results.Run) { r.Manifest.Model.SHA256 = "other" })}, nil},
		{"other prompts under the same name", []*results.Run{curatedOnly(), others(func(r *results.Run) { r.Prompts[3].TwoHop = "Another" })}, nil},
		{
			"no curated memories", []*results.Run{only(made(usual), func(c results.Cell) bool { return c.Source != curated && c.Layer == 0 && c.Tau == 1 })},
			[]string{"none / random:nouns @ layer 0, tau 1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := compare(allSeries(t, tt.runs...))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range list {
				for _, row := range c.Rows {
					got = append(got, c.Against.Source+" / "+row.Source+" @ "+row.At.String())
					want, err := stats.Compare(c.Against.at(row.At), row.at(row.At))
					if err != nil || want.LogOdds != row.Difference.LogOdds {
						t.Errorf("difference %v, want %v, error %v", row.Difference, want, err)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func atResidPost(r *results.Run) {
	r.Manifest.Sites = []models.PortKind{models.PortResidPost}
	for i := range r.Cells {
		r.Cells[i].Site = models.PortResidPost
	}
}

// Memories at another site are another experiment: they are no controls of each other.
func TestGroupsOfSites(t *testing.T) {
	elsewhere := with(made(usual), atResidPost)
	same := with(made(usual), func(r *results.Run) { r.Dir = "second" })
	var sizes []int
	for _, g := range groups(allSeries(t, made(usual), elsewhere, same)) {
		sizes = append(sizes, len(g))
	}
	each := len(allSeries(t, made(usual)))
	if diff := cmp.Diff([]int{2 * each, each}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestLabels(t *testing.T) {
	other := func(change func(*results.Run)) *results.Run { return with(made(usual), change) }
	tests := []struct {
		name string
		runs []*results.Run
		want []string
	}{
		{"one", []*results.Run{made(usual)}, []string{"tiny"}},
		{"encodings", []*results.Run{made(usual), other(func(r *results.Run) { r.Manifest.Encoding = "layer" })}, []string{"unembed", "layer"}},
		{"sites", []*results.Run{made(usual), other(atResidPost)}, []string{"attn_out", "resid_post"}},
		{
			"models and data", []*results.Run{made(usual), other(func(r *results.Run) {
				r.Manifest.Model.Name, r.Manifest.Data.Name = "big", "a_very_long_name_of_data.csv"
			})},
			[]string{"tiny · facts", "big · a_very_long_name_of…"},
		},
		{"texts", []*results.Run{made(usual), other(func(r *results.Run) { r.Manifest.Texts.PromptBOS = false })}, []string{"tiny", "prompt-bos false"}},
		{"folders", []*results.Run{made(usual), other(func(r *results.Run) { r.Dir = "x/second" })}, []string{"tiny · out", "tiny · second"}},
		{"nothing", []*results.Run{made(usual), made(usual)}, []string{"tiny · out · run 1", "tiny · out · run 2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, distinct(runLabels(tt.runs), tt.runs)); diff != "" {
				t.Error(diff)
			}
			seen := map[string]bool{}
			for _, s := range allSeries(t, tt.runs...) {
				if seen[s.Label] {
					t.Errorf("two series have the label %q", s.Label)
				}
				seen[s.Label] = true
			}
		})
	}
}

// The two lists hold the ends, in order, and never the same prompt.
func TestExtremes(t *testing.T) {
	run := made(usual)
	s := allSeries(t, run)[0]
	for _, n := range []int{0, 1, 2, 3, 9, 10, 11, 30} {
		effects, err := stats.Changes(s.at(cell{layer: 2, tau: 4}))
		if err != nil {
			t.Fatal(err)
		}
		effects = effects[:n]
		best, worst := extremes(s, effects, func(_ *results.Run, id int64) string { return map[int64]string{7: "seven"}[id] })
		if len(best) != min(shown, (n+1)/2) || len(worst) != min(shown, n/2) {
			t.Errorf("%d prompts: %d best, %d worst", n, len(best), len(worst))
		}
		seen := map[int]bool{}
		last := math.Inf(1)
		for _, x := range slices.Concat(best, reversed(worst)) {
			if seen[x.Index] || x.Effect.LogOdds > last {
				t.Errorf("%d prompts: prompt %d, log-odds %g after %g", n, x.Index, x.Effect.LogOdds, last)
			}
			seen[x.Index], last = true, x.Effect.LogOdds
			if want := run.Prompts[x.Index].TwoHop; x.Prompt != want || x.Before[1] != (token{"seven", true}) || !strings.HasPrefix(x.After[0].Text, "#") && x.After[0].Text != "seven" {
				t.Errorf("prompt %d: %+v", x.Index, x)
			}
		}
	}
}

func reversed(list []example) []example {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// No bar of the histogram has both gains and losses, and every prompt is in a bar.
func TestBins(t *testing.T) {
	for _, values := range [][]float64{{0}, {-1}, {2}, {-2.5, -0.1, 0, 0.1, 3}, {1e-9, 2e-9}, {-1000, 1000}, {0, 0, 0}} {
		h := bins(values)
		n := 0.0
		for _, b := range h.Bins {
			n += b.Weight
			if b.Min < 0 && b.Max > 0 || b.Max <= b.Min {
				t.Errorf("%v: a bar from %g to %g", values, b.Min, b.Max)
			}
		}
		if n != float64(len(values)) || len(h.Bins) > 70 {
			t.Errorf("%v: %g in %d bars", values, n, len(h.Bins))
		}
	}
}

// Warnings that a reader needs appear next to the best cell.
func TestRemarks(t *testing.T) {
	s := allSeries(t, made(usual))[0]
	effect := stats.Effect{Layer: 1, Tau: 8, Rejected: 2, MedianChange: -0.1, NonFinite: 2}
	got := s.remarks(stats.Best{Measure: stats.ByRejected, Effect: effect, Held: &stats.Held{Layer: 0, Tau: 4}})
	want := []string{
		"the largest tau that was tried: a larger one may have more effect", "most prompts lose here: a few prompts dominate the mean",
		"half of the prompts choose layer 0, tau 4", "2 cells without a number",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := s.remarks(stats.Best{Measure: stats.ByLogOdds, Effect: stats.Effect{Layer: 1, Tau: 4, LogOdds: 1, MedianChange: 1}}); got != nil {
		t.Errorf("%q", got)
	}
}
