package generate

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/intervention"
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
	intervention.Entry
	Seed float64
}

// UnmarshalJSON separates the seed from the entry.
func (c *change) UnmarshalJSON(data []byte) error {
	var seed struct{ Seed float64 }
	err := errors.Join(json.Unmarshal(data, &c.Entry), json.Unmarshal(data, &seed))
	c.Seed = seed.Seed
	return err
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

// openModel opens a file with all ports of every site at every layer that has it.
func openModel(t *testing.T, path string) (*Model, *models.Layout) {
	t.Helper()
	m, err := openPath(t, path)
	if err != nil {
		t.Fatal(err)
	}
	return m, m.session.Layout
}

func openPath(t *testing.T, path string) (*Model, error) {
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
	for _, site := range models.Sites() {
		var layers []int
		for i, layer := range l.Bodies[0].Layers {
			if site.Intervention().Missing(layer) == "" {
				layers = append(layers, i)
			}
		}
		req.Inject = append(req.Inject, rewrite.Inject{Site: site, Layers: layers})
		req.Gate = append(req.Gate, rewrite.Inject{Site: site, Layers: layers})
	}
	m, err := Open(t.Context(), orttest.Host(t), d, runtime.Options{Threads: 1}, req)
	if err == nil {
		t.Cleanup(func() { m.Close() })
	}
	return m, err
}

// plan returns the interventions of a case.
func plan(t *testing.T, changes []change, l *models.Layout) intervention.Plan {
	t.Helper()
	var out intervention.Plan
	for _, c := range changes {
		layers, err := models.ParseLayers(string(c.Layers), l.Layers)
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range layers {
			var memory []float32
			if c.Op.UsesMemory() {
				memory = vector(c.Seed, l.DModel)
			}
			x, err := c.Change(layer, memory)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, x)
		}
	}
	return out
}

// ownReference has weights that were rounded, so that another reference applies.
var ownReference = map[string]string{"q4-with-past.onnx": "gpt2-q4"}

// noReference has the reason why a file cannot give the tokens of a reference.
var noReference = map[string]string{
	"nanogpt-torchscript.onnx": "transformers does not have the model",
	"ort-int8-dynamic.onnx":    "int8 rounds activations by their range: the most likely token changes",
}

// Every fixture, with a cache of any form or without one, gives the tokens of transformers, clean and under interventions.
func TestReferences(t *testing.T) {
	refs := readReferences(t)
	ran, cached := 0, 0
	for path, ref := range fixtures(t) {
		name := strings.TrimPrefix(path, testdata+"/")
		if noReference[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r, ok := refs[cmp.Or(ownReference[name], ref)]
			if !ok {
				t.Fatalf("no reference %q", ref)
			}
			m, l := openModel(t, path)
			if m.Cached() {
				cached++
			}
			var eos []int64
			if r.EOS != nil {
				eos = []int64{*r.EOS}
			}
			ran++
			cases := 0
			for _, c := range r.Cases {
				got, err := m.Continue(t.Context(), Request{Prompt: r.Prompt, Max: 40, EOS: eos, Plan: plan(t, c.Interventions, l)})
				if err != nil {
					t.Errorf("%s: %v", c.Name, err)
					continue
				}
				cases++
				if !slices.Equal(c.IDs, got.IDs) {
					t.Errorf("%s:\n got %v\nwant %v", c.Name, got.IDs, c.IDs)
				}
			}
			if cases < 12 && ref != "neox" { // its int8 has the tokens of ONNX Runtime, without interventions
				t.Errorf("only %d cases ran", cases)
			}
		})
	}
	if ran > 30 && cached < 20 { // none was left out by -run
		t.Errorf("only %d fixtures of %d have a cache", cached, ran)
	}
}
