package recognise

import (
	"fmt"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// normText makes a graph whose value y may be a norm of x.
func normText(t *testing.T, text string) *graph.Model {
	t.Helper()
	m, err := graph.Parse(`ir 8
opset 17
graph main {
  in x: float32[b, n, 4]
  in other: float32[b, n, 4]
  const gamma = float32[4] {1, 2, 3, 4}
  const beta = float32[4] {5, 6, 7, 8}
  const eps = float32[] {0.25}
  const zero = float32[] {0}
  const one = float32[] {1}
  const two = float32[] {2}
  const three = float32[] {3}
  const half = float32[] {0.5}
  const minus = float32[] {-0.5}
  ` + text + `
  end = Identity(y)
  out end
}`)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

// The ways in which exporters write a norm, and sums that only look like one.
func TestNormForms(t *testing.T) {
	const (
		centre = "m = ReduceMean(x) {axes: [-1]} d = Sub(x, m) "
		square = centre + "q = Mul(d, d) v = ReduceMean(q) {axes: [-1]} e = Add(v, eps) "
		root   = square + "s = Sqrt(e) "
		plain  = "q = Mul(x, x) v = ReduceMean(q) {axes: [-1]} e = Add(eps, v) s = Sqrt(e) "
		layer  = "LayerNorm of x, gamma gamma, beta beta, eps 0.25"
		rms    = "RMSNorm of x, gamma gamma, beta <nil>, eps 0.25"
		dress  = " g = Mul(u, gamma) y = Add(g, beta)"
	)
	for _, tt := range []struct{ name, text, want string }{
		{"divided by the root", root + "u = Div(d, s)" + dress, layer},
		{"times the reciprocal", root + "r = Reciprocal(s) u = Mul(d, r)" + dress, layer},
		{"times one over the root", root + "r = Div(one, s) u = Mul(r, d)" + dress, layer},
		{"divided by a power", square + "s = Pow(e, half) u = Div(d, s)" + dress, layer},
		{"times a power", square + "r = Pow(e, minus) u = Mul(d, r)" + dress, layer},
		{"a power of two", centre + "q = Pow(d, two) v = ReduceMean(q) {axes: [2]} e = Add(v, eps) s = Sqrt(e) u = Div(d, s)" + dress, layer},
		{"types that change", root + "c = Cast(s) {to: 1} u = Div(d, c) k = Cast(u) {to: 1} g = Mul(k, gamma) y = Add(g, beta)", layer},
		{"an operator, and beta apart", "u = LayerNormalization(x, gamma) {epsilon: 0.25} y = Add(u, beta)", layer},
		{"an operator", "y = LayerNormalization(x, gamma, beta) {epsilon: 0.25}", layer},
		{"an operator over what is centred", centre + "u = SimplifiedLayerNormalization(d, gamma) {epsilon: 0.25} y = Add(u, beta)", layer},
		{"without a mean", plain + "u = Div(x, s) y = Mul(u, gamma)", rms},
		{"without eps", "q = Mul(x, x) v = ReduceMean(q) {axes: [-1]} s = Sqrt(v) u = Div(x, s) y = Mul(u, gamma)", "RMSNorm of x, gamma gamma, beta <nil>, eps 0"},
		{"without gamma", plain + "y = Div(x, s)", "RMSNorm of x, gamma <nil>, beta <nil>, eps 0.25"},

		{"a graph input", "y = Identity(x)", ""},
		{"a sum of two activations", "u = LayerNormalization(x, gamma) y = Add(u, other)", ""},
		{"beta twice", "u = LayerNormalization(x, gamma, beta) y = Add(u, beta)", ""},
		{"another power of the deviation", centre + "q = Pow(d, three) v = ReduceMean(q) {axes: [-1]} e = Add(v, eps) s = Sqrt(e) u = Div(d, s)" + dress, ""},
		{"a product of two values", centre + "q = Mul(d, other) v = ReduceMean(q) {axes: [-1]} e = Add(v, eps) s = Sqrt(e) u = Div(d, s)" + dress, ""},
		{"another power of the variance", square + "s = Pow(e, three) u = Div(d, s)" + dress, ""},
		{"another power of the variance as a factor", square + "r = Pow(e, half) u = Mul(d, r)" + dress, ""},
		{"two over the root", root + "r = Div(two, s) u = Mul(d, r)" + dress, ""},
		{"no root", square + "u = Div(d, e)" + dress, ""},
		{"an eps for each number", centre + "q = Mul(d, d) v = ReduceMean(q) {axes: [-1]} e = Add(v, gamma) s = Sqrt(e) u = Div(d, s)" + dress, ""},
		{"a mean over positions", "m = ReduceMean(x) {axes: [1]} d = Sub(x, m) q = Mul(d, d) v = ReduceMean(q) {axes: [1]} e = Add(v, eps) s = Sqrt(e) u = Div(d, s)" + dress, ""},
		{"a mean over two axes", "q = Mul(x, x) v = ReduceMean(q) {axes: [1, 2]} e = Add(v, eps) s = Sqrt(e) u = Div(x, s) y = Mul(u, gamma)", ""},
		{"a sum of squares", "q = Mul(x, x) v = ReduceMax(q) {axes: [-1]} e = Add(v, eps) s = Sqrt(e) u = Div(x, s) y = Mul(u, gamma)", ""},
		{"the root of something else", "q = Mul(other, other) v = ReduceMean(q) {axes: [-1]} e = Add(v, eps) s = Sqrt(e) u = Div(x, s) y = Mul(u, gamma)", ""},
		{"TensorFlow's form with a root that divides", root + "w = Mul(s, gamma) a = Mul(x, w) b = Mul(m, w) c = Sub(beta, b) y = Add(a, c)", ""},
		{"TensorFlow's form with another mean", root + "i = Reciprocal(s) w = Mul(i, gamma) a = Mul(x, w) b = Mul(other, w) c = Sub(beta, b) y = Add(a, c)", ""},
		{"TensorFlow's form of two values", root + "i = Reciprocal(s) w = Mul(i, gamma) a = Mul(other, w) b = Mul(m, w) c = Sub(beta, b) y = Add(a, c)", ""},
		{"TensorFlow's form", root + "i = Reciprocal(s) w = Mul(i, gamma) a = Mul(x, w) b = Mul(m, w) c = Sub(beta, b) y = Add(a, c)", layer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := normText(t, tt.text)
			got := ""
			if n := look(m).norm(m.Graph.Lookup("y")); n != nil {
				name := func(v *graph.Value) string {
					if v == nil {
						return "<nil>"
					}
					return v.Name()
				}
				kind := map[models.NormKind]string{models.LayerNorm: "LayerNorm", models.RMSNorm: "RMSNorm"}[n.Kind]
				got = fmt.Sprintf("%s of %s, gamma %s, beta %s, eps %g", kind, name(n.In), name(n.Gamma), name(n.Beta), n.Eps)
				if n.Out.Name() != "y" {
					t.Errorf("its output is %v", n.Out)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Every norm that reads a value is found once, whatever its form.
func TestNormsOf(t *testing.T) {
	m := normText(t, `
		a = LayerNormalization(x, gamma, beta)
		k = Cast(x) {to: 1}
		b = SimplifiedLayerNormalization(k, gamma)
		m = ReduceMean(x) {axes: [-1]}
		d = Sub(x, m)
		c = SimplifiedLayerNormalization(d, gamma)
		q = Mul(d, d)
		v = ReduceMean(q) {axes: [-1]}
		e = Add(v, eps)
		s = Sqrt(e)
		u = Div(d, s)
		g = Mul(u, gamma)
		f = Add(g, beta)
		rq = Mul(x, x)
		rv = ReduceMean(rq) {axes: [-1]}
		re = Add(rv, eps)
		rs = Sqrt(re)
		ru = Div(x, rs)
		h = Mul(ru, gamma)
		other_of = Sub(x, other)
		y = Sum(a, b, c, f, h, other_of)`)
	want := map[string]models.NormKind{"a": models.LayerNorm, "b": models.RMSNorm, "c": models.LayerNorm, "f": models.LayerNorm, "h": models.RMSNorm}
	for _, n := range look(m).normsOf(m.Graph.Lookup("x")) {
		kind, ok := want[n.Out.Name()]
		if !ok || kind != n.Kind {
			t.Errorf("found %v of kind %v", n.Out, n.Kind)
		}
		delete(want, n.Out.Name())
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
}
