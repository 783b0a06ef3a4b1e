package results

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// columned is an evaluation of data with further columns, as manifest and prompt are one without.
func columned() *Manifest {
	m := manifest()
	m.Columns = []string{"relation", "=1+1", "a,\"b\"\nc", "data_rank"}
	return m
}

func columnedPrompt(i int) (Prompt, []Cell) {
	p, cells := prompt(i)
	p.Further = [][]string{
		{"capital", "=HYPERLINK(\"x\")", "", "-3"}, {"river", "+1", "'@x", "2"}, {"", "", "", ""}, {"capital", "tab\tand \"quotes\",\nlines", "Zoë", "x"},
	}[i]
	return p, cells
}

// fillColumned writes the prompts that are still missing.
func fillColumned(t *testing.T, dir string, m *Manifest, prompts ...int) {
	t.Helper()
	fillWith(t, dir, m, columnedPrompt, prompts...)
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Further columns are read back as they were, also after a resumption, and a spreadsheet runs none of them.
func TestColumns(t *testing.T) {
	dir := t.TempDir()
	fillColumned(t, dir, columned(), 0, 1)
	fillColumned(t, dir, columned(), 0, 1, 2, 3)
	r, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		want, _ := columnedPrompt(i)
		if d := cmp.Diff(want, r.Prompts[i], cmpopts.EquateNaNs()); d != "" {
			t.Error(d)
		}
	}
	if got, ok := r.Column("relation"); !ok || !slices.Equal(got, []string{"capital", "river", "", "capital"}) {
		t.Errorf("relation is %q, %v", got, ok)
	}
	if got, ok := r.Column("answer"); ok {
		t.Errorf("a column of the prompts is %q", got)
	}
	text := readFile(t, dir, PromptsFile)
	for _, want := range []string{
		"explicit_entity,obscure_entity,relation,'=1+1,\"a,\"\"b\"\"\nc\",data_rank,sha256\n",
		`,capital,"'=HYPERLINK(""x"")",,-3,`, ",river,+1,''@x,2,", ",,,,,",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %s:\n%s", PromptsFile, want, text)
		}
	}
	p, cells := prompt(0)
	w, err := Create(t.TempDir(), columned())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(Plan{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(p, cells); err == nil || err.Error() != "prompt 0: want a text for each of the 4 further columns, got 0" {
		t.Errorf("a prompt without them: %v", err)
	}
}

// The rows of shards are those of the whole evaluation, byte by byte, and merge to it.
func TestColumnsOfShards(t *testing.T) {
	whole := t.TempDir()
	fillColumned(t, whole, columned(), 0, 1, 2, 3)
	var runs []*Run
	var rows []string
	for i := range 2 {
		m, dir := columned(), t.TempDir()
		m.Shard = Shard{i, 2}
		fillColumned(t, dir, m, i, i+2)
		r, err := Load(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		runs, rows = append(runs, r), append(rows, strings.SplitAfterN(readFile(t, dir, PromptsFile), "sha256\n", 2)...)
	}
	merged, err := Merge(runs)
	if err != nil || len(merged) != 1 {
		t.Fatalf("%d runs, %v", len(merged), err)
	}
	want, err := Load(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Prompts, merged[0].Prompts, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	header, body, _ := strings.Cut(readFile(t, whole, PromptsFile), "sha256\n")
	if rows[0] != header+"sha256\n" || rows[2] != rows[0] {
		t.Errorf("the shards have the header %q, want %q", rows[0], header)
	}
	split := func(s string) []string {
		out := strings.SplitAfter(s, "\n")
		slices.Sort(out)
		return out
	}
	if d := cmp.Diff(split(body), split(rows[1]+rows[3])); d != "" {
		t.Error(d)
	}
}

// A changed byte of prompts.csv is noticed, or what is read is what was written, or a prompt is not there, as after a crash.
func TestColumnsDamaged(t *testing.T) {
	dir := t.TempDir()
	fillColumned(t, dir, columned(), 0, 1, 2, 3)
	want, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	whole := []byte(readFile(t, dir, PromptsFile))
	path := filepath.Join(dir, PromptsFile)
	for at := range whole {
		spoilt := bytes.Clone(whole)
		spoilt[at] ^= 1 << (at % 7)
		if err := os.WriteFile(path, spoilt, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := Load(t.Context(), dir)
		if err == nil && len(got.Prompts) == 4 && !cmp.Equal(want, got, cmpopts.EquateNaNs()) {
			t.Fatalf("byte %d went unnoticed: %s", at, cmp.Diff(want, got, cmpopts.EquateNaNs()))
		}
	}
	for _, tt := range []struct{ old, new, want string }{
		{",river,", ",rover,", "prompt 1: the checksum in prompts.csv does not fit: the rows of the prompt were changed"},
		{",+1,", ",'+1,", "prompt 1: the checksum in prompts.csv does not fit"},
		{",capital,", ",,", "prompt 0: the checksum in prompts.csv does not fit"},
		{",relation,", ",category,", `prompts.csv: want a column "relation", found prompt, answer, `},
		{",'=1+1,", ",=1+1,", `prompts.csv: want a column "'=1+1", found`},
	} {
		if err := os.WriteFile(path, bytes.Replace(whole, []byte(tt.old), []byte(tt.new), 1), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.new, err, tt.want)
		}
	}
	if err := os.WriteFile(path, whole, 0o666); err != nil {
		t.Fatal(err)
	}
	rewriteFile(t, dir, ManifestFile, func(s string) string { return strings.Replace(s, `"relation"`, `"relations"`, 1) })
	if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(hint.Of(err), "restore it from a copy") {
		t.Errorf("another name in the manifest: %v", err)
	}
}

// A folder of the version before further columns were kept is read. Nothing changed for data that has none.
func TestWithoutColumns(t *testing.T) {
	old := filepath.Join("testdata", "without_columns")
	r, err := Load(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if r.Unsealed || r.Manifest.Columns != nil || len(r.Prompts) != 2 {
		t.Errorf("unsealed %v, columns %q, %d prompts", r.Unsealed, r.Manifest.Columns, len(r.Prompts))
	}
	for i := range 2 {
		want, _ := prompt(i)
		if d := cmp.Diff(want, r.Prompts[i], cmpopts.EquateNaNs()); d != "" {
			t.Error(d)
		}
	}
	dir := t.TempDir()
	fill(t, dir, 0, 1)
	for _, name := range []string{ManifestFile, PromptsFile, CellsFile} {
		if got, want := readFile(t, dir, name), readFile(t, old, name); got != want {
			t.Errorf("%s is now\n%s\nand was\n%s", name, got, want)
		}
	}
}

func TestNameColumns(t *testing.T) {
	for _, tt := range []struct {
		names []string
		pairs int
		want  []string
	}{
		{nil, 1, nil},
		{[]string{"relation", "Answer"}, 1, []string{"relation", "Answer"}},
		{[]string{"rank", "answer", "sha256", "p_told", "head", "model"}, 1, []string{"data_rank", "data_answer", "data_sha256", "data_p_told", "data_head", "data_model"}},
		{[]string{"prompt", "data_prompt", "data"}, 1, []string{"data_data_prompt", "data_prompt", "data_data"}},
		{[]string{"explicit_entity_2", "obscure_entity_3"}, 1, []string{"explicit_entity_2", "obscure_entity_3"}},
		{[]string{"explicit_entity_2", "obscure_entity_3"}, 2, []string{"data_explicit_entity_2", "obscure_entity_3"}},
	} {
		if got := NameColumns(tt.names, tt.pairs); !slices.Equal(got, tt.want) {
			t.Errorf("%q with %d pairs: got %q, want %q", tt.names, tt.pairs, got, tt.want)
		}
	}
}
