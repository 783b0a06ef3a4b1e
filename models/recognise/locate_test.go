package recognise

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
	"github.com/onnx-inject/onnx-inject/models"
)

// shape holds the parts of a layout that describe the model as a whole.
type shape struct {
	Family                              string
	Layers, Heads, DHead, DModel, Vocab int
	NCtx, Bodies                        int
}

func shapeOf(l *models.Layout) shape {
	return shape{l.Family, l.Layers, l.Heads, l.DHead, l.DModel, l.Vocab, l.NCtx, len(l.Bodies)}
}

// fixtureShapes describes the models as they were made. cases.json lists the exporter of each.
var fixtureShapes = map[string]shape{
	"dynamo-op18-sdpa":        {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"dynamo-op23-attention":   {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"fp16":                    {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"gpt-j":                   {"gpt-j", 2, 4, 8, 32, 131, 0, 1},
	"gpt-neo":                 {"gpt-neo", 2, 4, 8, 32, 131, 48, 1},
	"nanogpt-torchscript":     {"gpt2", 2, 4, 8, 32, 131, 48, 1},
	"onnxslim":                {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"optimum-1-merged":        {"gpt2", 3, 4, 8, 32, 131, 48, 2},
	"optimum-1-with-past":     {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"optimum-2-cache":         {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"ort-fused-attention":     {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"ort-fused-skiplayernorm": {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"ort-int8-dynamic":        {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"q4-with-past":            {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"torchscript-op10":        {"gpt2", 3, 4, 8, 32, 131, 48, 1},
	"torchscript-op17-mask":   {"gpt2", 3, 4, 8, 32, 131, 48, 1},
}

func load(t *testing.T, name string) *graph.Model {
	t.Helper()
	m, err := graph.Load(filepath.Join("..", "testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLocateFixtures(t *testing.T) {
	for name, want := range fixtureShapes {
		t.Run(name, func(t *testing.T) {
			l, err := Locate(t.Context(), load(t, name), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, shapeOf(l)); diff != "" {
				t.Error(diff)
			}
			for _, b := range l.Bodies {
				for i, layer := range b.Layers {
					if layer.Index != i || layer.WO.In != int64(l.DModel) || layer.WO.Out != int64(l.DModel) || layer.Z == nil || len(layer.AttnOut) == 0 || len(layer.ResidPost) == 0 && layer.ResidPostOut == nil {
						t.Errorf("layer %d is incomplete: %+v", i, layer)
					}
				}
				if b.Logits == nil || b.Norm == nil {
					t.Error("no logits or final norm")
				}
			}
		})
	}
}

// changes lists the changes that must not matter to the recogniser.
var changes = map[string]func(testing.TB, *graph.Model, uint64){
	"renamed":   graphtest.RenameAll,
	"swapped":   graphtest.SwapCommutative,
	"shuffled":  graphtest.Shuffle,
	"constants": func(t testing.TB, m *graph.Model, _ uint64) { graphtest.ConstantsFromInitializers(t, m) },
	"all": func(t testing.TB, m *graph.Model, seed uint64) {
		graphtest.ConstantsFromInitializers(t, m)
		graphtest.SwapCommutative(t, m, seed)
		graphtest.RenameAll(t, m, seed)
		graphtest.Shuffle(t, m, seed)
	},
}

func TestLocateByStructureAlone(t *testing.T) {
	for name, want := range fixtureShapes {
		for change, apply := range changes {
			t.Run(name+"/"+change, func(t *testing.T) {
				m := load(t, name)
				before, err := Locate(t.Context(), m, nil)
				if err != nil {
					t.Fatal(err)
				}
				apply(t, m, 0)
				after, err := Locate(t.Context(), m, nil)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, shapeOf(after)); diff != "" {
					t.Error(diff)
				}
				for i, b := range before.Bodies {
					for j, x := range b.Layers {
						y := after.Bodies[i].Layers[j]
						if x.Core != y.Core || x.Join.Node != y.Join.Node || !slices.Equal(x.AttnOut[:1], y.AttnOut[:1]) || !slices.Equal(x.ResidPre, y.ResidPre) || x.Z != y.Z || x.Pattern != y.Pattern {
							t.Errorf("layer %d has changed", j)
						}
					}
				}
				// A changed model must also survive saving and loading, with its weights in another file.
				m = load(t, name)
				apply(t, m, 7)
				path := filepath.Join(t.TempDir(), "m.onnx")
				if _, err := graph.Save(t.Context(), m, path, graph.Copy, false); err != nil {
					t.Fatal(err)
				}
				again, err := graph.Load(path)
				if err != nil {
					t.Fatal(err)
				}
				l, err := Locate(t.Context(), again, nil)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, shapeOf(l)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// secondLayer recognises a fixture and returns its layer 1.
func secondLayer(m *graph.Model) *models.Layer { return located(m).Bodies[0].Layers[1] }

func located(m *graph.Model) *models.Layout {
	l, err := Locate(context.Background(), m, nil)
	if err != nil {
		panic(err) // the fixtures are recognised: see TestLocate
	}
	return l
}

// nearly changes fixtures into graphs that are nearly decoders.
var nearly = []struct {
	name, file string
	cfg        *models.Config
	change     func(m *graph.Model, e *graph.Edit)
	want       string
}{
	{"two additions of an MLP", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		e.Output(m.Graph, e.Node(m.Graph, graph.Spec{Op: "Add", Inputs: []*graph.Value{l.ResidMid[0], l.MLPOut[0]}}))
	}, "want one Add of the MLP to the residual stream, got 2"},
	{"a sum that only a norm has", "gpt-neo", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		add, norm := l.Join.Node, located(m).Bodies[0].Norm
		skip := e.Node(m.Graph, graph.Spec{Op: "SkipLayerNormalization", Domain: "com.microsoft", Inputs: []*graph.Value{add.In(0), add.In(1), norm.Gamma, norm.Beta}})
		for _, u := range add.Out(0).Uses() {
			e.Redirect(u, skip)
		}
		e.Prune()
	}, "want the sum as a further output, which the rest of the block reads, got no such output"},
	{"an MLP over another value", "gpt-j", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		mask := e.Node(m.Graph, graph.Spec{Op: "Cast", Attrs: graph.Attrs{"to": 1}, Inputs: []*graph.Value{m.Graph.Inputs()[0]}})
		e.Redirect(l.MLPJoin, e.Node(m.Graph, graph.Spec{Op: "Neg", Inputs: []*graph.Value{mask}}))
		e.Prune()
	}, "want an MLP over the same residual stream as attention, got a value that does not come from"},
	{"probabilities in two products", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		e.Output(m.Graph, e.Node(m.Graph, graph.Spec{Op: "MatMul", Inputs: []*graph.Value{l.Core.In(0), l.Core.In(1)}}))
	}, "want layer 1 to continue the residual stream of layer 0"},
	{"a final norm of another width", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		gamma := located(m).Bodies[0].Norm.Gamma
		for _, u := range gamma.Uses() {
			e.Redirect(u, e.Const(m.Graph, "wide", graph.Zeros(graph.Float32, 48)))
		}
	}, "the final norm has 48 weights, but W_O has d_model 32"},
	{"two tables of positions", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		n := located(m).Positions.Node
		more := e.Node(m.Graph, graph.Spec{Op: "Gather", Inputs: []*graph.Value{e.Const(m.Graph, "table", graph.Zeros(graph.Float32, 48, 32)), n.In(1)}})
		sum := e.Node(m.Graph, graph.Spec{Op: "Add", Inputs: []*graph.Value{n.Out(0), more}})
		for _, u := range n.Out(0).Uses() {
			e.Redirect(u, sum)
		}
	}, "want one table of positions [n_ctx, d_model], got 2"},
	{"fused embeddings that are computed", "ort-fused-attention", nil, func(m *graph.Model, e *graph.Edit) {
		n := located(m).Embed.Node
		e.Redirect(graph.Use{Node: n, Slot: 2}, e.Node(m.Graph, graph.Spec{Op: "Neg", Inputs: []*graph.Value{n.In(2)}}))
	}, "want a constant table of token embeddings, got none"},
	{"layers of two widths", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		e.Redirect(graph.Use{Node: l.WO.Node, Slot: 1}, e.Const(m.Graph, "w", graph.Zeros(graph.Float32, 32, 48)))
	}, "other layers have"},
	{"wrong head count in config", "torchscript-op17-mask", &models.Config{Heads: 8}, nil,
		"want all places to agree on the number of heads, got z by position: 4 heads of 8; z: 4 heads of 8; q: 4 heads of 8; probabilities: 4 heads of 8; v: 4 heads of 8; config.json: 8 heads of 4"},
	{"head count that does not divide", "torchscript-op17-mask", &models.Config{Heads: 5}, nil,
		"want heads * d_head = 32, the rows of W_O, got config.json: 5 heads of 6"},
	{"two joins", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		v := e.Node(m.Graph, graph.Spec{Op: "Add", Name: "second_join", Inputs: []*graph.Value{l.AttnOut[0], l.ResidPre[0]}})
		e.Output(m.Graph, v)
	}, "want one join with the residual stream, got 2 candidates"},
	{"no residual connection", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		for _, u := range l.ResidMid[0].Uses() {
			e.Redirect(u, l.AttnOut[0])
		}
		e.Prune()
	}, "want"},
	{"no causal mask", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		for _, n := range m.Graph.Nodes() {
			if n.Is("Softmax") {
				where := n.In(0).Producer() // Where(mask, scores, min) + padding
				for where != nil && !where.Is("Where") {
					where = where.In(0).Producer()
				}
				for _, u := range where.Out(0).Uses() {
					e.Redirect(u, where.In(1))
				}
			}
		}
	}, "no causal mask found"},
	{"a mask from the caller", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		zero := e.Const(m.Graph, "zero", graph.NewInt64([]int64{0}))
		for _, n := range m.Graph.Nodes() {
			if n.Is("Softmax") {
				var where *graph.Node
				for x := n.In(0).Producer(); x != nil && where == nil; x = x.In(0).Producer() {
					if x.Is("Where") {
						where = x
					}
				}
				e.Redirect(graph.Use{Node: where, Slot: 0}, e.Node(m.Graph, graph.Spec{Op: "Greater", Inputs: []*graph.Value{m.Graph.Lookup("attention_mask"), zero}}))
			}
		}
	}, "no causal mask found"},
	{"softmax over the queries", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		for _, n := range m.Graph.Nodes() {
			if n.Is("Softmax") {
				e.SetAttr(n, "axis", 2)
			}
		}
	}, "want Softmax over the last axis, that of the keys, got axis 2"},
	{"a first layer of another kind", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		for _, n := range m.Graph.Nodes() {
			if n.Is("Softmax") {
				e.SetAttr(n, "axis", 1)
				return
			}
		}
	}, "want only embeddings before the first layer, got a projection"},
	{"branches of another kind", "optimum-1-merged", nil, func(m *graph.Model, e *graph.Edit) {
		for g := range m.Graphs() {
			for _, n := range g.Nodes() {
				if n.Is("Softmax") {
					e.SetAttr(n, "axis", 1)
				}
			}
		}
	}, "branch else_branch: no attention found; the closest is Softmax"},
	{"attention times what is computed", "gpt-neo", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		product := l.WO.Node.Out(0)
		cast := e.Node(m.Graph, graph.Spec{Op: "Cast", Attrs: graph.Attrs{"to": 1}, Inputs: []*graph.Value{product}})
		square := e.Node(m.Graph, graph.Spec{Op: "Mul", Inputs: []*graph.Value{l.ResidPre[0], l.ResidPre[0]}})
		scaled := e.Node(m.Graph, graph.Spec{Op: "Mul", Inputs: []*graph.Value{cast, square}})
		for _, u := range product.Uses() {
			e.Redirect(u, scaled)
		}
	}, "that joins attention to the residual stream, got Mul"},
	{"a bias that is computed", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		l := secondLayer(m)
		e.Redirect(graph.Use{Node: l.WO.Node, Slot: 2}, e.Node(m.Graph, graph.Spec{Op: "Cast", Attrs: graph.Attrs{"to": 1}, Inputs: []*graph.Value{m.Graph.Lookup("attention_mask")}}))
	}, "want a projection by a constant matrix (W_O) after z, got Gemm"},
	{"a norm of something else at the end", "dynamo-op23-attention", nil, func(m *graph.Model, e *graph.Edit) {
		l := located(m)
		x := l.Bodies[0].Norm.In
		twice := e.Node(m.Graph, graph.Spec{Op: "Add", Inputs: []*graph.Value{x, x}})
		e.Redirect(graph.Use{Node: l.Bodies[0].Norm.Node, Slot: 0}, twice)
	}, "want a norm of the last block's output, got a norm of another value"},
	{"logits that are computed with", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		old := m.Graph.Outputs()[0]
		e.ReplaceOutput(old, e.Node(m.Graph, graph.Spec{Op: "Add", Inputs: []*graph.Value{old, old}}))
	}, "want an output that is this norm, or W_U times it with only constants added, got none"},
	{"a residual stream of rows", "torchscript-op17-mask", nil, func(m *graph.Model, e *graph.Edit) {
		l := located(m)
		x := l.Bodies[0].Layers[0].ResidPre[0]
		rows := e.Node(m.Graph, graph.Spec{Op: "Reshape", Inputs: []*graph.Value{x, e.Const(m.Graph, "rows", graph.NewInt64([]int64{-1, 32}, 2))}})
		for _, u := range x.Uses() {
			e.Redirect(u, rows)
		}
	}, "want a residual stream [batch, pos, d_model], got"},
	{"other layers in config", "torchscript-op17-mask", &models.Config{Layers: 4}, nil, "3 layers found, config.json says 4"},
	{"more tokens in config than rows", "torchscript-op17-mask", &models.Config{Vocab: 132}, nil, "131 rows of token embeddings found, config.json says 132 tokens"},
	{"another width in config", "torchscript-op17-mask", &models.Config{DModel: 64}, nil, "W_O has d_model 32, config.json says 64"},
}

// A graph that is nearly a decoder must be refused with the reason.
func TestA19NearlyADecoder(t *testing.T) {
	for _, tt := range nearly {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, tt.file)
			if tt.change != nil {
				e := m.Edit()
				tt.change(m, e)
				if err := e.Commit(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Locate(t.Context(), m, tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant an error with %q", err, tt.want)
			}
			if hint.Of(err) == "" {
				t.Error("the refusal has no hint")
			}
		})
	}
}
