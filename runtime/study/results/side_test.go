package results

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/models"
)

// sideManifest is an evaluation of side effects on three texts.
func sideManifest() *Manifest {
	m := manifest()
	m.Sites = []models.PortKind{models.PortAttnOut, models.PortResidPost}
	m.Prompts, m.SideEffects = 1, SideTexts{File{"t.txt", "ef"}, 3, Middle}
	return m
}

func sideOf(m *Manifest, text int) (out []SideEffect) {
	for point := range m.Points() {
		s := SideEffect{
			Cell: Cell{Prompt: text, Site: point.Site, Layer: point.Layer, Tau: point.Tau, Source: point.Source, Memory: "=a,\n\"b\" "},
			Text: text, From: 2, Positions: 4, KL: float64(len(out)) / 3, CleanNLL: 1.5, NLL: 2 + point.Tau,
		}
		if len(out) == 3 {
			s.Status, s.KL, s.CleanNLL, s.NLL = Inf, math.NaN(), math.NaN(), math.NaN()
		}
		out = append(out, s)
	}
	return out
}

// fillSide writes the texts that are still missing.
func fillSide(t *testing.T, dir string, m *Manifest, texts ...int) {
	t.Helper()
	w, err := Create(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(Plan{Used: "rows"}); err != nil {
		t.Fatal(err)
	}
	for _, i := range texts {
		if !w.DoneText(i) {
			if err := w.AppendText(sideOf(m, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func sideBytes(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, SideEffectsFile))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Side effects are read back as they were, and a file that is cut at any byte resumes and ends with the same bytes.
func TestSideEffects(t *testing.T) {
	m, dir := sideManifest(), filepath.Join(t.TempDir(), "out")
	fillSide(t, dir, m, 0, 1, 2)
	got, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var want []SideEffect
	for i := range 3 {
		want = append(want, sideOf(m, i)...)
	}
	if d := cmp.Diff(want, got.SideEffects, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	whole := sideBytes(t, dir)
	ends := []int{}
	for i, line := 0, 0; i < len(whole); i++ {
		if whole[i] == '\n' && strings.Count(string(whole[line:i]), `"`)%2 == 0 {
			if row := string(whole[line:i]); len(row) > 64 && !strings.HasSuffix(row, ",") && !strings.HasSuffix(row, checksumColumn) {
				ends = append(ends, i+1)
			}
			line = i + 1
		}
	}
	if len(ends) != 3 {
		t.Fatalf("%d texts end in\n%s", len(ends), whole)
	}
	for cut := 0; cut <= len(whole); cut += 1 + cut%29 {
		if err := os.WriteFile(filepath.Join(dir, SideEffectsFile), whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, end := range ends {
			if cut >= end {
				n++
			}
		}
		if got, err := Load(t.Context(), dir); err != nil || len(got.SideEffects) != n*len(want)/3 {
			t.Fatalf("cut at %d: %d side effects, want those of %d texts; %v", cut, len(got.SideEffects), n, err)
		}
		if fillSide(t, dir, m, 0, 1, 2); string(sideBytes(t, dir)) != string(whole) {
			t.Fatalf("cut at %d: the bytes differ", cut)
		}
	}
	other := sideManifest()
	other.SideEffects = SideTexts{}
	if _, err := Create(dir, other); err == nil || !strings.Contains(err.Error(), `side_effects.texts: 3 in the folder, 0 now`) {
		t.Errorf("without side effects: %v", err)
	}
}

// A byte of a committed text that changes is found.
func TestSideEffectsDamage(t *testing.T) {
	m, dir := sideManifest(), filepath.Join(t.TempDir(), "out")
	fillSide(t, dir, m, 0, 1)
	whole := sideBytes(t, dir)
	for at := range len(whole) - 1 { // without its last byte, the last row is incomplete
		data := append([]byte{}, whole...)
		data[at] ^= 1
		if err := os.WriteFile(filepath.Join(dir, SideEffectsFile), data, 0o666); err != nil {
			t.Fatal(err)
		}
		if got, err := Load(t.Context(), dir); err == nil && len(got.SideEffects) == 2*len(sideOf(m, 0)) {
			t.Errorf("the change of byte %d, %q, was not found", at, whole[at])
		}
	}
	for name, change := range map[string]func(string) string{
		"is not in the evaluation": func(s string) string { return strings.ReplaceAll(s, "\nm,0,", "\nm,7,") },
		"one of \"m\"":             func(s string) string { return strings.Replace(s, "\nm,0,", "\nn,0,", 1) },
		"want one of text 0":       func(s string) string { return s },
		"the checksum does not":    func(s string) string { return strings.Replace(s, ",1.5,", ",1.25,", 1) },
		"numbers from 0":           func(s string) string { return strings.Replace(s, ",1.5,", ",-1,", 1) },
		"column status: found":     func(s string) string { return strings.Replace(s, ",inf,", ",no,", 1) },
		"want a number":            func(s string) string { return strings.Replace(s, ",1.5,", ",x,", 1) },
		"want a column \"text\"":   func(s string) string { return strings.Replace(s, ",text,", ",texts,", 1) },
		"appears twice":            func(s string) string { return s + s[strings.Index(s, "\nm,0,")+1:] },
	} {
		data := change(string(whole))
		if name == "want one of text 0" { // the second row of a text is one of another text
			i := strings.Index(data, "\nm,0,")
			j := i + 1 + strings.Index(data[i+1:], "\nm,0,")
			data = data[:j] + "\nm,1," + data[j+len("\nm,0,"):]
		}
		if err := os.WriteFile(filepath.Join(dir, SideEffectsFile), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), SideEffectsFile) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Shards have the texts that their manifests say, and merge into the whole.
func TestSideEffectsMerge(t *testing.T) {
	var runs []*Run
	for i := range 2 {
		m, dir := sideManifest(), filepath.Join(t.TempDir(), fmt.Sprint(i))
		m.Shard = Shard{i, 2}
		fillSide(t, dir, m, [][]int{{0, 2}, {1}}[i]...)
		r, err := Load(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	merged, err := Merge([]*Run{runs[1], runs[0], runs[0]})
	if err != nil {
		t.Fatal(err)
	}
	var want []SideEffect
	for i := range 3 {
		want = append(want, sideOf(sideManifest(), i)...)
	}
	if d := cmp.Diff(want, merged[0].SideEffects, cmpopts.EquateNaNs()); len(merged) != 1 || d != "" {
		t.Error(d)
	}
	again := *runs[0]
	again.SideEffects = append([]SideEffect{}, runs[0].SideEffects...)
	again.SideEffects[0].KL++
	if _, err := Merge([]*Run{runs[0], &again}); err == nil || !strings.Contains(err.Error(), "text 0 is in both, with different side effects") {
		t.Errorf("got %v", err)
	}
	m, dir := sideManifest(), filepath.Join(t.TempDir(), "wrong")
	m.Shard = Shard{1, 2}
	fillSide(t, dir, m, 0)
	if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "text 0 is not in the evaluation") {
		t.Errorf("a text of another shard: %v", err)
	}
}
