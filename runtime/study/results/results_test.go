package results

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
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

// fill writes the prompts that are still missing. It returns how many bytes of an interrupted write were removed.
func fill(t *testing.T, dir string, prompts ...int) (torn int64) {
	t.Helper()
	return fillWith(t, dir, manifest(), prompt, prompts...)
}

// fillWith is fill for other prompts.
func fillWith(t *testing.T, dir string, m *Manifest, prompt func(i int) (Prompt, []Cell), prompts ...int) (torn int64) {
	t.Helper()
	w, err := Create(dir, m)
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
	return w.Torn
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	fill(t, dir, 0, 1)
	fill(t, dir, 0, 1, 2, 3)
	r, err := Load(t.Context(), dir)
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

// Texts that a spreadsheet would run are not run, and are the same when they are read back.
func TestD10Formulas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`'{0,3}[=+\-@\t\rab']?[=+\-@a ']{0,3}`).Draw(t, "text")
		if got := plain(quoted(s)); got != s {
			t.Fatalf("%q is read back as %q", s, got)
		}
		if q := quoted(s); q != "" && strings.Contains(formula, q[:1]) {
			t.Fatalf("%q is written as %q", s, q)
		}
	})
	for s, want := range map[string]string{
		"-1": "-1", "+4.5": "+4.5", "-1e-05": "-1e-05", "-.5": "-.5", "-1.": "-1.", "'-1": "''-1", "''+1": "'''+1",
		"-1+2": "'-1+2", "-": "'-", "+": "'+", "-1 ": "'-1 ", "-1\n": "'-1\n", "-Inf": "'-Inf", "+1e": "'+1e", "--1": "'--1", "-1,5": "'-1,5", "-0x10": "'-0x10", "=1": "'=1", "@1": "'@1",
	} {
		if q := datum(s); q != want || plain(q) != s {
			t.Errorf("%q is written as %q and read back as %q, want %q", s, q, plain(q), want)
		}
	}
	if q := quoted("-1"); q != "'-1" {
		t.Errorf("a text is written as %q", q)
	}
	dir := t.TempDir()
	w, err := Create(dir, manifest())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(Plan{}); err != nil {
		t.Fatal(err)
	}
	p, cells := prompt(0)
	p.TwoHop, p.Answer, p.ExplicitEntity = `=HYPERLINK("http://x")`, "-2+3", "'@x"
	p.OneHop, p.ObscureEntity = "a,\"b\"\nc\r\nd", "x\x00\ty" // RFC 4180: quoted
	for i := range cells {
		cells[i].Memory = "+1"
	}
	if err := w.Append(p, cells); err != nil {
		t.Fatal(err)
	}
	r, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	p.OneHop = strings.ReplaceAll(p.OneHop, "\r\n", "\n") // a reader of CSV takes the end of a line as one character
	if diff := cmp.Diff(p, r.Prompts[0], cmpopts.EquateNaNs()); diff != "" || r.Cells[0].Memory != "+1" {
		t.Errorf("memory %q, %s", r.Cells[0].Memory, diff)
	}
	for name, want := range map[string]string{PromptsFile: `"'=HYPERLINK(""http://x"")",''@x,` + "x\x00\ty,", CellsFile: ",'+1,unembed,"} {
		if b, _ := os.ReadFile(filepath.Join(dir, name)); !strings.Contains(string(b), want) {
			t.Errorf("%s has no %s:\n%s", name, want, b)
		}
	}
}

// A folder that is cut at any byte of either file, or between the two writes, resumes and ends with the same bytes.
func TestD03EveryCut(t *testing.T) {
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
	// The prompts are never ahead of the cells: cut them anywhere, and cut the cells anywhere after the last commit.
	type place struct{ inPrompts, inCells int }
	committedAt := func(inPrompts int) (n, least int) {
		for i := 1; i <= 3; i++ {
			if _, end := after(i); inPrompts >= end {
				n = i
			}
		}
		least, _ = after(n)
		return n, least
	}
	var cuts []place
	_, start := after(2)
	for at := start; at <= len(prompts); at++ { // the last row of prompts.csv, at every byte
		cuts = append(cuts, place{at, len(cells)})
	}
	for at := strings.LastIndex(cells[:len(cells)-1], "\n"); at <= len(cells); at++ { // the last row of cells.csv
		cuts = append(cuts, place{start, at})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		inPrompts := r.IntN(len(prompts) + 1)
		_, least := committedAt(inPrompts)
		cuts = append(cuts, place{inPrompts, least + r.IntN(len(cells)-least+1)})
	}
	for _, c := range cuts {
		cut, at := c.inPrompts, c.inCells
		committed, _ := committedAt(cut)
		dir := filepath.Join(t.TempDir(), "cut")
		fill(t, dir)
		os.WriteFile(filepath.Join(dir, PromptsFile), []byte(prompts[:cut]), 0o666)
		os.WriteFile(filepath.Join(dir, CellsFile), []byte(cells[:at]), 0o666)
		r, err := Load(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Prompts) != committed || len(r.Cells) != 4*committed {
			t.Fatalf("cut at %d and %d: %d prompts and %d cells are read, %d prompts were committed", cut, at, len(r.Prompts), len(r.Cells), committed)
		}
		endOfCells, endOfPrompts := after(committed)
		if torn := fill(t, dir, 0, 1, 2); torn != int64(max(0, cut-endOfPrompts)+max(0, at-endOfCells)) && committed > 0 {
			t.Fatalf("cut at %d and %d: %d bytes are reported as removed", cut, at, torn)
		}
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
	_, err := scan(t.Context(), path, promptColumns, func(r *row) error {
		seen = append(seen, r.text("prompt"))
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString("2,Rome,7,5,4,,")
		return err
	})
	if err != nil || !slices.Equal(seen, []string{"prompt", "0", "1"}) {
		t.Errorf("rows %v, %v", seen, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0)
	other := manifest()
	other.Taus, other.Model.SHA256 = []float64{1}, "ef"
	_, err := Create(dir, other)
	want := "the folder holds another evaluation: model.sha256: \"ab\" in the folder, \"ef\" now; taus: [0.5,1] in the folder, [1] now"
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
	for _, name := range []string{CellsFile, PromptsFile, SideEffectsFile} {
		foreign := t.TempDir()
		os.WriteFile(filepath.Join(foreign, name), []byte("a,b\n"), 0o666)
		if _, err := Create(foreign, manifest()); err == nil || !strings.Contains(err.Error(), "the folder was not written by this program") {
			t.Errorf("a foreign folder with %s: %v", name, err)
		}
	}
}

// Whatever a link in the folder leads to stays as it is, and a link that leads nowhere makes no file.
func TestLinksRefused(t *testing.T) {
	for _, name := range []string{outdir.LockFile, ManifestFile, CellsFile, PromptsFile, SummaryFile, SideEffectsFile} {
		for _, there := range []bool{true, false} {
			dir, target := t.TempDir(), filepath.Join(t.TempDir(), "victim")
			fill(t, dir, 0)
			path := filepath.Join(dir, name)
			data, _ := os.ReadFile(path)
			os.Remove(path)
			if there {
				os.WriteFile(target, data, 0o666)
			}
			if err := os.Symlink(target, path); err != nil {
				t.Skip(err)
			}
			w, err := Create(dir, manifest())
			if err == nil {
				w.Close()
			}
			if err == nil || !strings.Contains(err.Error(), name+": want a file, got a symbolic link to ") {
				t.Errorf("%s, target %v: got %v", name, there, err)
			}
			after, err := os.ReadFile(target)
			if there != (err == nil) || !bytes.Equal(after, data) && there {
				t.Errorf("%s, target %v: the target has %q, %v", name, there, after, err)
			}
		}
	}
}

// A link that takes the name between the check and the opening is not followed.
func TestAppendFollowsNoLink(t *testing.T) {
	if sidefile.NoFollow == 0 {
		t.Skip("this system cannot refuse it")
	}
	dir := t.TempDir()
	path, target := filepath.Join(dir, CellsFile), filepath.Join(dir, "victim")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if f, err := (&Writer{}).appendTo(path, 0, cellColumns); err == nil {
		f.Close()
		t.Error("the link was followed")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("a file was created")
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
			if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// A key of a row is the model, the data, the prompt, the layer, tau, the source and the text of the memory, and its encoding. A
// doubled key is refused with its row, by report and by eval. Cells that are not the grid of the manifest are refused, and so is every number that does not fit another, although the
// folder has no checksums.
func TestD07GridRefused(t *testing.T) {
	lines := func(f func(lines []string) []string) func(string) string {
		return func(s string) string { return strings.Join(f(strings.SplitAfter(s, "\n")), "") }
	}
	tests := []struct {
		name  string
		cells func(string) string
		want  string
	}{
		{"the last row is that above", lines(func(l []string) []string { l[8] = l[7]; return l }), `prompt 1: the cell layer 2, tau 0.5, "curated", memory "X " appears twice`},
		{"two rows have changed places", lines(func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }), `prompt 0: found 0 cells of layer 0, tau 1, "curated", want 1`},
		{"another tau", func(s string) string { return strings.Replace(s, ",0,1,curated", ",0,2,curated", 1) }, `prompt 0: found 0 cells of layer 0, tau 1`},
		{"another source", func(s string) string { return strings.Replace(s, ",0,1,curated", ",0,1,wrong", 1) }, `prompt 0: found 0 cells of layer 0, tau 1`},
		{"another encoding", func(s string) string { return strings.Replace(s, ",unembed,", ",embed,", 1) }, `has the encoding "embed", manifest.json has "unembed"`},
		{"another model", func(s string) string { return strings.Replace(s, "\nm,", "\nn,", 1) }, `got a cell of "n" and "d.csv", want one of "m" and "d.csv"`},
		{"another probability", func(s string) string { return strings.Replace(s, ",unembed,0.8", ",unembed,0.9", 1) }, `column p_answer: found "0.9`},
		{"a log-probability above 0", func(s string) string { return strings.Replace(s, ",-0.16", ",0.16", 1) }, `column logp_answer: want a log-probability`},
		{"another clean probability", func(s string) string { return strings.Replace(s, ",0.28", ",0.38", 1) }, `column p_obscure: found "0.38`},
		{"a probability without a status", func(s string) string { return strings.Replace(s, ",,,,nan,", ",0.5,,,nan,", 1) }, `column p_answer: found "0.5"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 0, 1)
			unseal(t, dir)
			rewriteFile(t, dir, CellsFile, tt.cells)
			if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(hint.Of(err), "restore it from a copy") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if w, err := Create(dir, manifest()); err == nil {
				w.Close()
				t.Error("the evaluation continues")
			}
		})
	}
}

// rewriteFile changes a file of a folder, which must make a difference.
func rewriteFile(t *testing.T, dir, name string, f func(string) string) {
	t.Helper()
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := f(string(b))
	if changed == string(b) {
		t.Fatalf("%s is as it was:\n%s", name, b)
	}
	if err := os.WriteFile(path, []byte(changed), 0o666); err != nil {
		t.Fatal(err)
	}
}

// unseal makes a folder one of an earlier version, without checksums.
func unseal(t *testing.T, dir string) {
	t.Helper()
	sum := regexp.MustCompile(`(?m),(sha256|[0-9a-f]{64})$`)
	rewriteFile(t, dir, PromptsFile, func(s string) string { return sum.ReplaceAllString(s, "") })
	field := regexp.MustCompile(`,\s*"sha256": "[0-9a-f]{64}"\n}`)
	rewriteFile(t, dir, ManifestFile, func(s string) string { return field.ReplaceAllString(s, "\n}") })
}

// A folder of an earlier version is read and continued without checksums.
func TestUnsealed(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 0, 1)
	unseal(t, dir)
	fill(t, dir, 0, 1, 2)
	r, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Unsealed || len(r.Prompts) != 3 {
		t.Errorf("unsealed %v, %d prompts", r.Unsealed, len(r.Prompts))
	}
	rewriteFile(t, dir, PromptsFile, func(s string) string { return strings.Replace(s, ",obscure_entity\n", ",obscure_entity,sha255\n", 1) })
	if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), `want "sha256" as the last column, found "sha255"`) {
		t.Errorf("another last column: %v", err)
	}
}

// Every changed bit of a folder is noticed, or what is read is what was written: with the row of a prompt damaged at its end, as
// by a crash, the prompt is not there and is computed again.
func TestEveryBit(t *testing.T) {
	flips := 4000
	if testing.Short() {
		flips = 400
	}
	whole := t.TempDir()
	fill(t, whole, 0, 1, 2, 3)
	want, err := Load(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range []string{ManifestFile, CellsFile, PromptsFile} {
		if files[name], err = os.ReadFile(filepath.Join(whole, name)); err != nil {
			t.Fatal(err)
		}
	}
	dir := whole
	r := rand.New(rand.NewPCG(3, 4))
	refused, recomputed := 0, 0
	for range flips {
		name := []string{ManifestFile, CellsFile, PromptsFile}[r.IntN(3)]
		at, bit := r.IntN(len(files[name])), byte(1)<<r.IntN(8)
		spoilt := slices.Clone(files[name])
		spoilt[at] ^= bit
		if err := os.WriteFile(filepath.Join(dir, name), spoilt, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := Load(t.Context(), dir)
		switch {
		case err != nil:
			refused++
		case len(got.Prompts) < len(want.Prompts): // report says how many are missing
			recomputed++
			part := *want
			part.Prompts, part.Cells = want.Prompts[:len(got.Prompts)], want.Cells[:4*len(got.Prompts)]
			if len(got.Cells) == 0 {
				part.Prompts, part.Cells = nil, nil
			}
			if diff := cmp.Diff(&part, got, cmpopts.EquateNaNs()); diff != "" {
				t.Fatalf("%s, byte %d, bit %08b: %s", name, at, bit, diff)
			}
			fill(t, dir, 0, 1, 2, 3)
			if after, _ := os.ReadFile(filepath.Join(dir, name)); !bytes.Equal(after, files[name]) {
				t.Fatalf("%s, byte %d, bit %08b: the evaluation ends with other bytes", name, at, bit)
			}
		default:
			if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
				t.Fatalf("%s, byte %d, bit %08b went unnoticed: %s", name, at, bit, diff)
			}
		}
		if w, again := Create(dir, manifest()); again == nil {
			w.Close()
			if err != nil {
				t.Fatalf("%s, byte %d, bit %08b: read with %v, continued with no error", name, at, bit, err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("of %d flips %d were refused; %d are as a crash, and were computed again", flips, refused, recomputed)
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
	if err := WriteParquet(t.Context(), path, []*Run{r}, false); err != nil {
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
	if err := WriteParquet(t.Context(), path, []*Run{r}, false); err == nil {
		t.Error("a file was replaced")
	}
}

// A folder does not continue under a manifest that differs in any field. The error names the field.
func TestD06EveryField(t *testing.T) {
	if d := manifest().Diff(manifest()); d != "" {
		t.Errorf("two equal ones differ: %s", d)
	}
	dir := t.TempDir()
	fill(t, dir, 0)
	changed := 0
	var visit func(path string, of func(m *Manifest) reflect.Value)
	visit = func(path string, of func(m *Manifest) reflect.Value) {
		if v := of(manifest()); v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
				visit(strings.TrimPrefix(path+"."+name, "."), func(m *Manifest) reflect.Value { return of(m).Field(i) })
			}
			return
		}
		m := manifest()
		m.Plan.Used = "fanout"
		switch v := of(m); v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int:
			v.SetInt(v.Int() + 1)
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Slice:
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		default:
			t.Fatalf("%s: a %v", path, v.Kind())
		}
		changed++
		w, err := Create(dir, m)
		if err == nil {
			w.Close()
		}
		if err == nil || !strings.Contains(err.Error(), " "+path+": ") || strings.Contains(err.Error(), "; ") {
			t.Errorf("another %s: %v", path, err)
		}
	}
	visit("", func(m *Manifest) reflect.Value { return reflect.ValueOf(m).Elem() })
	if changed < 25 {
		t.Errorf("only %d fields were changed", changed)
	}
}
