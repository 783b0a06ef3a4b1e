package steer

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// steeredFixture is a fixture that runs with everything exposed and every site injected.
type steeredFixture struct {
	*testing.T
	layout *models.Layout
	run    func(feeds map[string]*graph.Tensor) map[string]*graph.Tensor
	ids    [][]int64
}

func openFixture(t *testing.T, c fixture, ref reference) *steeredFixture {
	t.Helper()
	d, err := decoder.Open(filepath.Join(testdata, c.File))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	l, err := d.Locate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Session(t.Context(), orttest.Host(t), runtime.Options{Threads: 1}, decoder.Apply(all(l)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	x := &steeredFixture{T: t, layout: l}
	for _, row := range ref.InputIDs {
		if c.First {
			row = row[:1]
		}
		x.ids = append(x.ids, row)
	}
	x.run = func(changed map[string]*graph.Tensor) map[string]*graph.Tensor {
		feeds, err := s.Signature.Feeds(x.ids)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range changed {
			if feeds[name] == nil {
				t.Fatalf("no input %s", name)
			}
			feeds[name] = v
		}
		out, err := s.Run(t.Context(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return x
}

// A memory changes the sum that its site enters by tau * memory, and neither the site's own value nor anything before it. The laws hold
// with it.
func TestSitesAdd(t *testing.T) {
	for _, c := range fixtures(t) {
		var ref reference
		readJSON(t, filepath.Join(testdata, c.Ref), &ref)
		t.Run(c.File, func(t *testing.T) {
			x := openFixture(t, c, ref)
			clean := x.run(nil)
			bound := 1e-5
			if strings.Contains(c.File, "16") {
				bound = 1e-2 // the file computes in float16
			}
			for _, site := range models.Sites() {
				for layer := range x.layout.Layers {
					x.adds(site, layer, clean, bound)
				}
			}
		})
	}
}

// adds injects one vector for each row, with a tau for each position.
func (x *steeredFixture) adds(site models.PortKind, layer int, clean map[string]*graph.Tensor, bound float64) {
	x.Helper()
	rows, pos, d := len(x.ids), len(x.ids[0]), x.layout.DModel
	memory, tau := make([]float32, rows*d), make([]float32, pos)
	for i := range memory {
		memory[i] = float32(i%7) / 3
	}
	for i := range tau {
		tau[i] = float32(i) - 1.5
	}
	got := x.run(map[string]*graph.Tensor{
		site.Input(models.PortMemory).Name(layer): graph.NewFloat32(memory, int64(rows), 1, int64(d)),
		site.Input(models.PortTau).Name(layer):    graph.NewFloat32(tau, 1, int64(pos), 1),
	})
	numbers := func(out map[string]*graph.Tensor, name string) []float32 {
		v, err := out[name].Float32s()
		if err != nil {
			x.Fatalf("%s: %v", name, err)
		}
		return v
	}
	for _, name := range []string{site.Name(layer), models.PortResidPre.Name(layer)} {
		if !slices.Equal(numbers(got, name), numbers(clean, name)) {
			x.Errorf("a memory at %s of layer %d changes %s", site, layer, name)
		}
	}
	sum := models.PortResidPost.Name(layer)
	if site == models.PortAttnOut && x.layout.Bodies[0].Layers[layer].Missing[string(models.PortResidMid)] == "" {
		sum = models.PortResidMid.Name(layer)
	}
	added := make([]float64, rows*pos*d)
	for i := range added {
		added[i] = float64(tau[i/d%pos]) * float64(memory[i/(pos*d)*d+i%d])
	}
	before, after, worst := numbers(clean, sum), numbers(got, sum), 0.0
	for i := range before {
		want := float64(before[i]) + added[i]
		if diff := math.Abs(float64(after[i])-want) / max(1, math.Abs(want)); !(diff <= worst) {
			worst = diff
		}
	}
	if !(worst <= bound) {
		x.Errorf("a memory at %s of layer %d changes %s by another vector: %g off", site, layer, sum, worst)
	}
	r := &outcome{layout: x.layout, out: got, added: map[models.BakedAt][]float64{{Site: site, Layer: layer}: added}}
	for _, law := range r.broken(2) {
		x.Errorf("a memory at %s of layer %d: %s", site, layer, law)
	}
}
