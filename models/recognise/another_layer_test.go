package recognise

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// opened is a fixture with its attention computations and layers.
type opened struct {
	*graph.Edit
	*analysis
	m *graph.Model
	b *models.Body
}

func openCores(t *testing.T, path string) *opened {
	t.Helper()
	m, err := graph.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Locate(t.Context(), m, nil)
	if err != nil {
		l, err = Locate(t.Context(), m, &models.Config{Heads: 4, KVHeads: 1}) // BigCode: only config.json has the number of heads
	}
	if err != nil {
		t.Fatal(err)
	}
	a := newAnalysis(t.Context(), l.Bodies[0].Graph, ops.NewConstants(m))
	r := &Report{Forms: make([]FormReport, len(forms))}
	if err := a.findCores(r); err != nil {
		t.Fatal(err)
	}
	if err := a.trace(); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(a.cores, func(x, y *core) int { return a.depth(x.out) - a.depth(y.out) })
	return &opened{m.Edit(), a, m, l.Bodies[0]}
}

// add puts the sum with another value in the place of v.
func (o *opened) add(v, w *graph.Value) bool {
	if v == nil || w == nil {
		return false
	}
	s := o.Node(o.g, graph.Spec{Op: "Add", Inputs: []*graph.Value{v, w}})
	for _, u := range v.Uses() {
		o.Redirect(u, s)
	}
	return true
}

// from makes the projection of q (0), k (1) or v (2) of layer 1 read v, if it is not that of the other two as well.
func (o *opened) from(i int, v *graph.Value) bool {
	p := o.cores[1].qkv[i]
	if fused, _ := qkvOf(o.cores[1]); p == nil || v == nil || fused {
		return false
	}
	o.Redirect(graph.Use{Node: p.node, Slot: 0}, v)
	return true
}

// mlpInput is what the MLP of layer 0 reads: a norm of its residual stream after attention.
func (o *opened) mlpInput() *graph.Value {
	first := o.b.Layers[0]
	for _, n := range o.b.Graph.Ordered() {
		if v := n.Out(0); v != nil && first.ResidMid != nil && o.readProjection(n) != nil && o.depth(v) == 1 && n != first.WO.Node {
			return n.In(0)
		}
	}
	return nil
}

// Keys, values or queries of layer 1 that come from another place than the residual stream before that layer are refused, in
// every fixture in which the change can be made.
func TestA19AnotherLayersKeys(t *testing.T) {
	changes := map[string]struct {
		change func(o *opened) bool
		want   string
		least  int // number of fixtures that it applies to
	}{
		"keys of layer 0":              {func(o *opened) bool { return o.replaceUses(o.cores[1].key, o.cores[0].key) }, "", 20},
		"values of layer 0":            {func(o *opened) bool { return o.replaceUses(o.cores[1].value, o.cores[0].value) }, "", 20},
		"keys plus those of layer 0":   {func(o *opened) bool { return o.add(o.cores[1].key, o.cores[0].key) }, "q, k and v from the residual stream", 20},
		"values plus those of layer 0": {func(o *opened) bool { return o.add(o.cores[1].value, o.cores[0].value) }, "q, k and v from the residual stream", 20},
		"keys from another norm":       {func(o *opened) bool { return o.from(1, o.mlpInput()) }, "q, k and v from the residual stream before the layer", 5},
		"values from another norm":     {func(o *opened) bool { return o.from(2, o.mlpInput()) }, "q, k and v from the residual stream before the layer", 5},
		"queries from another norm":    {func(o *opened) bool { return o.from(0, o.mlpInput()) }, "q, k and v from the residual stream before the layer", 5},
		"values from the stream between attention and MLP": {func(o *opened) bool {
			mid := o.b.Layers[0].ResidMid
			return mid != nil && o.from(2, mid[0])
		}, "q, k and v from the residual stream before the layer", 5},
		"values without a norm": {func(o *opened) bool {
			return o.b.Layers[1].PostNorm == nil && o.from(2, o.b.Layers[1].ResidPre[0])
		}, "v from the stream itself", 3},
		"the cache of layer 0": {func(o *opened) bool {
			own, other := o.cacheInputs(o.cores[1]), o.cacheInputs(o.cores[0])
			for i := range min(len(own), len(other)) {
				for _, u := range own[i].Uses() {
					o.Redirect(u, other[i])
				}
			}
			return len(own) > 0 && len(other) > 0
		}, "want a cache of keys and values for each layer", 5},
	}
	var files []string
	for _, pattern := range []string{"*.onnx", "families/*.onnx", "families/*/model.onnx"} {
		found, err := filepath.Glob(filepath.Join("..", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			applied := 0
			for _, file := range files {
				o := openCores(t, file)
				if !c.change(o) || o.Commit() != nil {
					continue
				}
				applied++
				_, err := Locate(t.Context(), o.m, &models.Config{Heads: 4})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: got %v, want an error with %q", file, err, c.want)
				}
			}
			if applied < c.least {
				t.Errorf("applied to %d fixtures, want at least %d", applied, c.least)
			}
		})
	}
}

// replaceUses puts w in the place of v.
func (o *opened) replaceUses(v, w *graph.Value) bool {
	if v == nil || w == nil {
		return false
	}
	for _, u := range v.Uses() {
		o.Redirect(u, w)
	}
	return true
}

// A mask that multiplies the scores, or that replaces hidden ones by a number that is not low, hides nothing.
func TestA19MaskThatDoesNotHide(t *testing.T) {
	masked := func(o *opened, change func(n *graph.Node, scores, mask *graph.Value) *graph.Value) {
		for _, c := range o.cores {
			for v := c.score; ; { // back to the node that brings in the mask
				n := v.Producer()
				var scores, mask *graph.Value
				for _, in := range n.Inputs() {
					switch {
					case len(o.products.From(in)) > 0:
						scores = in
					case o.masks.Of(in) != "":
						mask = in
					}
				}
				if mask == nil {
					v = scores
					continue
				}
				w := change(n, scores, mask)
				for _, u := range n.Out(0).Uses() {
					o.Redirect(u, w)
				}
				break
			}
		}
	}
	const none, times = "no causal mask found", "got a mask that multiplies or negates them"
	for name, tt := range map[string]struct {
		file   string
		change func(o *opened)
		want   string
	}{
		"an additive mask that multiplies": {"dynamo-op18-sdpa.onnx", func(o *opened) {
			masked(o, func(_ *graph.Node, scores, mask *graph.Value) *graph.Value {
				return o.Node(o.g, graph.Spec{Op: "Mul", Inputs: []*graph.Value{mask, scores}})
			})
		}, times},
		"an additive mask that multiplies, Llama": {"families/optimum-llama.onnx", func(o *opened) {
			masked(o, func(_ *graph.Node, scores, mask *graph.Value) *graph.Value {
				return o.Node(o.g, graph.Spec{Op: "Mul", Inputs: []*graph.Value{scores, mask}})
			})
		}, times},
		"a choice of scores or 0": {"torchscript-op10.onnx", func(o *opened) {
			zero := o.Const(o.g, "zero", graph.NewFloat32([]float32{0}))
			masked(o, func(n *graph.Node, scores, mask *graph.Value) *graph.Value {
				return o.Node(o.g, graph.Spec{Op: "Where", Inputs: []*graph.Value{mask, scores, zero}})
			})
		}, none},
		"a choice of 0 or scores": {"torchscript-op10.onnx", func(o *opened) {
			zero := o.Const(o.g, "zero", graph.NewFloat32([]float32{0}))
			masked(o, func(n *graph.Node, scores, mask *graph.Value) *graph.Value {
				return o.Node(o.g, graph.Spec{Op: "Where", Inputs: []*graph.Value{mask, zero, scores}})
			})
		}, none},
	} {
		t.Run(name, func(t *testing.T) {
			o := openCores(t, filepath.Join("..", "testdata", tt.file))
			tt.change(o)
			if err := o.Commit(); err != nil {
				t.Fatal(err)
			}
			if _, err := Locate(t.Context(), o.m, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	// Scores that are negated after the mask make hidden positions the largest.
	for _, file := range []string{"torchscript-op17-mask.onnx", "families/optimum-llama.onnx"} {
		o := openCores(t, filepath.Join("..", "testdata", file))
		for _, c := range o.cores {
			w := o.Node(o.g, graph.Spec{Op: "Neg", Inputs: []*graph.Value{c.score}})
			for _, u := range c.score.Uses() {
				o.Redirect(u, w)
			}
		}
		if err := o.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, err := Locate(t.Context(), o.m, nil); err == nil || !strings.Contains(err.Error(), times) {
			t.Errorf("%s: got %v, want %q", file, err, times)
		}
	}
	// The same choice with a low number is a mask.
	o := openCores(t, filepath.Join("..", "testdata", "torchscript-op10.onnx"))
	low := o.Const(o.g, "low", graph.NewFloat32([]float32{-1e4}))
	masked(o, func(n *graph.Node, scores, mask *graph.Value) *graph.Value {
		return o.Node(o.g, graph.Spec{Op: "Where", Inputs: []*graph.Value{mask, scores, low}})
	})
	if err := o.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := Locate(t.Context(), o.m, nil); err != nil {
		t.Error(err)
	}
}
