package recognise

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// A graph without attention is refused with what was looked for and what the graph consists of.
func TestWhy(t *testing.T) {
	parse := func(body string) *graph.Model {
		m, err := graph.Parse("ir 8\nopset 17\nopset com.microsoft 1\ngraph main {\n in x: float32[b, h, n, n]\n" + body + "\n out y\n}")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	var many strings.Builder
	for i, op := range []string{"Abs", "Acos", "Asin", "Atan", "Ceil", "Cos", "Elu", "Erf", "Floor", "Log", "Neg", "Relu", "Selu", "Sign"} {
		fmt.Fprintf(&many, "v%d = %s(x)\n", i, op)
	}
	for _, tt := range []struct {
		name, body string
		reason     string
		ops        []string
		form       string // the form that got furthest, and what it got
		got        string
	}{
		{"other operators", "a = Neg(x)\nb = Neg(a)\ny = Abs(b)", "no attention found: neither Softmax followed by MatMul nor an attention operator among Neg, Abs", []string{"Neg", "Abs"}, "", ""},
		{"many operators", many.String() + "y = Selu(v0)", "no attention found", []string{"Selu", "Abs", "Acos", "Asin", "Atan", "Ceil", "Cos", "Elu", "Erf", "Floor", "Log", "Neg", "…"}, "", ""},
		{"integers", "y = com.microsoft.QLinearSoftmax(x)", "", nil, "integer", "com.microsoft.QLinearSoftmax over integers; quantise in the QDQ format or dynamically instead"},
		{"packed", "y = com.microsoft.PackedAttention(x, x, x, x)", "", nil, "packed", "com.microsoft.PackedAttention, which packs positions"},
		{"an exponential", "y = Exp(x)", "", nil, "softmax-expanded", "another use of Exp"},
		{"an operator without heads", "const w = float32[2, 6] {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}\ny = com.microsoft.Attention(x, w)", "", nil, "ms-attention", "none"},
	} {
		r := Why(t.Context(), parse(tt.body), nil)
		if !strings.Contains(r.Reason, tt.reason) || r.Reason == "" {
			t.Errorf("%s: reason %q, want %q", tt.name, r.Reason, tt.reason)
		}
		if tt.ops != nil && !slices.Equal(r.Ops, tt.ops) {
			t.Errorf("%s: operators %q, want %q", tt.name, r.Ops, tt.ops)
		}
		for _, f := range r.Forms {
			if f.Form == tt.form && (f.Anchors != 1 || f.Found != 0 || f.Got != tt.got) {
				t.Errorf("%s: %+v, want %q", tt.name, f, tt.got)
			}
		}
	}
	if r := Why(t.Context(), load(t, "gpt-neo"), nil); r.Reason != "" || r.Forms[0].Found != 2 || r.Forms[0].Got != "" {
		t.Errorf("a decoder: %+v", r)
	}
}

// A family that has no name is described by its traits.
func TestTraits(t *testing.T) {
	for want, f := range map[string]facts{
		"parallel blocks, rotary positions, q, k and v from three projections with biases, RMSNorm, shared key and value heads":                                                    {parallel: true, positions: "rotary", separate: true, biased: true, norm: "RMSNorm", preNorm: true, shared: true},
		"sequential blocks, learned positions, q, k and v from three projections, LayerNorm, norms on q and k, norms after attention, attention times a number, scaled embeddings": {positions: "learned", separate: true, norm: "LayerNorm", preNorm: true, qkNorm: true, postNorm: true, scaled: true, embedding: true},
		"sequential blocks, no positions, q, k and v from one projection, LayerNorm, no norms before attention":                                                                    {positions: "no", fused: true, norm: "LayerNorm"},
		"sequential blocks, no positions, q, k and v from an unknown place, LayerNorm":                                                                                             {positions: "no", norm: "LayerNorm", preNorm: true},
	} {
		if got := f.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// A constant after a norm is its beta, unless an earlier rewrite baked a memory in and no other constant is that memory.
func TestNormBeforeBakedMemory(t *testing.T) {
	const norm = "m = ReduceMean(x) {axes: [-1]} d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q) {axes: [-1]} e = Add(v, eps) s = Sqrt(e) u = Div(d, s) g = Mul(u, gamma) a = Add(g, beta) "
	for _, tt := range []struct {
		name, text string
		baked      int
		beta, out  string
	}{
		{"nothing baked", "y = Neg(a)", 0, "beta", "a"},
		{"a memory and no beta", "y = Neg(a)", 1, "", "g"},
		{"a beta and a memory", "y = Add(a, gamma)", 1, "beta", "a"},
		{"a memory, a gate and no beta", "k = Add(a, other) y = Neg(k)", 1, "", "g"},
		{"a beta, a gate and a memory", "k = Add(a, other) i = Identity(k) y = Add(i, gamma)", 1, "beta", "a"},
		{"two memories and no beta", "y = Add(a, gamma)", 2, "", "g"},
	} {
		m := normText(t, norm+tt.text)
		a := look(m)
		got := a.withoutMemory(a.norm(m.Graph.Lookup("a")), tt.baked)
		beta := ""
		if got.Beta != nil {
			beta = got.Beta.Name()
		}
		if beta != tt.beta || got.Out.Name() != tt.out {
			t.Errorf("%s: beta %q, output %v, want %q and %q", tt.name, beta, got.Out, tt.beta, tt.out)
		}
	}
	m := normText(t, "y = LayerNormalization(x, gamma, beta)")
	a := look(m)
	if n := a.norm(m.Graph.Lookup("y")); a.withoutMemory(n, 1) != n {
		t.Error("the beta of an operator is no memory")
	}
}

// Token embeddings may be multiplied or divided by numbers. The table has the product of all of them.
func TestEmbeddingFactor(t *testing.T) {
	number := func(e editor, x float32) *graph.Value { return e.Const(e.g, "number", graph.NewFloat32([]float32{x})) }
	for _, tt := range []struct {
		name   string
		change func(e editor, v *graph.Value) *graph.Value
		want   float64 // 0: refused
	}{
		{"times a number", func(e editor, v *graph.Value) *graph.Value { return e.op("Mul", nil, v, number(e, 3)) }, 3},
		{"divided by a number", func(e editor, v *graph.Value) *graph.Value { return e.op("Div", nil, v, number(e, 4)) }, 0.25},
		{"both", func(e editor, v *graph.Value) *graph.Value {
			return e.op("Div", nil, e.op("Cast", graph.Attrs{"to": 1}, e.op("Mul", nil, number(e, 3), v)), number(e, -6))
		}, -0.5},
		{"divides a number", func(e editor, v *graph.Value) *graph.Value { return e.op("Div", nil, number(e, 4), v) }, 0},
		{"divided by zero", func(e editor, v *graph.Value) *graph.Value { return e.op("Div", nil, v, number(e, 0)) }, 0},
		{"times a vector", func(e editor, v *graph.Value) *graph.Value { return e.op("Mul", nil, v, e.zeros(graph.Float32, 32)) }, 0},
	} {
		m := load(t, "torchscript-op17-mask")
		l := located(m)
		e := editor{m.Edit(), m.Graph}
		e.replace(l.Embed.Node.Out(0), tt.change(e, l.Embed.Node.Out(0)))
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		l, err := Locate(t.Context(), m, nil)
		switch {
		case tt.want == 0 && (err == nil || !strings.Contains(err.Error(), "embeddings that are multiplied by at most one number")):
			t.Errorf("%s: got %v", tt.name, err)
		case tt.want != 0 && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != 0 && math.Abs(l.Embed.Alpha-tt.want) > 1e-12:
			t.Errorf("%s: a factor of %v, want %v", tt.name, l.Embed.Alpha, tt.want)
		}
	}
}

// In a block whose MLP joins the stream before attention does, both sites are found, and the stream between them is not.
func TestMLPJoinsFirst(t *testing.T) {
	rebuild := func(t *testing.T, join func(e editor, sum, attn *graph.Value) *graph.Value) (*graph.Model, *models.Layout) {
		m := load(t, "gpt-j")
		l := located(m)
		e := editor{m.Edit(), m.Graph}
		stream := l.Bodies[0].Layers[0].ResidPre[0]
		for _, x := range l.Bodies[0].Layers {
			mlp := x.MLPJoin.Node.In(x.MLPJoin.Slot)
			stream = join(e, e.op("Add", nil, stream, mlp), x.Join.Node.In(x.Join.Slot))
			e.replace(x.ResidPost[0], stream)
		}
		e.Prune()
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		return m, l
	}
	m, was := rebuild(t, func(e editor, sum, attn *graph.Value) *graph.Value { return e.op("Add", nil, sum, attn) })
	is, err := Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fixtureShapes["gpt-j"], shapeOf(is)); diff != "" {
		t.Error(diff)
	}
	for i, x := range is.Bodies[0].Layers {
		y := was.Bodies[0].Layers[i]
		if !slices.Equal(x.AttnOut, y.AttnOut) || !slices.Equal(x.MLPOut, y.MLPOut) || x.Missing["resid_mid"] == "" {
			t.Errorf("layer %d: attn_out %v, mlp_out %v, want %v and %v; resid_mid is %q", i, x.AttnOut, x.MLPOut, y.AttnOut, y.MLPOut, x.Missing["resid_mid"])
		}
	}
	m, _ = rebuild(t, func(e editor, sum, attn *graph.Value) *graph.Value {
		norm := e.Node(e.g, graph.Spec{Op: "SkipLayerNormalization", Domain: "com.microsoft", Name: e.Fresh("made"),
			Inputs: []*graph.Value{sum, attn, e.zeros(graph.Float32, 32), e.zeros(graph.Float32, 32), e.zeros(graph.Float32, 32)}})
		return e.SetOutput(norm.Producer(), 3, e.Fresh("sum"))
	})
	if _, err := Locate(t.Context(), m, nil); err == nil || !strings.Contains(err.Error(), "want a bias of one branch, got a bias that is added to attention and MLP together") {
		t.Errorf("a bias of both: got %v", err)
	}
}
