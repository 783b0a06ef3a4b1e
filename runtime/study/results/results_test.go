package results

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"github.com/onnx-inject/onnx-inject/models/memory"
)

func manifest() *Manifest {
	return &Manifest{
		Version: 1, Tool: "onnx-inject test", Model: Model{Name: "m", SHA256: "ab"}, Data: File{"d.csv", "cd"}, Prompts: 4,
		Layers: []int{0, 2}, Taus: []float64{0.5, 1}, Memories: []Source{{Name: "curated"}}, Encoding: "unembed", Convention: "tl-folded",
		Positions: "all", Texts: memory.PaperTexts, Shard: Shard{0, 1},
	}
}

func prompt(i int) (Prompt, []Cell) {
	p := Prompt{Index: i, TwoHop: "The \"two\",\nhops ", OneHop: "one", Answer: "Rome", AnswerID: 7, Tokens: 5, ExplicitEntity: "X ",
		Clean: Score{LogP: -1.25 - float64(i)/3, Rank: 3, Top: []int64{5, 7}}, Ceiling: None()}
	var cells []Cell
	for _, l := range []int{0, 2} {
		for _, tau := range []float64{0.5, 1} {
			c := Cell{Prompt: i, Layer: l, Tau: tau, Source: "curated", Memory: "X ", Encoding: "unembed", Score: Score{LogP: -tau / 3, Rank: l, Top: []int64{1, 2}}}
			if l == 2 && tau == 1 {
				c.Score = Score{LogP: math.NaN(), Rank: -1, Status: NaN}
			}
			cells = append(cells, c)
		}
	}
	return p, cells
}

// fill writes the prompts that are still missing.
func fill(t *testing.T, dir string, prompts ...int) {
	t.Helper()
	w, err := Create(dir, manifest())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(Plan{Used: "fanout"}); err != nil {
		t.Fatal(err)
	}
	for _, i := range prompts {
		if !w.Done(i) {
			if err := w.Append(prompt(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	fill(t, dir, 0, 1)
	fill(t, dir, 0, 1, 2, 3)
	r, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := &Run{Dir: dir, Manifest: manifest()}
	want.Manifest.Plan.Used = "fanout"
	for i := range 4 {
		p, cells := prompt(i)
		want.Prompts, want.Cells = append(want.Prompts, p), append(want.Cells, cells...)
	}
	if diff := cmp.Diff(want, r, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

// A folder that is cut at any byte of either file, or between the two writes, resumes and ends with the same bytes.
func TestEveryCut(t *testing.T) {
	whole := t.TempDir()
	fill(t, whole, 0, 1, 2)
	read := func(dir, name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cells, prompts := read(whole, CellsFile), read(whole, PromptsFile)
	// after returns where the first n prompts end in each file.
	after := func(n int) (inCells, inPrompts int) {
		if n == 0 {
			return 0, 0
		}
		if inPrompts = strings.Index(prompts, promptStart(n)) + 1; inPrompts == 0 {
			return len(cells), len(prompts)
		}
		return strings.Index(cells, cellStart(n)), inPrompts
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		// The prompts are never ahead of the cells: cut them anywhere, and cut the cells anywhere after the last commit.
		cut, committed := r.IntN(len(prompts)+1), 0
		for n := 1; n <= 3; n++ {
			if _, end := after(n); cut >= end {
				committed = n
			}
		}
		least, _ := after(committed)
		at := least + r.IntN(len(cells)-least+1)
		dir := t.TempDir()
		fill(t, dir)
		os.WriteFile(filepath.Join(dir, PromptsFile), []byte(prompts[:cut]), 0o666)
		os.WriteFile(filepath.Join(dir, CellsFile), []byte(cells[:at]), 0o666)
		r, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Prompts) != committed || len(r.Cells) != 4*committed {
			t.Fatalf("cut at %d and %d: %d prompts and %d cells are read, %d prompts were committed", cut, at, len(r.Prompts), len(r.Cells), committed)
		}
		fill(t, dir, 0, 1, 2)
		if read(dir, CellsFile) != cells || read(dir, PromptsFile) != prompts {
			t.Fatalf("cut at %d and %d: the bytes differ", cut, at)
		}
	}
}

func promptStart(i int) string { return "\n" + string(rune('0'+i)) + ",Rome," }
func cellStart(i int) string   { return "m,d.csv," + string(rune('0'+i)) + "," }

// A file that grows during reading is read up to its initial size.
func TestGrowing(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0, 1)
	path := filepath.Join(dir, PromptsFile)
	var seen []string
	_, err := scan(path, promptColumns, func(r *row, _ int64) error {
		seen = append(seen, r.text("prompt"))
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString("2,Rome,7,5,4,,")
		return err
	})
	if err != nil || !slices.Equal(seen, []string{"0", "1"}) {
		t.Errorf("rows %v, %v", seen, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0)
	other := manifest()
	other.Taus, other.Model.SHA256 = []float64{1}, "ef"
	_, err := Create(dir, other)
	want := "the folder holds another evaluation:\n  model.sha256: \"ab\" in the folder, \"ef\" now\n  taus: [0.5,1] in the folder, [1] now"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	plan := manifest()
	plan.Plan.Used = "points"
	if _, err := Create(dir, plan); err == nil || !strings.Contains(err.Error(), `plan.used: "fanout" in the folder, "points" now`) {
		t.Errorf("got %v", err)
	}
	w, err := Create(dir, manifest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, manifest()); !errors.Is(err, ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	foreign := t.TempDir()
	os.WriteFile(filepath.Join(foreign, CellsFile), []byte("a,b\n"), 0o666)
	if _, err := Create(foreign, manifest()); err == nil || !strings.Contains(err.Error(), "the folder was not written by this program") {
		t.Errorf("a foreign folder: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	change := func(name string, f func(s string) string) func(dir string) {
		return func(dir string) {
			path := filepath.Join(dir, name)
			b, _ := os.ReadFile(path)
			os.WriteFile(path, []byte(f(string(b))), 0o666)
		}
	}
	replace := func(name, old, new string) func(string) {
		return change(name, func(s string) string { return strings.Replace(s, old, new, 1) })
	}
	tests := []struct {
		name  string
		spoil func(dir string)
		want  string
	}{
		{"no manifest", func(dir string) { os.Remove(filepath.Join(dir, ManifestFile)) }, "no manifest.json in the folder"},
		{"another version", replace(ManifestFile, `"version": 1`, `"version": 2`), "manifest.json has version 2, but this program reads version 1"},
		{"a lost cell", replace(CellsFile, "m,d.csv,0,0,0.5,", "m,d.csv,1,0,0.5,"), "cells.csv, row 1: got a cell of prompt 1, want one of prompt 0"},
		{"lost cells", change(CellsFile, func(s string) string { return s[:strings.LastIndex(s, "m,d.csv,1,0,1,")] }), "cells.csv ends before the last cell of prompt 1"},
		{"all cells of the last", change(CellsFile, func(s string) string { return s[:strings.Index(s, "m,d.csv,1,")] }), "cells.csv ends before the last cell of prompt 1"},
		{"no number", replace(CellsFile, ",0,0.5,curated", ",zero,0.5,curated"), `column layer: want a number, found "zero"`},
		{"a status", replace(CellsFile, ",nan,", ",odd,"), `column status: found "odd"`},
		{"a prompt twice", change(PromptsFile, func(s string) string { return s + s[strings.Index(s, promptStart(1))+1:] }), "prompts.csv, row 3: prompt 1 appears twice"},
		{"no column", replace(PromptsFile, "answer_id", "id"), `prompts.csv: want a column "answer_id", found prompt, answer, id`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 0, 1)
			tt.spoil(dir)
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	shard := func(index int, prompts ...int) *Run {
		r := &Run{Dir: string(rune('a' + index)), Manifest: manifest()}
		r.Manifest.Shard = Shard{index, 2}
		r.Manifest.Plan = []Plan{{"fanout", ""}, {"rows", "slow"}}[index]
		r.Manifest.Host.Version = string(rune('0' + index))
		for _, i := range prompts {
			p, cells := prompt(i)
			r.Prompts, r.Cells = append(r.Prompts, p), append(r.Cells, cells...)
		}
		return r
	}
	other := shard(0, 1)
	other.Manifest.Encoding = "embed"
	got, err := Merge([]*Run{shard(1, 1, 3), other, shard(0, 0, 1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1].Manifest.Encoding != "embed" || got[0].Manifest.Shard != (Shard{0, 1}) {
		t.Fatalf("%d runs", len(got))
	}
	if want := (Plan{"rows + fanout", "slow"}); got[0].Manifest.Plan != want || got[0].Manifest.Host.Version != "1 + 0" {
		t.Errorf("plan %v on %v, want %v", got[0].Manifest.Plan, got[0].Manifest.Host, want)
	}
	var order []int
	for _, c := range got[0].Cells {
		order = append(order, c.Prompt)
	}
	if want := []int{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}; !slices.Equal(order, want) || len(got[0].Prompts) != 4 {
		t.Errorf("cells of prompts %v, %d prompts", order, len(got[0].Prompts))
	}
	spoilt := shard(0, 1)
	spoilt.Cells[0].LogP--
	if _, err := Merge([]*Run{shard(1, 1), spoilt}); err == nil || !strings.Contains(err.Error(), "prompt 1 is in both, with different cells") {
		t.Errorf("got %v", err)
	}
}

func TestWriteParquet(t *testing.T) {
	r := &Run{Manifest: manifest()}
	for i := range 3 {
		p, cells := prompt(i)
		r.Prompts, r.Cells = append(r.Prompts, p), append(r.Cells, cells...)
	}
	r.Cells[0].Rank = -1 // as in the authors' files
	path := filepath.Join(t.TempDir(), "cells.parquet")
	if err := WriteParquet(path, []*Run{r}, false); err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.ReadFile[parquetRow](path)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(r.Cells) {
		t.Fatalf("%d rows, want %d", len(rows), len(r.Cells))
	}
	for i, c := range r.Cells {
		got := rows[i]
		switch {
		case got.Prompt != int32(c.Prompt) || got.Layer != int32(c.Layer) || got.Tau != c.Tau || got.Memory != c.Memory || !slices.Equal(got.Top, c.Top):
			t.Errorf("row %d is %+v", i, got)
		case (got.LogP == nil) == c.OK() || c.OK() && (*got.LogP != c.LogP || *got.P != c.P()):
			t.Errorf("row %d has other numbers", i)
		case (got.Rank == nil) != (c.Rank < 0) || got.Rank != nil && *got.Rank != int32(c.Rank):
			t.Errorf("row %d has another rank", i)
		case got.PCeiling != nil || *got.PClean != r.Prompts[c.Prompt].Clean.P():
			t.Errorf("row %d has other clean numbers", i)
		}
	}
	if err := WriteParquet(path, []*Run{r}, false); err == nil {
		t.Error("a file was replaced")
	}
}

// Diff compares every field of a manifest.
func TestDiffSeesEverything(t *testing.T) {
	a := manifest()
	if d := a.Diff(manifest()); d != "" {
		t.Errorf("two equal ones differ: %s", d)
	}
	data, _ := json.Marshal(a)
	var leaves map[string]any
	json.Unmarshal(data, &leaves)
	if got := len(fields("", valueOf(a))); got < 20 || len(leaves) < 15 {
		t.Errorf("%d leaves are compared", got)
	}
}
