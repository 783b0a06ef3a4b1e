package report

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// columned is a generated run of data with the columns relation and id.
func columned(s shape) *results.Run {
	run := made(s)
	run.Manifest.Columns = []string{"relation", "id", "one"}
	for i := range run.Prompts {
		run.Prompts[i].Further = []string{[]string{"capital", "river", ""}[i*i%11%3], fmt.Sprint("q", i), "same"}
	}
	return run
}

// stored writes a run to a folder and reads it back.
func stored(t *testing.T, run *results.Run) *results.Run {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	run.Manifest.Plan = results.Plan{}
	w, err := results.Create(dir, run.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(results.Plan{Used: "fanout"}); err != nil {
		t.Fatal(err)
	}
	source := func(c results.Cell) int {
		return slices.IndexFunc(run.Manifest.Memories, func(s results.Source) bool { return s.Name == c.Source })
	}
	slices.SortStableFunc(run.Cells, func(a, b results.Cell) int {
		return cmp.Or(cmp.Compare(a.Prompt, b.Prompt), cmp.Compare(source(a), source(b)), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Tau, b.Tau))
	})
	for _, p := range run.Prompts {
		var cells []results.Cell
		for _, c := range run.Cells {
			if c.Prompt == p.Index {
				cells = append(cells, c)
			}
		}
		if err := w.Append(p, cells); err != nil {
			t.Fatal(err)
		}
	}
	got, err := results.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// table reads a CSV file as its users do: each row by the names of the columns.
func table(t *testing.T, path string) (rows []map[string]string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range all[1:] {
		row := map[string]string{}
		for i, name := range all[0] {
			row[name] = fields[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// The numbers of each group follow from cells.csv and prompts.csv alone. This computes them from the rows, and the interval by drawing
// prompts as package stats documents it.
func TestGroupsFromFiles(t *testing.T) {
	s := usual
	s.nan = func(c results.Cell) bool { return c.Prompt%7 == 3 && c.Memory == "memory 0" && c.Source != "curated" }
	run := stored(t, columned(s))
	r, err := New([]*results.Run{run}, Options{By: "relation"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Grouped.Column != "relation" || len(r.Grouped.Series) != 3 {
		t.Fatalf("grouped by %q, %d series", r.Grouped.Column, len(r.Grouped.Series))
	}
	cells, prompts := table(t, filepath.Join(run.Dir, results.CellsFile)), table(t, filepath.Join(run.Dir, results.PromptsFile))
	for _, x := range r.Grouped.Series {
		summary := r.Summary.Series[x.Series]
		best, _ := (&series{Series: &summary}).best(stats.ByLogOdds)
		type effect struct{ p0, p, odds float64 }
		of := func(e stats.Effect, want string, from, step int) (out []effect, all int) {
			for i := from; i < len(prompts); i += step {
				prompt := prompts[i]
				if prompt["relation"] != want {
					continue
				}
				all++
				var sum effect
				n := 0.0
				for _, c := range cells {
					if c["prompt"] != prompt["prompt"] || c["source"] != summary.Source || c["layer"] != strconv.Itoa(e.Layer) || c["tau"] != strconv.FormatFloat(e.Tau, 'g', -1, 64) || c["status"] != "" {
						continue
					}
					p, p0 := parsed(t, c["p_answer"]), parsed(t, prompt["p_obscure"])
					sum.p0, sum.p, sum.odds, n = p0, sum.p+p, sum.odds+math.Log(p/(1-p))-math.Log(p0/(1-p0)), n+1
				}
				if n > 0 {
					out = append(out, effect{sum.p0, sum.p / n, sum.odds / n})
				}
			}
			return out, all
		}
		mean := func(list []effect, f func(effect) float64) float64 {
			sum := 0.0
			for _, x := range list {
				sum += f(x)
			}
			return sum / float64(len(list))
		}
		same := func(what string, got stats.Number, want float64) {
			if math.Abs(float64(got)-want) > 1e-9 {
				t.Errorf("%s: %s is %v, want %v", x.Name, what, got, want)
			}
		}
		seen := 0
		for _, g := range x.Groups {
			list, all := of(best.Effect, g.Value, 0, 1)
			seen += all
			improved := 0
			for _, x := range list {
				if x.p > x.p0 {
					improved++
				}
			}
			if g.Prompts != all || g.Effect.N != len(list) || g.Effect.Improved != improved || all == 0 {
				t.Errorf("%s, %q: %d prompts, %d of %d gain; want %d, %d of %d", x.Name, g.Value, g.Prompts, g.Effect.Improved, g.Effect.N, all, improved, len(list))
			}
			odds := func(x effect) float64 { return x.odds }
			same("p before", g.MeanP0, mean(list, func(x effect) float64 { return x.p0 }))
			same("p after", g.Effect.MeanP, mean(list, func(x effect) float64 { return x.p }))
			same("log-odds", g.Effect.LogOdds, mean(list, odds))
			var drawn []float64
			source := rand.NewPCG(42, 0)
			for range stats.Resamples {
				sum := 0.0
				for range list {
					i, _ := bits.Mul64(source.Uint64(), uint64(len(list)))
					sum += list[i].odds
				}
				drawn = append(drawn, sum/float64(len(list)))
			}
			slices.Sort(drawn)
			for _, end := range []struct {
				q   float64
				got stats.Number
			}{{2.5, g.Effect.LogOddsInterval.Low}, {97.5, g.Effect.LogOddsInterval.High}} {
				h := end.q / 100 * float64(len(drawn)-1)
				i := int(h)
				same("the end of the interval", end.got, drawn[i]+(drawn[i+1]-drawn[i])*(h-float64(i)))
			}
			if best.Held == nil || g.Other == nil {
				t.Fatalf("%s, %q: no other half", x.Name, g.Value)
			}
			other, _ := of(best.Held.Other, g.Value, 1, 2)
			if g.Other.N != len(other) {
				t.Errorf("%s, %q: %d prompts in the other half, want %d", x.Name, g.Value, g.Other.N, len(other))
			}
			same("log-odds of the other half", g.Other.LogOdds, mean(other, odds))
		}
		if seen != len(prompts) || len(x.Groups) != 3 {
			t.Errorf("%s: %d groups with %d of %d prompts", x.Name, len(x.Groups), seen, len(prompts))
		}
	}
}

func parsed(t *testing.T, s string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// The page has the groups, in a table that sorts, with the same numbers as the JSON; and no table without a column.
func TestGroupsOnPage(t *testing.T) {
	with := columned(usual)
	without := made(usual)
	without.Manifest.Encoding = "embed"
	r, err := New([]*results.Run{with, without}, Options{By: "relation"})
	if err != nil {
		t.Fatal(err)
	}
	page := write(t, r)
	_, section, _ := strings.Cut(page, `<h2 id="groups">By relation</h2>`)
	section, _, ok := strings.Cut(html.UnescapeString(section), "</table>")
	if !ok || !strings.Contains(section, `<table class="sortable">`) || !strings.Contains(page, `<a href="#groups">by relation</a>`) {
		t.Fatalf("the page has no table of groups:\n%s", section)
	}
	for _, s := range r.Grouped.Series {
		for _, g := range s.Groups {
			want := fmt.Sprintf(`<td>%s</td><td class="n">%s</td><td class="n">%d</td><td class="n">%s</td>`, ShownValue(g.Value), "L2 τ4", g.Prompts, ofNumber(logOdds)(g.Effect.LogOdds))
			if s.Name == "unembed · curated" && !strings.Contains(section, want) {
				t.Errorf("the table has no %s:\n%s", want, section)
			}
		}
	}
	if rows := strings.Count(section, "<tr><td>"); rows != 3*3 {
		t.Errorf("the table has %d rows", rows)
	}
	if want := "embed: the results have no column relation, so they are not in the table by relation."; !slices.Contains(r.Notices(), want) {
		t.Errorf("notices %q, want %s", r.Notices(), want)
	}
	data, err := json.Marshal(r.Grouped)
	if err != nil || !strings.Contains(string(data), `{"column":"relation","series":[{"series":0,"name":"unembed · curated","groups":[{"value":"`) {
		t.Errorf("%v, %.200s", err, data)
	}
	if r, err = New([]*results.Run{with}, Options{}); err != nil || r.Grouped != nil || strings.Contains(write(t, r), `id="groups"`) {
		t.Errorf("without a column: %v, %v", err, r.Grouped)
	}
	none := columned(usual)
	for i := range none.Cells {
		none.Cells[i].Score = results.Score{LogP: math.NaN(), Rank: -1, Status: results.NaN}
	}
	if r, err = New([]*results.Run{none}, Options{By: "relation"}); err != nil || !strings.Contains(write(t, r), "<p>No cell has a number.</p>") {
		t.Errorf("without a number: %v", err)
	}
}

func TestColumns(t *testing.T) {
	run := columned(shape{seed: 1, prompts: 1001, layers: []int{0}, taus: []float64{1}, sources: []string{"curated"}})
	for _, tt := range []struct {
		runs         []*results.Run
		column, want string
	}{
		{[]*results.Run{run}, "relation", ""},
		{[]*results.Run{made(usual), run}, "one", ""},
		{[]*results.Run{made(usual), run}, "category", `no column "category", the results have relation, id, one`},
		{[]*results.Run{run}, "id", `want a column with at most 1000 different values, "id" has more`},
		{[]*results.Run{made(usual)}, "relation", "the results have no columns of the data besides those of the prompts"},
	} {
		err := CheckColumn(tt.runs, tt.column)
		if err == nil && tt.want != "" || err != nil && err.Error() != tt.want {
			t.Errorf("%s: got %v, want %q", tt.column, err, tt.want)
		}
		if _, again := New(tt.runs, Options{By: tt.column}); (again == nil) != (tt.want == "") {
			t.Errorf("%s: New gives %v", tt.column, again)
		}
	}
	if err := CheckColumn([]*results.Run{made(usual)}, "x"); !strings.Contains(hint.Of(err), "an earlier version did not") {
		t.Errorf("the hint is %q", hint.Of(err))
	}
	few := columned(shape{seed: 1, prompts: 20, layers: []int{0}, taus: []float64{1}, sources: []string{"curated"}})
	for _, tt := range []struct {
		runs []*results.Run
		want []string
	}{
		{[]*results.Run{run, made(usual), run}, []string{"relation"}}, {[]*results.Run{run, few}, []string{"relation", "id"}}, {[]*results.Run{made(usual)}, nil},
	} {
		if got := Groupable(tt.runs); !slices.Equal(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	var names []string
	for i := range 22 {
		names = append(names, fmt.Sprint("c", i))
	}
	if got := Some(names); !strings.HasSuffix(got, "c18, c19 and 2 more") || Some(names[:2]) != "c0, c1" {
		t.Errorf("got %s", got)
	}
	if got := ShownValue(strings.Repeat("x", 100)); len([]rune(got)) != 40 || ShownValue(" ") != "(empty)" {
		t.Errorf("got %s", got)
	}
}
