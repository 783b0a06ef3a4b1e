package steer

import (
	"fmt"
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

// operation is an intervention with a factor and a tau for each position.
type operation struct {
	name      string
	keep, tau func(pos int) float32
}

var operations = []operation{
	{"add", func(int) float32 { return 1 }, func(p int) float32 { return float32(p) - 1.5 }},
	{"scale", func(p int) float32 { return 0.5 * float32(p) }, func(int) float32 { return 0 }},
	{"ablate", func(int) float32 { return 0 }, func(int) float32 { return 0 }},
	{"replace", func(p int) float32 { return float32(min(p, 1)) }, func(p int) float32 { return 1 - float32(min(p, 1)) }},
}

// An intervention changes the value x of its site to keep * x + tau * memory where the model reads it, and neither the port that
// shows x nor anything before it. The laws hold with it.
func TestSites(t *testing.T) {
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
				for layer, l := range x.layout.Bodies[0].Layers {
					if why := site.Intervention().Missing(l); why != "" {
						t.Logf("%s of layer %d: %s", site, layer, why)
						continue
					}
					for _, o := range operations {
						x.changes(site, layer, o, clean, bound)
					}
				}
			}
		})
	}
}

// changes makes one intervention with a vector for each row.
func (x *steeredFixture) changes(site models.PortKind, layer int, o operation, clean map[string]*graph.Tensor, bound float64) {
	x.Helper()
	where := fmt.Sprintf("%s at %s of layer %d", o.name, site, layer)
	rows, pos, dims := len(x.ids), len(x.ids[0]), site.Intervention().MemoryDims(x.layout)
	d := site.Intervention().MemoryLen(x.layout)
	memory := make([]float32, rows*d)
	for i := range memory {
		memory[i] = float32(i%7) / 3
	}
	var keep, tau []float32
	for p := range pos {
		for range d / int(dims[len(dims)-1]) { // each head has the factor of its position
			keep, tau = append(keep, o.keep(p)), append(tau, o.tau(p))
		}
	}
	shape := append([]int64{1, int64(pos)}, dims...)
	shape[len(shape)-1] = 1
	got := x.run(map[string]*graph.Tensor{
		site.Input(models.PortMemory).Name(layer): graph.NewFloat32(memory, append([]int64{int64(rows), 1}, dims...)...),
		site.Input(models.PortTau).Name(layer):    graph.NewFloat32(tau, shape...),
		site.Input(models.PortKeep).Name(layer):   graph.NewFloat32(keep, shape...),
	})
	numbers := func(out map[string]*graph.Tensor, name string) []float64 {
		v, err := wide(out[name])
		if err != nil {
			x.Fatalf("%s: %v", name, err)
		}
		return v
	}
	for _, name := range []string{site.Name(layer), models.PortResidPre.Name(layer)} {
		if !slices.Equal(numbers(got, name), numbers(clean, name)) {
			x.Errorf("%s changes %s", where, name)
		}
	}
	own := numbers(clean, site.Name(layer))
	added := make([]float64, rows*pos*d)
	for i := range added {
		p := i / d % pos
		added[i] = float64(o.keep(p)-1)*own[i] + float64(o.tau(p))*float64(memory[i/(pos*d)*d+i%d])
	}
	if site.Intervention().ByHead() {
		x.changesHeads(where, layer, o, clean, got, bound)
		added = nil
	}
	r := &outcome{layout: x.layout, out: got, added: map[models.BakedAt][]float64{{Site: site, Layer: layer}: added}}
	for _, law := range r.broken(2) {
		x.Errorf("%s: %s", where, law)
	}
	sum := map[models.PortKind]models.PortKind{models.PortAttnOut: models.PortResidPost, models.PortMLPOut: models.PortResidPost}[site]
	if site == models.PortAttnOut && x.layout.Bodies[0].Layers[layer].Missing[string(models.PortResidMid)] == "" {
		sum = models.PortResidMid
	}
	if sum == "" || len(x.layout.Bodies[0].Layers[layer].ResidPost) == 0 && sum == models.PortResidPost {
		return
	}
	before, after, worst := numbers(clean, sum.Name(layer)), numbers(got, sum.Name(layer)), 0.0
	for i := range before {
		want := before[i] + added[i]
		if diff := math.Abs(after[i]-want) / max(1, math.Abs(want)); !(diff <= worst) {
			worst = diff
		}
	}
	if !(worst <= bound) {
		x.Errorf("%s changes %s by another vector: %g off", where, sum, worst)
	}
}

// changesHeads holds what the heads write, which is linear in z, to the factor where no memory is added.
func (x *steeredFixture) changesHeads(where string, layer int, o operation, clean, got map[string]*graph.Tensor, bound float64) {
	x.Helper()
	name := models.PortResult.Name(layer)
	if clean[name] == nil {
		return
	}
	before, err := wide(clean[name])
	after, err2 := wide(got[name])
	if err != nil || err2 != nil {
		x.Fatal(err, err2)
	}
	pos, each := len(x.ids[0]), x.layout.Heads*x.layout.DModel
	if bound < 1e-3 && x.layout.Bodies[0].Layers[layer].WO.Scale != nil {
		bound = 5e-2 // activations may be rounded to 8 bits
	}
	changed := false
	for i := range before {
		p := i / each % pos
		want := float64(o.keep(p)) * before[i]
		if o.tau(p) != 0 {
			changed = changed || after[i] != want
			continue
		}
		if diff := math.Abs(after[i] - want); diff > bound*max(1, math.Abs(before[i])) {
			x.Fatalf("%s: %s is %g, want %g", where, name, after[i], want)
		}
	}
	if !changed && o.tau(0) != 0 {
		x.Errorf("%s: the memory has no effect", where)
	}
}
