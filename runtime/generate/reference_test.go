package generate

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

const testdata = "../../models/testdata"

// reference is what transformers generates; see scripts/generate.
type reference struct {
	Prompt []int64
	EOS    *int64
	Cases  []struct {
		Name          string
		Interventions []change
		IDs           []int64
	}
}

// change is an intervention of a reference. Seed stands for the memory, which a formula gives.
type change struct {
	Site      models.PortKind
	Layers    []int
	Heads     []int
	Op        string
	Seed      float64
	Tau, Keep float64
	Positions string
	When      When
}

// vector is the memory of a reference.
func vector(seed float64, width int) []float32 {
	out := make([]float32, width)
	for i := range out {
		out[i] = float32(math.Sin(seed + 1.7*float64(i)))
	}
	return out
}

func readReferences(t *testing.T) map[string]reference {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testdata, "generate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]reference
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// fixtures returns the paths of the fixtures and their references, the demo model included.
func fixtures(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{dir: "demo"}
	for _, sub := range []string{"", "families"} {
		data, err := os.ReadFile(filepath.Join(testdata, sub, "cases.json"))
		if err != nil {
			t.Fatal(err)
		}
		var list []struct{ File, Ref string }
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			out[filepath.Join(testdata, sub, c.File)] = strings.TrimSuffix(strings.TrimPrefix(c.Ref, "ref_"), ".json")
		}
	}
	return out
}

// openModel opens a file with the ports of some sites at every layer that has them.
func openModel(t *testing.T, path string, sites ...models.PortKind) (*Model, *models.Layout) {
	t.Helper()
	m, err := openPath(t, path, sites...)
	if err != nil {
		t.Fatal(err)
	}
	return m, m.session.Layout
}

func openPath(t *testing.T, path string, sites ...models.PortKind) (*Model, error) {
	t.Helper()
	d, err := decoder.Open(path)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { d.Close() })
	l, err := d.Locate(t.Context())
	if err != nil {
		return nil, err
	}
	req := rewrite.Request{Signal: true}
	for _, site := range sites {
		inject := rewrite.Inject{Site: site}
		for i, layer := range l.Bodies[0].Layers {
			if site.Intervention().Missing(layer) == "" {
				inject.Layers = append(inject.Layers, i)
			}
		}
		req.Inject = append(req.Inject, inject)
	}
	m, err := Open(t.Context(), orttest.Host(t), d, runtime.Options{Threads: 1}, req)
	if err == nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, err
}

// feeds returns the interventions of a case, or false if a site has no ports yet.
func feeds(changes []change, prompt int, d int) (Feeds, bool) {
	var out []Feeds
	for _, c := range changes {
		if c.Op != "add" || !slices.Contains(models.Sites(), c.Site) {
			return nil, false
		}
		a := Add{Site: c.Site, Layers: c.Layers, Vector: vector(c.Seed, d), Tau: c.Tau, When: c.When}
		switch first, last, isRange := strings.Cut(c.Positions, "-"); {
		case c.Positions == "last":
			a.From, a.To = prompt-1, prompt
		case isRange:
			a.From, _ = strconv.Atoi(first)
			a.To, _ = strconv.Atoi(last)
			a.To++
		}
		out = append(out, a.Feeds)
	}
	return All(out...), true
}

// Every fixture, with a cache of any form or without one, gives the tokens of transformers, clean and under interventions.
func TestReferences(t *testing.T) {
	refs := readReferences(t)
	cached := 0
	for path, ref := range fixtures(t) {
		if ref == "nano" { // transformers cannot generate with it
			continue
		}
		t.Run(strings.TrimPrefix(path, testdata+"/"), func(t *testing.T) {
			r, ok := refs[ref]
			if !ok {
				t.Fatalf("no reference %q", ref)
			}
			m, l := openModel(t, path, models.PortAttnOut)
			if m.Cached() {
				cached++
			}
			var eos []int64
			if r.EOS != nil {
				eos = []int64{*r.EOS}
			}
			ran := 0
			for _, c := range r.Cases {
				f, ok := feeds(c.Interventions, len(r.Prompt), l.DModel)
				if !ok {
					continue
				}
				got, err := m.Continue(t.Context(), Request{Prompt: r.Prompt, Max: 40, EOS: eos, Feeds: f})
				if err != nil {
					t.Errorf("%s: %v", c.Name, err)
					continue
				}
				ran++
				if d := cmp.Diff(c.IDs, got.IDs); d != "" {
					t.Errorf("%s:\n got %v\nwant %v", c.Name, got.IDs, c.IDs)
				}
			}
			if ran < 7 {
				t.Errorf("only %d cases ran", ran)
			}
		})
	}
	if cached < 20 {
		t.Errorf("only %d fixtures with a cache", cached)
	}
}
