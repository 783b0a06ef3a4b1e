package recognise

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
)

// editor derives the forms of other exporters from a fixture: it adds nodes and replaces a value with their result.
type editor struct {
	*graph.Edit
	g *graph.Graph
}

func (e editor) op(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	s := graph.Spec{Op: op, Name: e.Fresh("made"), Inputs: in, Attrs: attrs}
	if op[0] == '.' {
		s.Op, s.Domain = op[1:], "com.microsoft"
	}
	return e.Node(e.g, s)
}

func (e editor) ints(v ...int64) *graph.Value {
	return e.Const(e.g, "ints", graph.NewInt64(v, int64(len(v))))
}

func (e editor) zeros(d graph.DType, dims ...int64) *graph.Value {
	return e.Const(e.g, "zeros", graph.Zeros(d, dims...))
}

// replace puts v in the place of old for all existing readers.
func (e editor) replace(old, v *graph.Value) {
	for _, u := range old.Uses() {
		e.Redirect(u, v)
	}
}

// rounded adds the operators that static quantisation puts around a value.
func (e editor) rounded(v *graph.Value) *graph.Value {
	scale, zero := e.Const(e.g, "scale", graph.NewFloat32([]float32{0.1})), e.Const(e.g, "zero", graph.Zeros(graph.Uint8))
	return e.op("DequantizeLinear", nil, e.op("QuantizeLinear", nil, v, scale, zero), scale, zero)
}

// integers adds the operators that replace MatMul(a, b) in dynamic quantisation, in three forms.
func (e editor) integers(op string, a, b *graph.Value) *graph.Value {
	quantized := func(v *graph.Value) (q, scale, zero *graph.Value) {
		n := e.Node(e.g, graph.Spec{Op: "DynamicQuantizeLinear", Name: e.Fresh("made"), Inputs: []*graph.Value{v}, Outputs: 3}).Producer()
		return n.Out(0), n.Out(1), n.Out(2)
	}
	bq, bs, bz := quantized(b)
	if op == ".DynamicQuantizeMatMul" {
		return e.op(op, nil, a, bq, bs, bz)
	}
	aq, as, az := quantized(a)
	if op == ".MatMulIntegerToFloat" {
		return e.op(op, nil, aq, bq, as, bs, az, bz)
	}
	product := e.op(op, nil, aq, bq, az, bz)
	return e.op("Mul", nil, e.op("Cast", graph.Attrs{"to": int64(graph.Float32)}, product), e.op("Mul", nil, as, bs))
}

// softmaxes returns the Softmax nodes of the main graph.
func softmaxes(m *graph.Model) (out []*graph.Node) {
	for _, n := range m.Graph.Nodes() {
		if n.Is("Softmax") {
			out = append(out, n)
		}
	}
	return out
}

// locateForms changes fixtures into forms that other exporters write.
var locateForms = []struct {
	name, file string
	nctx       int // if it differs from the fixture's
	change     func(e editor, m *graph.Model, l *models.Layout)
}{
	{"positions looked up ahead", "nanogpt-torchscript", 7, func(e editor, m *graph.Model, l *models.Layout) {
		e.replace(l.Positions.Node.Out(0), e.zeros(graph.Float32, 1, 7, 32))
	}},
	{"positions looked up by a constant", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		e.Redirect(graph.Use{Node: l.Positions.Node, Slot: 1}, e.ints(0, 1, 2, 3, 4, 5, 6))
	}},
	{"positions cut from their table", "nanogpt-torchscript", 0, func(e editor, m *graph.Model, l *models.Layout) {
		n := l.Positions.Node
		e.replace(n.Out(0), e.op("Slice", nil, n.In(0), e.ints(0), e.ints(7), e.ints(0)))
	}},
	{"positions cut from their table at a length that is computed", "nanogpt-torchscript", 0, func(e editor, m *graph.Model, l *models.Layout) {
		n := l.Positions.Node
		length := e.op("Gather", nil, e.op("Shape", nil, m.Graph.Inputs()[0]), e.ints(1))
		e.replace(n.Out(0), e.op("Slice", nil, n.In(0), e.ints(0), length, e.ints(0)))
	}},
	{"a factor for each head from the caller", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for i, n := range softmaxes(m) {
			e.replace(n.Out(0), e.op("Mul", nil, e.Input(fmt.Sprint("head_mask", i), graph.TensorType(graph.Float32, 4, 1, 1)), n.Out(0)))
		}
	}},
	{"an attention sink", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for _, n := range softmaxes(m) {
			sink := e.op("Concat", graph.Attrs{"axis": 3}, n.In(0), e.zeros(graph.Float32, 1, 4, 7, 1))
			e.Redirect(graph.Use{Node: n, Slot: 0}, sink)
			e.replace(n.Out(0), e.op("Slice", nil, n.Out(0), e.ints(0), e.ints(-1), e.ints(3)))
		}
	}},
	{"qkv as a sequence", "dynamo-op18-sdpa", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for _, n := range m.Graph.Nodes() {
			if !n.Is("Split") {
				continue
			}
			seq := e.op("SplitToSequence", graph.Attrs{"axis": int64(n.Int("axis", 0))}, n.In(0), e.Const(e.g, "size", graph.NewInt64([]int64{32})))
			for i, v := range n.Outputs() {
				e.replace(v, e.op("SequenceAt", nil, seq, e.Const(e.g, "at", graph.NewInt64([]int64{int64(i)}))))
			}
		}
	}},
	{"norm without beta", "torchscript-op10", 0, func(e editor, m *graph.Model, l *models.Layout) {
		_, scaled := look(m).constAnd(l.Bodies[0].Norm.Out.Producer())
		e.replace(l.Bodies[0].Norm.Out, scaled)
	}},
	{"norm of what is centred", "nanogpt-torchscript", 0, func(e editor, m *graph.Model, l *models.Layout) {
		b := l.Bodies[0]
		x := b.Layers[l.Layers-1].ResidPost[0]
		mean := e.op("ReduceMean", graph.Attrs{"axes": []int64{-1}}, x)
		norm := e.op("SimplifiedLayerNormalization", nil, e.op("Sub", nil, x, mean), b.Norm.Gamma)
		e.replace(b.Norm.Out, e.op("Add", nil, norm, b.Norm.Beta))
	}},
	{"last position by index", "dynamo-op18-sdpa", 0, func(e editor, m *graph.Model, l *models.Layout) {
		v := l.Bodies[0].Norm.Out
		swap := graph.Attrs{"perm": []int64{1, 0, 2}}
		at := e.Const(e.g, "last", graph.NewInt64([]int64{-1}, 1, 1))
		last := e.op("Transpose", swap, e.op("GatherND", nil, e.op("Transpose", swap, v), at))
		for _, u := range v.Uses() {
			if u.Node == l.Unembed.Node {
				e.Redirect(u, last)
			}
		}
	}},
	{"softmax written out", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for _, n := range softmaxes(m) {
			x := n.In(0)
			exp := e.op("Exp", nil, e.op("Sub", nil, x, e.op("ReduceMax", graph.Attrs{"axes": []int64{-1}}, x)))
			e.replace(n.Out(0), e.op("Div", nil, exp, e.op("ReduceSum", nil, exp, e.ints(-1))))
		}
	}},
	{"products of integers", "torchscript-op17-mask", 0, integerProducts("MatMulInteger")},
	{"products of integers as floats", "torchscript-op17-mask", 0, integerProducts(".MatMulIntegerToFloat")},
	{"products that round their operands", "torchscript-op17-mask", 0, integerProducts(".DynamicQuantizeMatMul")},
	{"static quantisation", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for _, x := range l.Bodies[0].Layers {
			for _, v := range []*graph.Value{x.Pattern, x.Core.Out(0), x.Z, x.AttnOut[0], x.MLPOut[0]} {
				e.replace(v, e.rounded(v))
			}
			e.Redirect(graph.Use{Node: x.WO.Node, Slot: 1}, e.rounded(x.WO.Operand))
		}
		e.replace(l.Bodies[0].Norm.Out, e.rounded(l.Bodies[0].Norm.Out))
	}},
	{"heads of one token moved by reshapes", "optimum-1-with-past", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for _, n := range m.Graph.Nodes() {
			if !n.Is("Transpose") || !slices.Equal(n.Ints("perm"), []int64{0, 2, 1, 3}) {
				continue
			}
			if from := n.In(0).Producer(); from.Is("Reshape") {
				e.replace(n.Out(0), e.op("Reshape", nil, from.In(0), e.ints(-1, 4, 1, 8)))
			} else {
				e.replace(n.Out(0), n.In(0))
			}
		}
	}},
	{"embeddings added by a skip norm", "gpt-neo", 0, func(e editor, m *graph.Model, l *models.Layout) {
		add := l.Bodies[0].Layers[0].ResidPre[0].Producer()
		norm := e.op(".SkipLayerNormalization", nil, add.In(0), add.In(1), l.Bodies[0].Norm.Gamma, l.Bodies[0].Norm.Beta)
		e.replace(add.Out(0), e.SetOutput(norm.Producer(), 3, e.Fresh("sum")))
	}},
	{"q, k and v apart with biases", "gpt-neo", 0, func(e editor, m *graph.Model, l *models.Layout) {
		bias := e.Const(e.g, "bias", graph.NewFloat32(make([]float32, 32), 32))
		for _, n := range m.Graph.Nodes() {
			if !n.Is("MatMul") || n.In(1).Const() == nil {
				continue
			}
			for _, u := range n.Out(0).Uses() {
				if u.Node.Is("Reshape") {
					e.Redirect(u, e.op("Add", nil, n.Out(0), bias))
				}
			}
		}
	}},
	{"q, k and v in one Reshape", "dynamo-op18-sdpa", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for _, n := range m.Graph.Nodes() {
			if !n.Is("Split") {
				continue
			}
			five := e.op("Transpose", graph.Attrs{"perm": []int64{2, 0, 1, 3, 4}}, e.op("Reshape", nil, n.In(0), e.ints(0, 0, 3, 4, 8)))
			for i, v := range n.Outputs() {
				part := e.op("Gather", graph.Attrs{"axis": 0}, five, e.Const(e.g, "at", graph.NewInt64([]int64{int64(i)})))
				for _, u := range v.Uses() {
					e.replace(u.Node.Out(0), part) // a Reshape to heads
				}
			}
		}
	}},
	{"a table of positions as long as a padded vocabulary", "optimum-2-cache", 136, func(e editor, m *graph.Model, l *models.Layout) {
		e.Redirect(graph.Use{Node: l.Positions.Node, Slot: 0}, e.zeros(graph.Float32, 136, 32))
	}},
	{"a stream converted for the norm and once more for the join", "ort-fused-skiplayernorm", 0, func(e editor, m *graph.Model, l *models.Layout) {
		to := graph.Attrs{"to": int64(graph.Float32)}
		for _, x := range l.Bodies[0].Layers {
			pre := x.ResidPre[0]
			e.Redirect(graph.Use{Node: x.Join.Node, Slot: 1 - x.Join.Slot}, e.op("Cast", to, pre))
			if x.Index == 0 {
				norm := e.op("Cast", to, pre)
				for _, u := range pre.Uses() {
					if u.Node != x.Join.Node {
						e.Redirect(u, norm)
					}
				}
			}
		}
	}},
	{"a parallel stream converted for each reader", "gpt-j", 0, func(e editor, m *graph.Model, l *models.Layout) {
		for _, x := range l.Bodies[0].Layers {
			for _, u := range x.ResidPre[0].Uses() {
				e.Redirect(u, e.op("Cast", graph.Attrs{"to": int64(graph.Float32)}, x.ResidPre[0]))
			}
		}
	}},
	{"the norm and the unembedding of TensorFlow", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		norm := l.Bodies[0].Norm
		x := norm.In
		mean := e.op("GlobalAveragePool", nil, x)
		d := e.op("Sub", nil, x, mean)
		variance := e.op("Add", nil, e.op("GlobalAveragePool", nil, e.op("Mul", nil, d, d)), e.Const(e.g, "eps", graph.NewFloat32([]float32{1e-5})))
		r := e.op("Mul", nil, e.op("Reciprocal", nil, e.op("Sqrt", nil, variance)), norm.Gamma)
		e.replace(norm.Out, e.op("Add", nil, e.op("Mul", nil, x, r), e.op("Sub", nil, norm.Beta, e.op("Mul", nil, mean, r))))
		e.Redirect(graph.Use{Node: l.Unembed.Node, Slot: 1}, e.zeros(graph.Float32, 1, 32, 131))
	}},
	{"a final norm of ones and zeros left out", "torchscript-op10", 0, func(e editor, m *graph.Model, l *models.Layout) {
		_, scaled := look(m).constAnd(l.Bodies[0].Norm.Out.Producer())
		_, unit := look(m).constAnd(scaled.Producer())
		e.replace(l.Bodies[0].Norm.Out, unit)
	}},
	{"a table of tokens in blocks of four bits", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		n := l.Embed.Node
		e.replace(n.Out(0), e.op(".GatherBlockQuantized", graph.Attrs{"block_size": 16}, e.zeros(graph.Int4, 131, 32), n.In(1), e.zeros(graph.Float32, 131, 2)))
	}},
	{"a head in addition to the logits", "torchscript-op17-mask", 0, func(e editor, m *graph.Model, l *models.Layout) {
		logits := l.Bodies[0].Logits
		choice := e.op("MatMul", nil, l.Bodies[0].Norm.Out, e.zeros(graph.Float32, 32, 1))
		e.RemoveOutput(m.Graph, logits)
		e.Output(m.Graph, choice)
		e.Output(m.Graph, logits)
	}},
	{"parallel block that ends in a skip norm", "gpt-j", 0, func(e editor, m *graph.Model, l *models.Layout) {
		add := l.Bodies[0].Layers[0].ResidPost[0].Producer()
		norm := e.op(".SkipLayerNormalization", nil, add.In(0), add.In(1), l.Bodies[0].Norm.Gamma, l.Bodies[0].Norm.Beta)
		e.replace(add.Out(0), e.SetOutput(norm.Producer(), 3, e.Fresh("sum")))
	}},
}

// Every case is a form that exporters and optimisers write and that no fixture has. The result must equal that of the
// original.
func TestLocateForms(t *testing.T) {
	for _, tt := range locateForms {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, tt.file)
			l, err := Locate(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			e := editor{m.Edit(), m.Graph}
			tt.change(e, m, l)
			e.Prune()
			if err := e.Commit(); err != nil {
				t.Fatal(err)
			}
			l, err = Locate(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := fixtureShapes[tt.file]
			if tt.nctx > 0 {
				want.NCtx = tt.nctx
			}
			if tt.name == "q, k and v apart with biases" { // as in minGPT
				want.Family = "gpt2"
			}
			if diff := cmp.Diff(want, shapeOf(l)); diff != "" {
				t.Error(diff)
			}
			if l.Bodies[0].Norm == nil || l.Bodies[0].Logits == nil {
				t.Error("no final norm or logits")
			}
			for _, x := range l.Bodies[0].Layers {
				if (x.Z == x.Core.Out(0)) != (x.ZForm == models.ZByHead) {
					t.Errorf("layer %d: z is %v, laid out as %d", x.Index, x.Z, x.ZForm)
				}
			}
		})
	}
}

// look makes an analysis of the main graph of a model.
func look(m *graph.Model) *analysis {
	return newAnalysis(context.Background(), m.Graph, ops.NewConstants(m))
}

// integerProducts replaces the products of two activations.
func integerProducts(op string) func(e editor, m *graph.Model, l *models.Layout) {
	return func(e editor, m *graph.Model, l *models.Layout) {
		a := look(m)
		for _, n := range m.Graph.Nodes() {
			if n.Is("MatMul") && a.product(n) != nil {
				e.replace(n.Out(0), e.integers(op, n.In(0), n.In(1)))
			}
		}
	}
}

// A bias may be an input of the product itself, and only the operator may know how to read its matrix.
func TestPackedProjections(t *testing.T) {
	const file = "nanogpt-torchscript"
	tests := []struct {
		op   string
		dims []int64
		bias bool
	}{
		{".MatMulNBits", []int64{32, 1, 16}, false},
		{".MatMulNBits", []int64{32, 1, 16}, true},
		{".MatMulBnb4", []int64{512}, false},
	}
	for _, tt := range tests {
		t.Run(tt.op, func(t *testing.T) {
			m := load(t, file)
			l, err := Locate(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			e := editor{m.Edit(), m.Graph}
			var want []*graph.Value
			for _, x := range l.Bodies[0].Layers {
				in := []*graph.Value{x.WO.Node.In(0), e.zeros(graph.Uint8, tt.dims...), e.zeros(graph.Float32, 32)}
				old := x.WO.Node.Out(0)
				if tt.bias {
					in, old = append(in, nil, nil, x.BO[0]), x.AttnOut[0]
				}
				e.replace(old, e.op(tt.op, graph.Attrs{"K": int64(32), "N": int64(32), "block_size": int64(32), "bits": int64(4)}, in...))
				want = append(want, x.BO...)
			}
			e.Prune()
			if err := e.Commit(); err != nil {
				t.Fatal(err)
			}
			if l, err = Locate(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
			var got []*graph.Value
			for _, x := range l.Bodies[0].Layers {
				got = append(got, x.BO...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("b_O is %v, want %v", got, want)
			}
		})
	}
}

func TestLowerTriangular(t *testing.T) {
	tests := []struct {
		name string
		mask []float32
		want bool
	}{
		{"causal", []float32{1, 0, 0, 1, 1, 0, 1, 1, 1}, true},
		{"hidden by a large number", []float32{0, -9, -9, 0, 0, -9, 0, 0, 0}, true},
		{"local", []float32{1, 0, 0, 1, 1, 0, 0, 1, 1}, true},
		{"two rows of a batch", []float32{1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1}, true},
		{"everything seen", []float32{1, 1, 1, 1, 1, 1, 1, 1, 1}, false},
		{"only itself", []float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, false},
		{"something above the diagonal", []float32{1, 0, 1, 1, 1, 0, 1, 1, 1}, false},
		{"a weight", []float32{.1, .2, .3, .4, .5, .6, .7, .8, .9}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := load(t, "nanogpt-torchscript")
			v := m.Edit().Const(m.Graph, "mask", graph.NewFloat32(tt.mask, int64(len(tt.mask)/9), 1, 3, 3))
			if got := lowerTriangular(v.Const()); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A factor on the logits must become part of W_U.
func TestScaledLogits(t *testing.T) {
	m := load(t, "torchscript-op17-mask")
	e := editor{m.Edit(), m.Graph}
	old := m.Graph.Outputs()[0]
	e.ReplaceOutput(old, e.op("Mul", nil, e.Const(e.g, "half", graph.NewFloat32([]float32{0.5})), old))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	l, err := Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fixtureShapes["torchscript-op17-mask"], shapeOf(l)); diff != "" || l.Unembed.Alpha != 0.5 {
		t.Errorf("W_U times %v; %s", l.Unembed.Alpha, diff)
	}
}

// A number that multiplies attn_out must be recorded as Scaled, and the output of W_O must come before it.
func TestScaledAttention(t *testing.T) {
	for _, c := range []struct {
		name, file string
		change     func(e editor, l *models.Layer)
		out        bool // the output of W_O is a value of the file
	}{
		{"Mul", "torchscript-op17-mask", func(e editor, l *models.Layer) {
			half := e.Const(e.g, "half", graph.NewFloat32([]float32{0.5}))
			e.Redirect(l.Join, e.op("Mul", nil, l.AttnOut[0], half))
		}, true},
		{"alpha of FusedMatMul", "gpt-neo", func(e editor, l *models.Layer) {
			product := l.WO.Node
			e.replace(product.Out(0), e.op(".FusedMatMul", graph.Attrs{"alpha": 0.5}, product.In(0), product.In(1)))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := load(t, c.file)
			l, err := Locate(t.Context(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			was := l.Bodies[0].Layers[1]
			e := editor{m.Edit(), m.Graph}
			c.change(e, was)
			e.Prune()
			if err := e.Commit(); err != nil {
				t.Fatal(err)
			}
			if l, err = Locate(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
			is := l.Bodies[0].Layers[1]
			if !is.Scaled || is.WO.Alpha != 1 {
				t.Errorf("Scaled %v and alpha of W_O %v, want true and 1", is.Scaled, is.WO.Alpha)
			}
			if _, missing := is.Missing["out"]; missing == c.out || (is.Out != nil) != c.out {
				t.Errorf("out %v, missing %q", is.Out, is.Missing["out"])
			}
			if c.out && !slices.Equal(is.Out, was.AttnOut) {
				t.Errorf("out %v, want %v", is.Out, was.AttnOut)
			}
		})
	}
}

// If a memory is fed between W_O and b_O, attn_out must be a sum of two values.
func TestMemoryBeforeBias(t *testing.T) {
	m := load(t, "gpt-neo")
	l, err := Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	was := l.Bodies[0].Layers[1]
	add := was.AttnOut[0].Producer()
	slot := slices.IndexFunc(add.Inputs(), func(v *graph.Value) bool { return v != was.BO[0] })
	product := add.In(slot)
	e := editor{m.Edit(), m.Graph}
	e.Redirect(graph.Use{Node: add, Slot: slot}, e.op("Add", nil, product, e.Input("memory", graph.TensorType(graph.Float32, 1, 1, 32))))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if l, err = Locate(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	is := l.Bodies[0].Layers[1]
	if want := (models.Site{product, was.BO[0]}); !slices.Equal(is.AttnOut, want) || !slices.Equal(is.BO, was.BO) {
		t.Errorf("attn_out %v and b_O %v, want %v and %v", is.AttnOut, is.BO, want, was.BO)
	}
}

// A constant that differs by position must be a memory, not b_O.
func TestMemoryByPosition(t *testing.T) {
	m := load(t, "torchscript-op17-mask")
	l, err := Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	was := l.Bodies[0].Layers[1]
	e := editor{m.Edit(), m.Graph}
	e.Redirect(was.Join, e.op("Add", nil, was.AttnOut[0], e.zeros(graph.Float32, 1, 7, 32)))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if l, err = Locate(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	if is := l.Bodies[0].Layers[1]; !slices.Equal(is.AttnOut, was.AttnOut) || !slices.Equal(is.BO, was.BO) {
		t.Errorf("attn_out %v and b_O %v, want %v and %v", is.AttnOut, is.BO, was.AttnOut, was.BO)
	}
}

// In a file that takes embeddings instead of tokens, the sites must be found, but no table.
func TestEmbeddedTokens(t *testing.T) {
	m := load(t, "torchscript-op17-mask")
	l, err := Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := editor{m.Edit(), m.Graph}
	e.replace(l.Embed.Node.Out(0), e.Input("inputs_embeds", graph.TensorType(graph.Float32, "batch", "pos", 32)))
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if l, err = Locate(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fixtureShapes["torchscript-op17-mask"], shapeOf(l)); diff != "" || l.Embed != nil {
		t.Errorf("a table %v of tokens; %s", l.Embed, diff)
	}
	if _, err := inputs.Read(m, l); err == nil || !strings.Contains(err.Error(), "no input holds the tokens") {
		t.Errorf("its inputs: %v", err)
	}
}

// If heads are folded into the batch before Softmax, the probabilities have no axis of heads; a rewrite gives them one.
func TestFoldedHeads(t *testing.T) {
	m := load(t, "torchscript-op17-mask")
	l, err := Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := editor{m.Edit(), m.Graph}
	x := l.Bodies[0].Layers[0]
	e.Redirect(graph.Use{Node: x.Core, Slot: 1}, e.op("Reshape", nil, x.Core.In(1), e.ints(-1, 7, 8)))
	softmax := softmaxes(m)[0]
	e.Redirect(graph.Use{Node: softmax, Slot: 0}, e.op("Reshape", nil, softmax.In(0), e.ints(-1, 7, 7)))
	e.replace(x.Core.Out(0), e.op("Reshape", nil, x.Core.Out(0), e.ints(-1, 4, 7, 8)))
	y := l.Bodies[0].Layers[1] // a Reshape to the existing axes folds nothing
	e.replace(y.Core.Out(0), e.op("Reshape", nil, y.Core.Out(0), e.ints(-1, 4, 0, 8)))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if l, err = Locate(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	for i, x := range l.Bodies[0].Layers {
		if x.Pattern == nil || x.PatternFolded != (i == 0) {
			t.Errorf("layer %d: pattern %v, folded %v, missing %q", i, x.Pattern, x.PatternFolded, x.Missing["pattern"])
		}
	}
}

// The branch without a cache must come first, under any name and in any place. An If without attention is not a decoder.
func TestBodies(t *testing.T) {
	const attention = "s = MatMul(%s, %s) p = Softmax(s) {axis: -1} z: float32[1, 2, n, 4] = MatMul(p, %s) out z"
	text := fmt.Sprintf(`ir 8
opset 17
graph main {
  in x: float32[1, 2, n, 4]
  in past: float32[1, 2, m, 4]
  in c: bool[]
  pick: float32[1, 2, n, 4] = If(c) {
    then_branch: graph a { a: float32[1, 2, n, 4] = Softmax(x) out a }
    else_branch: graph b { b: float32[1, 2, n, 4] = Identity(x) out b }
  }
  y: float32[1, 2, n, 4] = If(c) {
    else_branch: graph cached { k = Concat(past, pick) {axis: 2} `+attention+` }
    then_branch: graph whole { `+attention+` }
  }
  out y
}`, "pick", "k", "k", "pick", "pick", "pick")
	m, err := graph.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range bodies(t.Context(), m, ops.NewConstants(m)) {
		got = append(got, g.Attr())
	}
	if want := []string{"then_branch", "else_branch"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The axis of a scale refers to the stored matrix, on either side of a Transpose.
func TestScaleBesideTranspose(t *testing.T) {
	for text, want := range map[string]int{
		"d = DequantizeLinear(w, s) {axis: 1} y = Transpose(d) {perm: [1, 0]}":  1,
		"d = Transpose(w) {perm: [1, 0]} y = DequantizeLinear(d, s) {axis: 1}":  0,
		"d = Transpose(w) {perm: [1, 0]} y = DequantizeLinear(d, s) {axis: -1}": 0,
	} {
		m, err := graph.Parse("ir 10\nopset 21\ngraph main { const w = int8[2, 2] {1, 2, 3, 4} const s = float32[2] {1, 2} " + text + " out y }")
		if err != nil {
			t.Fatal(err)
		}
		if w := look(m).matrix(m.Graph.Lookup("y")); w == nil || w.Axis != want {
			t.Errorf("%s: %+v, want axis %d", text, w, want)
		}
	}
}

// A matrix with scales for blocks of values is read.
func TestBlocksOfDequantizeLinear(t *testing.T) {
	m, err := graph.Parse("ir 10\nopset 21\ngraph main { const w = int8[4, 2] {1, 2, 3, 4, 5, 6, 7, 8} const s = float32[2, 2] {1, 2, 3, 4} y = DequantizeLinear(w, s) {axis: 0, block_size: 2} out y }")
	if err != nil {
		t.Fatal(err)
	}
	w := look(m).matrix(m.Graph.Lookup("y"))
	if w == nil || w.In != 4 || w.Out != 2 {
		t.Fatalf("%+v, want a matrix [4 2]", w)
	}
	if got, err := w.Dense(); err != nil || !slices.Equal(got, []float32{1, 4, 3, 8, 15, 24, 21, 32}) {
		t.Errorf("its values: %v, %v", got, err)
	}
}

// A shape that repeatedly contains itself must not exceed the limit on elements, and must take little time.
func TestShapeOfShapes(t *testing.T) {
	text := "ir 8\nopset 17\ngraph main { const c0 = int64[1] {1} "
	for i := range 30 {
		text += fmt.Sprintf("c%d = Concat(c%d, c%d) {axis: 0} ", i+1, i, i)
	}
	m, err := graph.Parse(text + "out c30 }")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"c5": 32, "c6": 64, "c7": 0, "c30": 0} {
		if got, complete := look(m).facts.Ints(m.Graph.Lookup(name)); len(got) != want || complete != (want > 0) {
			t.Errorf("%s: %d elements, complete %v; want %d", name, len(got), complete, want)
		}
	}
}

// For a classifier on top of a decoder, the sites must be found, but no logits.
func TestLocateClassifier(t *testing.T) {
	m := load(t, "torchscript-op17-mask")
	l, err := Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := editor{m.Edit(), m.Graph}
	e.Redirect(graph.Use{Node: l.Unembed.Node, Slot: 1}, e.zeros(graph.Float32, 32, 2))
	e.Retype(l.Bodies[0].Logits, graph.Type{})
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if l, err = Locate(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	want := fixtureShapes["torchscript-op17-mask"]
	want.Vocab = 0
	if diff := cmp.Diff(want, shapeOf(l)); diff != "" {
		t.Error(diff)
	}
	if l.Bodies[0].Logits != nil || l.Unembed != nil {
		t.Error("two classes were treated as a vocabulary")
	}
}
