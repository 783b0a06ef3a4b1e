package steer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

const testdata = "../../models/testdata"

// array is a tensor of a reference file.
type array struct {
	Shape []int64   `json:"shape"`
	Data  []float64 `json:"data"`
}

// reference holds what PyTorch computed in double precision; see the README of the fixtures.
type reference struct {
	Layers      int              `json:"layers"`
	DModel      int              `json:"d_model"`
	InputIDs    [][]int64        `json:"input_ids"`
	Logits      array            `json:"logits"`
	Activations map[string]array `json:"activations"`
	Memory      map[string]array `json:"memory"`
	Injected    []injected       `json:"injected"`
}

// injected are the logits of PyTorch with a memory at some layers.
type injected struct {
	Site      models.PortKind `json:"site"` // "": the default
	Layers    []int           `json:"layers"`
	Tau       float64         `json:"tau"`
	Memory    string          `json:"memory"`
	Positions string          `json:"positions"`
	Logits    array           `json:"logits"`
}

// site is where the memory is added.
func (inj injected) site() models.PortKind { return cmp.Or(inj.Site, models.DefaultSite) }

// feed sets the ports of an injection for a prompt of n tokens.
func (inj injected) feed(feeds map[string]*graph.Tensor, ref reference, n int64) {
	memory := narrow(ref.Memory[inj.Memory].Data)
	tau := make([]float32, n)
	for i := range tau {
		if inj.Positions != "last" || int64(i) == n-1 {
			tau[i] = float32(inj.Tau)
		}
	}
	for _, layer := range inj.Layers {
		feeds[inj.site().Input(models.PortMemory).Name(layer)] = graph.NewFloat32(memory, 1, 1, int64(len(memory)))
		feeds[inj.site().Input(models.PortTau).Name(layer)] = graph.NewFloat32(tau, 1, n, 1)
	}
}

type fixture struct {
	File  string   `json:"file"`
	Ref   string   `json:"ref"`
	Atol  float64  `json:"atol"`
	Skip  []string `json:"skip"`
	First bool     `json:"first"` // one token at a time
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fixtures lists the files that have references: of GPT-2 and its kind, and of the families since.
func fixtures(t *testing.T) []fixture {
	t.Helper()
	var out []fixture
	for _, dir := range []string{"", "families"} {
		var cases []fixture
		readJSON(t, filepath.Join(testdata, dir, "cases.json"), &cases)
		for _, c := range cases {
			c.File, c.Ref = filepath.Join(dir, c.File), filepath.Join(dir, c.Ref)
			out = append(out, c)
		}
	}
	return out
}

// cut keeps the first n positions of an array [batch, pos, …], and of a pattern [batch, head, query, key] n queries and keys.
func (a array) cut(n int64, pattern bool) array {
	at := 1
	if pattern {
		at = 2
	}
	if a.Shape[at] == n {
		return a
	}
	out := array{Shape: append([]int64(nil), a.Shape...)}
	out.Shape[at] = n
	if pattern {
		out.Shape[3] = n
	}
	var walk func(axis int, offset int64)
	strides := make([]int64, len(a.Shape))
	for i, s := len(a.Shape)-1, int64(1); i >= 0; i-- {
		strides[i] = s
		s *= a.Shape[i]
	}
	walk = func(axis int, offset int64) {
		if axis == len(a.Shape) {
			out.Data = append(out.Data, a.Data[offset])
			return
		}
		for i := range out.Shape[axis] {
			walk(axis+1, offset+i*strides[axis])
		}
	}
	walk(0, 0)
	return out
}

func compare(t *testing.T, what string, got *graph.Tensor, want array, atol float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: no such output", what)
		return
	}
	x, err := got.Float32s()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if fmt.Sprint(got.Dims) != fmt.Sprint(want.Shape) {
		t.Errorf("%s: shape %v, want %v", what, got.Dims, want.Shape)
		return
	}
	worst := 0.0
	for i := range x {
		d := math.Abs(float64(x[i]) - want.Data[i])
		if !(d <= worst) { // a NaN is the worst
			worst = d
		}
	}
	if !(worst <= atol) {
		t.Errorf("%s: differs by %g, want at most %g", what, worst, atol)
	}
}

// changes must not change any answer. A change of the file comes after a change of the graph.
var changes = []struct {
	name   string
	change func(testing.TB, *graph.Model)
	save   graph.Weights
}{
	{"as exported", func(testing.TB, *graph.Model) {}, ""},
	{"renamed", func(t testing.TB, m *graph.Model) { graphtest.RenameAll(t, m, 11) }, ""},
	{"operands swapped", func(t testing.TB, m *graph.Model) { graphtest.SwapCommutative(t, m, 12) }, ""},
	{"initializers as constants", func(t testing.TB, m *graph.Model) { graphtest.ConstantsFromInitializers(t, m) }, ""},
	{"weights in another file", func(testing.TB, *graph.Model) {}, graph.Copy},
	{"all of it", func(t testing.TB, m *graph.Model) {
		graphtest.ConstantsFromInitializers(t, m)
		graphtest.SwapCommutative(t, m, 13)
		graphtest.RenameAll(t, m, 14)
		graphtest.Shuffle(t, m, 15)
	}, graph.Copy},
}

// Every port of every fixture gives what PyTorch gives, and every injection the logits that PyTorch gives with it, however
// the file is renamed, reordered and split.
func TestFixturesAgainstPyTorch(t *testing.T) {
	host := orttest.Host(t)
	for _, c := range fixtures(t) {
		var ref reference
		readJSON(t, filepath.Join(testdata, c.Ref), &ref)
		for _, ch := range changes {
			t.Run(strings.TrimSuffix(c.File, ".onnx")+"/"+ch.name, func(t *testing.T) {
				path := filepath.Join(testdata, c.File)
				m, err := graph.Load(path)
				if err != nil {
					t.Fatal(err)
				}
				ch.change(t, m)
				if ch.save != "" {
					path = filepath.Join(t.TempDir(), "changed.onnx")
					if _, err := graph.Save(t.Context(), m, path, ch.save, false); err != nil {
						t.Fatal(err)
					}
					if m, err = graph.Load(path); err != nil {
						t.Fatal(err)
					}
				}
				f, err := folder.Open(filepath.Join(testdata, c.File))
				if err != nil {
					t.Fatal(err)
				}
				l, err := recognise.Locate(t.Context(), m, f.Config)
				if err != nil {
					t.Fatal(err)
				}
				checkReference(t, host, &decoder.Model{Config: f.Config, Graph: m}, l, c, ref)
			})
		}
	}
}

// all asks for every port that the layers have.
func all(l *models.Layout) rewrite.Request {
	layers := make([]int, l.Layers)
	for i := range layers {
		layers[i] = i
	}
	var req rewrite.Request
	for _, site := range models.Sites() {
		x := rewrite.Inject{Site: site, Layers: layersWith(l, site.Intervention().Missing)}
		req.Inject, req.Gate = append(req.Inject, x), append(req.Gate, x)
	}
	for _, k := range rewrite.Kinds {
		if l.Bodies[0].Layers[0].Missing[k.Name()] == "" {
			req.Expose = append(req.Expose, rewrite.Expose{Kind: k, Layers: layers})
		}
	}
	return req
}

func checkReference(t *testing.T, host runtime.Host, m *decoder.Model, l *models.Layout, c fixture, ref reference) {
	t.Helper()
	ctx := context.Background()
	s, err := m.Session(ctx, host, runtime.Options{Threads: 1}, decoder.Apply(all(l)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := int64(len(ref.InputIDs[0]))
	if c.First {
		n = 1
	}
	var ids [][]int64
	for _, row := range ref.InputIDs {
		ids = append(ids, row[:n])
	}
	run := func(change func(map[string]*graph.Tensor)) map[string]*graph.Tensor {
		feeds, err := s.Signature.Feeds(ids)
		if err != nil {
			t.Fatal(err)
		}
		change(feeds)
		out, err := s.Run(ctx, feeds)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	clean := run(func(map[string]*graph.Tensor) {})
	seen := 0
	for name, want := range ref.Activations {
		if got, ok := clean[name]; ok {
			seen++
			compare(t, name, got, want.cut(n, strings.HasSuffix(name, "pattern")), c.Atol)
		}
	}
	// References have no resid_mid, resid_post and hook_out that can be told from others.
	if want := ref.Layers * (len(rewrite.Kinds) - len(l.Bodies[0].Layers[0].Missing)); seen < want-4*ref.Layers {
		t.Errorf("%d activations compared, the model has %d", seen, want)
	}
	logits := l.Logits().Name()
	compare(t, "logits with tau = 0", clean[logits], ref.Logits.cut(n, false), c.Atol)
	for _, inj := range ref.Injected {
		if c.First && inj.Positions == "last" {
			continue
		}
		out := run(func(feeds map[string]*graph.Tensor) { inj.feed(feeds, ref, n) })
		compare(t, fmt.Sprintf("logits with memory %s at %s of layers %v, tau %g, %s", inj.Memory, inj.site(), inj.Layers, inj.Tau, inj.Positions), out[logits], inj.Logits.cut(n, false), c.Atol)
	}
}
