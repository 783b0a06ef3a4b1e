package results

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
)

// places is an evaluation of two sites and two heads, of prompts with up to four memories, with the memories as text in front.
func places() (*Manifest, Prompt, []Cell) {
	m := manifest()
	m.Op, m.Sites, m.Heads, m.Told, m.Prompts = intervention.Replace, []models.PortKind{models.PortAttnOut, models.PortZ}, []int{0, 3}, true, 1
	m.Interventions = []intervention.Entry{{Op: intervention.Ablate, Layers: "1"}}
	p, _ := prompt(0)
	m.Pairs, p.More = 4, []Pair{{"=Y", "the second"}, {" Z", "@third"}}
	p.Told = &Told{Score: Score{LogP: -0.5, Rank: 1, Top: []int64{9}}, Text: "=X is Y. Two"}
	var cells []Cell
	for point := range m.Points() {
		cells = append(cells, Cell{
			Site: point.Site, Layer: point.Layer, Head: point.Head, Tau: point.Tau, Source: point.Source, Memory: "m",
			Score: Score{LogP: -float64(len(cells)+1) / 8, Rank: len(cells)},
		})
	}
	return m, p, cells
}

func write(t *testing.T, m *Manifest, p Prompt, cells []Cell) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	w, err := Create(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(Plan{Used: "rows"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(p, cells); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Cells of sites and heads are read back as they were, and are in the Parquet table.
func TestPlaces(t *testing.T) {
	m, p, cells := places()
	if len(cells) != 2*2*2*2 {
		t.Fatalf("the grid has %d points", len(cells))
	}
	dir := write(t, m, p, cells)
	got, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Prompt{p}, got.Prompts, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(cells, got.Cells); d != "" {
		t.Error(d)
	}
	if got.Prompts[0].Told.Text != "=X is Y. Two" || got.Manifest.Operation() != intervention.Replace {
		t.Errorf("%+v, %+v", got.Prompts[0].Told, got.Manifest)
	}
	path := filepath.Join(t.TempDir(), "cells.parquet")
	if err := WriteParquet(t.Context(), path, []*Run{got}, false); err != nil {
		t.Fatal(err)
	}
	rows, err := parquet.ReadFile[parquetRow](path)
	if err != nil {
		t.Fatal(err)
	}
	if last := rows[len(rows)-1]; last.Site != "z" || last.Head == nil || *last.Head != 3 || last.Op != "replace" || rows[0].Site != "attn_out" {
		t.Errorf("%+v", last)
	}
}

// A cell at another place than the grid's is damage, and so is a manifest with a field that this version does not know.
func TestPlacesRefused(t *testing.T) {
	m, p, cells := places()
	for name, change := range map[string]func([]Cell){
		"site": func(c []Cell) { c[3].Site = models.PortMLPOut },
		"head": func(c []Cell) { c[3].Head = AllHeads },
		"swap": func(c []Cell) { c[0], c[len(c)-1] = c[len(c)-1], c[0] },
	} {
		bad := append([]Cell(nil), cells...)
		change(bad)
		if _, err := Load(t.Context(), write(t, m, p, bad)); err == nil {
			t.Errorf("%s: the cells were accepted", name)
		}
	}
	dir := write(t, m, p, cells)
	unseal(t, dir)
	rewriteFile(t, dir, ManifestFile, func(s string) string {
		return strings.Replace(s, `"version": 1,`, `"version": 1, "sampler": "x",`, 1)
	})
	if _, err := Load(t.Context(), dir); err == nil || !strings.Contains(err.Error(), `unknown field "sampler": the folder was written by another version`) {
		t.Errorf("got %v", err)
	}
}

func TestHead(t *testing.T) {
	for h, want := range map[Head]string{AllHeads: "null", OneHead(0): "0", OneHead(12): "12"} {
		data, err := json.Marshal(h)
		if err != nil || string(data) != want {
			t.Errorf("%v: %s, %v", h, data, err)
		}
		var back Head
		if err := json.Unmarshal(data, &back); err != nil || back != h {
			t.Errorf("%s: %v, %v", data, back, err)
		}
	}
	var h Head
	if err := json.Unmarshal([]byte(`"x"`), &h); err == nil {
		t.Error("a text was accepted as a head")
	}
	for p, want := range map[Point]string{
		{Source: "curated", Layer: 7, Tau: 3}:                            `layer 7, tau 3, "curated"`,
		{Source: "none", Site: models.PortZ, Layer: 9, Head: OneHead(6)}: `z of layer 9, head 6, tau 0, "none"`,
	} {
		if p.String() != want {
			t.Errorf("got %s, want %s", p, want)
		}
	}
}

// What a cell changes decides whether it can have an effect.
func TestActs(t *testing.T) {
	for _, tt := range []struct {
		op   intervention.Op
		cell Cell
		also bool
		want bool
	}{
		{intervention.Add, Cell{Memory: "x", Tau: 1}, false, true},
		{intervention.Add, Cell{Memory: "x"}, false, false},
		{intervention.Add, Cell{Tau: 1}, false, false},
		{intervention.Add, Cell{}, true, true},
		{intervention.Scale, Cell{Tau: 1}, false, false},
		{intervention.Scale, Cell{Tau: 0}, false, true},
		{intervention.Ablate, Cell{}, false, true},
		{intervention.Replace, Cell{Memory: "x", Tau: 1}, false, true},
	} {
		m := &Manifest{Op: tt.op}
		if tt.also {
			m.Interventions = []intervention.Entry{{}}
		}
		if got := m.Acts(&tt.cell); got != tt.want {
			t.Errorf("%s, %+v: %v, want %v", tt.op, tt.cell, got, tt.want)
		}
	}
}
