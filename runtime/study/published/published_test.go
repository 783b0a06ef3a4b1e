package published_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/published"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// publishedDir is the folder with the authors' files: the extract for these tests, or all files when ONNX_INJECT_PAPER names
// a folder created by scripts/paper.sh.
func publishedDir() string { return cmp.Or(os.Getenv("ONNX_INJECT_PAPER"), "testdata/paper") }

// open reads the sets that the tests need; the folder may be a checkout of the authors' repository, which has many more.
func open(t *testing.T) []*results.Run {
	t.Helper()
	sets, err := published.Find(publishedDir())
	if err != nil {
		t.Fatal(err)
	}
	var runs []*results.Run
	for _, s := range sets {
		nouns := slices.Contains(s.Sources, "random:nouns")
		if s.Model != "gpt2-small" || s.Data != "hand" && s.Encoding+s.Sources[0] != "unembedcurated" || strings.HasPrefix(s.Sources[0], "random") && !nouns {
			continue
		}
		run, err := s.Read()
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	return runs
}

func find(t *testing.T, runs []*results.Run, data, encoding, source string) *results.Run {
	t.Helper()
	for _, r := range runs {
		m := r.Manifest
		if m.Model.Name == "gpt2-small" && m.Data.Name == data && m.Encoding == encoding &&
			slices.ContainsFunc(m.Memories, func(s results.Source) bool { return s.Name == source }) {
			return r
		}
	}
	t.Fatalf("no run of gpt2-small on %s, %s, memories from %s", data, encoding, source)
	return nil
}

const hand, wiki = "handwritten_obscure_explicit_data.csv", "multi_hop_1000.csv"

// figure is the expected statistics of one cell of GPT-2 small, computed with numpy from the authors' files and rounded to
// the digits given here.
type figure struct {
	data, encoding, source string
	layer                  int
	tau                    float64
	rejected               string // percent
	median                 string // percent
	improved, n            int
	ratio                  string // percent
}

// bestCells are the best cells by the paper's measure, the cell of the headline, and random words at the paper's cell.
var bestCells = []figure{
	{hand, "unembed", "curated", 6, 3, "+53.0", "+29.3", 69, 106, "+22.1"},
	{hand, "unembed", "curated", 7, 3, "+49.8", "+24.1", 71, 106, "+17.9"},
	{hand, "embed", "curated", 7, 4, "+40.0", "+7.5", 57, 106, "+10.2"},
	{hand, "layer", "curated", 9, 15, "+304.6", "-33.4", 41, 106, "-15.6"},
	{wiki, "unembed", "curated", 6, 5, "+247.1", "-14.3", 474, 1000, "-10.1"},
	{hand, "unembed", "file:verbs", 7, 3, "-6.7", "-6.2", 30, 106, "-5.5"},
}

// moreCells are the same cell of the generated prompts at the next layer, and the other lists of random words.
var moreCells = []figure{
	{wiki, "unembed", "curated", 7, 5, "+300.4", "+15.9", 526, 1000, "+14.5"},
	{hand, "unembed", "file:adjectives", 7, 3, "-6.3", "-4.6", 41, 106, "-6.8"},
	{hand, "unembed", "file:adverbs", 7, 3, "-5.5", "-5.1", 31, 106, "-5.3"},
	{hand, "unembed", "file:conjunctions", 7, 3, "-6.2", "-4.6", 37, 106, "-6.6"},
	{hand, "unembed", "file:nouns", 7, 3, "-5.6", "-3.9", 39, 106, "-6.3"},
	{hand, "unembed", "file:top_5000", 7, 3, "-5.7", "-3.9", 33, 106, "-5.0"},
}

func (f figure) String() string {
	return fmt.Sprintf("%s %s %s l%d tau%g", f.data, f.encoding, f.source, f.layer, f.tau)
}

func (f figure) check(t *testing.T, run *results.Run) {
	t.Helper()
	e, err := stats.At{Run: run, Point: results.Point{Source: f.source, Layer: f.layer, Tau: f.tau}}.Effect()
	if err != nil {
		t.Fatal(err)
	}
	percent := func(n stats.Number) string { return fmt.Sprintf("%+.1f", 100*float64(n)) }
	got := f
	got.rejected, got.median, got.improved, got.n, got.ratio = percent(e.Rejected), percent(e.MedianChange), e.Improved, e.N, percent(e.Ratio)
	if got != f {
		t.Errorf("rejected, median, improved, n, ratio: got %+v, want %+v", got, f)
	}
	if kept := map[int]int{106: 104, 1000: 990}[e.N]; f.source == "curated" && e.Kept != kept {
		t.Errorf("%d of %d changes kept, want %d", e.Kept, e.N, kept)
	}
}

// checkClean compares the prompts of the handwritten data with the figures of the clean model.
func checkClean(t *testing.T, run *results.Run) {
	t.Helper()
	s, err := stats.Summarize(run)
	if err != nil {
		t.Fatal(err)
	}
	two, one := s.Series[0].TwoHop, s.Series[0].OneHop
	got := fmt.Sprintf("%.4f %.3f %.4f %.3f", float64(two.MeanP), float64(two.Surprisal), float64(one.MeanP), float64(one.Surprisal))
	if want := "0.0871 4.906 0.1579 4.211"; got != want {
		t.Errorf("mean p and surprisal of two-hop and one-hop prompts: %s, want %s", got, want)
	}
	if two.N != 106 || two.Ranked != 0 {
		t.Errorf("%d prompts, %d with a rank; want 106, 0: the files have no ranks", two.N, two.Ranked)
	}
}

// The figures of all cells, and the best cell of each grid.
func TestFigures(t *testing.T) {
	runs := open(t)
	for _, f := range slices.Concat(bestCells, moreCells) {
		t.Run(f.String(), func(t *testing.T) {
			run := find(t, runs, f.data, f.encoding, f.source)
			f.check(t, run)
			if f.data == hand && f.source == "curated" {
				checkClean(t, run)
			}
		})
	}

	// The best cell of each grid by the paper's measure.
	for _, f := range []figure{bestCells[0], bestCells[2], bestCells[3]} {
		s, err := stats.Summarize(find(t, runs, f.data, f.encoding, f.source))
		if err != nil {
			t.Fatal(err)
		}
		b := s.Series[0].Best[0]
		if b.Measure != stats.ByRejected || b.Effect.Layer != f.layer || b.Effect.Tau != f.tau {
			t.Errorf("%s: the best cell is l%d tau%g", f, b.Effect.Layer, b.Effect.Tau)
		}
		if g := s.Series[0].Grid; len(g) != 12 || len(g[0]) != 15 {
			t.Errorf("%s: the grid is not 12 layers by 15 taus", f)
		}
	}
}

// Values of single rows and cells.
func TestCellsOfFiles(t *testing.T) {
	runs := open(t)
	run := find(t, runs, hand, "unembed", "curated")
	if len(run.Prompts) != 106 || len(run.Cells) != 106*12*15 {
		t.Fatalf("%d prompts, %d cells", len(run.Prompts), len(run.Cells))
	}
	p := run.Prompts[1]
	if p.Answer != "White House" || !close(p.Clean.P(), 0.01738951) || p.Clean.Rank != -1 || p.AnswerID != -1 {
		t.Errorf("prompt 1: %+v", p)
	}
	if p := run.Prompts[0]; p.TwoHop != "The first president of the United States fought in the" || !close(p.Clean.P(), 0.06696414) || !close(p.Ceiling.P(), 0.2471724) {
		t.Errorf("prompt 0: %+v", p)
	}
	tests := []struct {
		encoding string
		layer    int
		p        float64
	}{{"unembed", 7, 0.05323021}, {"unembed", 9, 0.06455687}, {"embed", 7, 0.02979423}, {"layer", 9, 0.02804247}}
	for _, tt := range tests {
		effects, err := stats.Changes(stats.At{Run: find(t, runs, hand, tt.encoding, "curated"), Point: results.Point{Source: "curated", Layer: tt.layer, Tau: 3}})
		if err != nil {
			t.Fatal(err)
		}
		e := effects[1]
		if !close(e.After, tt.p) || len(e.Cells) != 1 || len(e.Cells[0].Top) != 30 || e.Cells[0].Memory != "The president" {
			t.Errorf("%s l%d: %+v", tt.encoding, tt.layer, e)
		}
	}
	order := func(a, b results.Cell) int {
		return 4*sign(a.Prompt-b.Prompt) + 2*sign(a.Layer-b.Layer) + sign(int(a.Tau-b.Tau))
	}
	if !slices.IsSortedFunc(run.Cells, order) {
		t.Error("cells are not by prompt, layer, tau")
	}

	// Drawn words are at their cells, as in row 0 of the file of tau 2.
	drawn := find(t, runs, hand, "unembed", "random:nouns")
	var words []string
	for _, c := range drawn.Cells {
		if c.Prompt == 0 && c.Tau == 2 {
			words = append(words, c.Memory)
		}
	}
	if got, want := strings.Join(words, " "), "period fund effectiveness deficit coordinator area workshop hammer fame experience status counsel"; got != want {
		t.Errorf("drawn words %q, want %q", got, want)
	}
	if n := len(drawn.Manifest.Taus); n < 2 || len(drawn.Cells) != 106*12*n {
		t.Errorf("%d cells with drawn words at %d taus", len(drawn.Cells), n)
	}

	// Every word of a list is at the only cell of its file, in the order of the list.
	lists := find(t, runs, hand, "unembed", "file:verbs")
	if m := lists.Manifest; len(m.Memories) != 6 || !slices.Equal(m.Layers, []int{7}) || !slices.Equal(m.Taus, []float64{3}) {
		t.Errorf("sources %v at layers %v, taus %v", m.Memories, m.Layers, m.Taus)
	}
}

// A curated memory has a larger effect than the authors' random words at the same cell.
func TestCuratedAgainstRandom(t *testing.T) {
	runs := open(t)
	d, err := stats.Compare(
		stats.At{Run: find(t, runs, hand, "unembed", "curated"), Point: results.Point{Source: "curated", Layer: 7, Tau: 3}},
		stats.At{Run: find(t, runs, hand, "unembed", "file:verbs"), Point: results.Point{Source: "file:verbs", Layer: 7, Tau: 3}})
	if err != nil {
		t.Fatal(err)
	}
	// Log-odds from numpy: 0.331911 more on average.
	if d.N != 106 || math.Abs(float64(d.LogOdds)-0.331911) > 1e-6 || d.LogOddsInterval.Low <= 0 {
		t.Errorf("%+v", d)
	}
}

func TestHeadline(t *testing.T) {
	runs := open(t)
	c, ok, err := published.Headline(runs)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if c.Claimed != 4.24 || fmt.Sprintf("%.2f", float64(c.Effect.Rejected)) != "2.47" || c.Effect.Improved != 474 || c.Largest != 10 {
		t.Errorf("%+v", c)
	}
	// Computed with numpy: the mean without the largest 0, 1, 2 changes; the mean without ten is the paper's rule.
	if got, want := fmt.Sprintf("%.1f", c.Without[:3]), "[10.6 5.5 4.2]"; got != want || len(c.Without) != 11 || !close(c.Without[10], float64(c.Effect.Rejected)) {
		t.Errorf("without the largest: %v, want %s", c.Without, want)
	}
	if math.Abs(c.Share-0.76973) > 1e-5 {
		t.Errorf("the largest %d changes are %v of the sum", c.Largest, c.Share)
	}
	for _, s := range []string{"layer 6", "tau 5", "+247 %", "+424 %"} {
		if !strings.Contains(c.Why, s) {
			t.Errorf("the explanation does not contain %s: %s", s, c.Why)
		}
	}
	if _, ok, err := published.Headline([]*results.Run{find(t, runs, hand, "unembed", "curated")}); ok || err != nil {
		t.Errorf("there is a headline without its data: %v, %v", ok, err)
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

// close compares with a float32 that was written as text.
func close(got, want float64) bool { return math.Abs(got-want) <= 1e-6*want }
