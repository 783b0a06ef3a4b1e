package steer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// mutants is how many are made of each file; some thousand held once.
const mutants = 12

// mutations are the fixtures that compute in float32 and run whole prompts.
var mutations = []string{"families/optimum-llama", "families/optimum-phi3", "families/optimum-phi", "families/optimum-gemma2", "families/optimum-olmo2",
	"families/optimum-stablelm", "families/optimum-smollm3", "families/optimum-cohere", "families/optimum-falcon", "families/optimum-bloom",
	"families/dynamo18-qwen2.5", "families/dynamo18-opt", "families/dynamo23-llama", "families/genai-llama3/model", "families/genai09-gemma3-local", "families/genai09-granite",
	"torchscript-op10", "torchscript-op17-mask", "dynamo-op18-sdpa", "dynamo-op23-attention", "onnxslim", "nanogpt-torchscript",
	"gpt-neo", "gpt-j", "ort-fused-attention", "ort-fused-skiplayernorm", "optimum-2-cache", "optimum-1-with-past"}

// mutate changes one edge of a graph: it puts an operation on it that keeps the shape, or leads it elsewhere.
func mutate(r *rand.Rand, m *graph.Model, width int) string {
	e, g := m.Edit(), m.Graph
	nodes := g.Nodes()
	for {
		n := nodes[r.IntN(len(nodes))]
		if len(n.Inputs()) == 0 {
			continue
		}
		u := graph.Use{Node: n, Slot: r.IntN(len(n.Inputs()))}
		v := n.In(u.Slot)
		if v == nil || v.Producer() == nil || v.Const() != nil || n.Is("Shape") || v.Type().DType != graph.Undefined && !v.Type().DType.IsFloat() ||
			v.Producer().Is("Shape", "Gather", "Unsqueeze", "Squeeze", "Concat", "ConstantOfShape", "Slice", "Range", "Less") && !v.Type().DType.IsFloat() {
			continue
		}
		op := func(name string, in ...*graph.Value) *graph.Value {
			return e.Node(g, graph.Spec{Op: name, Name: "mutant", Inputs: in})
		}
		scalar := func(x float32) *graph.Value { return e.Const(g, "c", graph.NewFloat32([]float32{x})) }
		vector := func() *graph.Value {
			x := make([]float32, width)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			return e.Const(g, "c", graph.NewFloat32(x, int64(width)))
		}
		what := ""
		var w *graph.Value
		switch r.IntN(9) {
		case 0:
			what, w = "Neg", op("Neg", v)
		case 1:
			what, w = "Mul 0.5", op("Mul", v, scalar(0.5))
		case 2:
			what, w = "Tanh", op("Tanh", v)
		case 3:
			what, w = "Add self", op("Add", v, v)
		case 4:
			what, w = "Add vector", op("Add", v, vector())
		case 5:
			what, w = "Mul vector", op("Mul", v, vector())
		case 6:
			what, w = "Sub vector", op("Sub", v, vector())
		default: // another value instead
			p := nodes[r.IntN(len(nodes))]
			if len(p.Outputs()) == 0 || p.Out(0) == nil || p.Out(0) == v {
				continue
			}
			w = p.Out(0)
			what = fmt.Sprintf("read %v", w)
		}
		e.Redirect(u, w)
		if e.Commit() != nil {
			return ""
		}
		return fmt.Sprintf("%s at input %d of %v", what, u.Slot, n)
	}
}

// A graph that is nearly a decoder is refused, or every law holds of what is exposed.
func TestMutations(t *testing.T) {
	ctx, host := context.Background(), orttest.Host(t)
	accepted, ran := 0, 0
	for i, name := range mutations {
		file, err := graph.Load(filepath.Join(testdata, name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		original, err := recognise.Locate(t.Context(), file, nil)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(mutants) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			m := file.Clone()
			what := mutate(r, m, original.DModel)
			if what == "" {
				continue
			}
			l, err := recognise.Locate(t.Context(), m, nil)
			if err != nil {
				continue
			}
			accepted++
			if l.Layers != original.Layers {
				t.Errorf("%s %d, %s: %d layers, the original has %d", name, seed, what, l.Layers, original.Layers)
			}
			bad, err := broken(ctx, host, m, l)
			if err != nil {
				continue
			}
			ran++
			if len(bad) > 0 {
				t.Errorf("%s %d, %s:\n  %s", name, seed, what, strings.Join(bad, "\n  "))
			}
		}
	}
	if accepted < 100 || ran < 50 {
		t.Errorf("%d mutants were accepted and %d ran: too few to show anything", accepted, ran)
	}
}

// layersWith are the layers that nothing is said to be missing from.
func layersWith(l *models.Layout, missing func(*models.Layer) string) []int {
	var layers []int
	for i, x := range l.Bodies[0].Layers {
		if missing(x) == "" {
			layers = append(layers, i)
		}
	}
	return layers
}

// broken runs a model with everything exposed and a memory at every site of layer 1, and returns the laws that do not hold.
func broken(ctx context.Context, host runtime.Host, m *graph.Model, l *models.Layout) ([]string, error) {
	var req rewrite.Request
	for _, site := range models.Sites() {
		x := rewrite.Inject{Site: site, Layers: layersWith(l, site.Intervention().Missing)}
		req.Inject, req.Gate = append(req.Inject, x), append(req.Gate, x)
	}
	for _, k := range rewrite.Kinds {
		layers := layersWith(l, func(x *models.Layer) string { return x.Missing[string(k.Port)] })
		req.Expose = append(req.Expose, rewrite.Expose{Kind: k, Layers: layers})
	}
	d := &decoder.Model{Graph: m}
	s, err := d.Session(ctx, host, runtime.Options{Threads: 1}, decoder.Apply(req))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	ids := []int64{5, 17, 3, 90, 41, 8, 66}
	if n := s.Signature.Length; n > 0 {
		ids = ids[:n]
	}
	batch := [][]int64{ids}
	for len(batch) < int(s.Signature.Batch) {
		batch = append(batch, ids)
	}
	feeds, err := s.Signature.Feeds(batch)
	if err != nil {
		return nil, err
	}
	r := &outcome{layout: l, added: map[models.BakedAt][]float64{}}
	const at, tau = 1, 2.5
	memory, added := make([]float32, l.DModel), make([]float64, l.DModel)
	for i := range memory {
		memory[i] = float32(i%5) / 3
		added[i] = tau * float64(memory[i])
	}
	for _, x := range req.Inject {
		if !slices.Contains(x.Layers, at) {
			continue
		}
		port := x.Site.Input(models.PortTau)
		feeds[port.Name(at)] = port.Fill(l, func() float32 { return tau })
		if port := x.Site.Input(models.PortMemory); x.Site.Intervention().ByHead() {
			feeds[port.Name(at)] = port.Fill(l, func() float32 { return 0.5 })
		} else {
			feeds[port.Name(at)] = graph.NewFloat32(memory, 1, 1, int64(l.DModel))
			r.added[models.BakedAt{Site: x.Site, Layer: at}] = added
		}
	}
	if r.out, err = s.Run(ctx, feeds); err != nil {
		return nil, err
	}
	for _, t := range r.out {
		if x, err := t.Float32s(); err != nil || slices.ContainsFunc(x, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) }) {
			return nil, errors.New("the mutant computes no numbers")
		}
	}
	return r.broken(2), nil // of the bounds, which are those of a host that does not optimise
}
