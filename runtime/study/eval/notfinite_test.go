package eval

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// A memory whose squares leave the range of float32 gives finite logits, because norms divide by infinity. Every plan marks such
// cells, also where the memory is added at a position that is not the last one.
func TestE07TooLoud(t *testing.T) {
	for _, at := range []string{"all", "0-0"} {
		for _, plan := range []string{"points", "rows", "fanout", Auto} {
			t.Run(at+" "+plan, func(t *testing.T) {
				c := world(t)
				c.Plan, c.Taus, c.Limit = plan, []float64{1, 1e30}, 2
				c.Positions, _ = intervention.ParsePositions(at)
				r, got := run(t, c)
				if plan == Auto && r.Plan.Used != "fanout" {
					t.Errorf("auto took %+v", r.Plan)
				}
				for _, x := range got.Cells {
					if want := map[float64]results.Status{1: results.Finite, 1e30: results.Inf}[x.Tau]; x.Status != want {
						t.Errorf("layer %d, tau %v: status %q, want %q", x.Layer, x.Tau, x.Status, want)
					}
				}
				if want := len(got.Cells) / 2; r.NotFinite != want {
					t.Errorf("%d are not finite, want %d", r.NotFinite, want)
				}
			})
		}
	}
}

// spoilt opens a copy of a model with one change.
func spoilt(t *testing.T, m *decoder.Model, change func(e *graph.Edit, g *graph.Model, l *models.Layout)) *decoder.Model {
	t.Helper()
	l, err := recognise.Locate(t.Context(), m.Graph, m.Config)
	if err != nil {
		t.Fatal(err)
	}
	e := m.Graph.Edit()
	change(e, m.Graph, l)
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.Path, "spoilt.onnx") // beside the tokenizer
	if _, err := graph.Save(t.Context(), m.Graph, path, graph.Embed, true); err != nil {
		t.Fatal(err)
	}
	out, err := decoder.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return out
}

// A model whose own numbers overflow says so in every row, with and without a memory.
func TestE07OverflowInside(t *testing.T) {
	scale := func(e *graph.Edit, g *graph.Graph, u graph.Use, by float32) {
		factor := e.Const(g, "factor", graph.NewFloat32([]float32{by}))
		e.Redirect(u, e.Node(g, graph.Spec{Op: "Mul", Name: "loud", Inputs: []*graph.Value{u.Node.In(u.Slot), factor}}))
	}
	for name, change := range map[string]func(e *graph.Edit, g *graph.Model, l *models.Layout){
		"the stream, which norms swallow": func(e *graph.Edit, g *graph.Model, l *models.Layout) {
			scale(e, g.Graph, l.Bodies[0].Layers[2].MLPJoin, 1e25)
		},
		"the logits": func(e *graph.Edit, g *graph.Model, l *models.Layout) {
			gamma := e.Const(g.Graph, "gamma", graph.NewFloat32(slices.Repeat([]float32{1e38}, l.DModel), int64(l.DModel)))
			e.Redirect(graph.Use{Node: l.Bodies[0].Norm.Node, Slot: 1}, gamma)
		},
	} {
		for _, plan := range []string{"points", "rows", "fanout", Auto} {
			t.Run(name+", "+plan, func(t *testing.T) {
				c := world(t)
				c.Plan, c.Taus, c.Limit = plan, []float64{1}, 2
				c.Model = spoilt(t, c.Model, change)
				r, got := run(t, c)
				for _, p := range got.Prompts {
					if p.Clean.OK() || p.Ceiling.OK() {
						t.Errorf("prompt %d: clean %+v, one hop %+v", p.Index, p.Clean, p.Ceiling)
					}
				}
				for _, x := range got.Cells {
					if x.OK() || !math.IsNaN(x.LogP) {
						t.Errorf("layer %d, tau %v: %+v", x.Layer, x.Tau, x.Score)
					}
				}
				if want := len(got.Cells) + len(got.Prompts); r.NotFinite != want {
					t.Errorf("%d are not finite, want %d", r.NotFinite, want)
				}
			})
		}
	}
}

// A source whose memories change nothing is reported by name; one that does, and tau 0, are not.
func TestE02NoEffect(t *testing.T) {
	zero := filepath.Join(t.TempDir(), "zero.npy")
	if err := vector.Write(zero, &vector.Vector{Data: make([]float32, 128)}, false); err != nil {
		t.Fatal(err)
	}
	for _, plan := range []string{"points", "rows", "fanout"} {
		c := world(t)
		c.Plan, c.Limit = plan, 2
		c.Memories = []string{"curated", "none", "file:" + zero}
		if r, _ := run(t, c); !slices.Equal(r.NoEffect, []string{"file:zero.npy"}) {
			t.Errorf("%s: no effect of %q", plan, r.NoEffect)
		}
		c.Dir, c.Memories, c.Taus = filepath.Join(t.TempDir(), "out"), []string{"curated"}, []float64{0}
		if r, _ := run(t, c); r.NoEffect != nil {
			t.Errorf("%s, tau 0: no effect of %q", plan, r.NoEffect)
		}
	}
}
