package weights

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Each case is a constant as exporters write it. The value to read is named y. An error must contain the given words.
func TestVector(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"a constant", "const y = float32[2, 2] {1, 2, 3, 4}", "[1 2 3 4]"},
		{"moved", "const a = float32[2, 2] {1, 2, 3, 4}\nconst s = int64[1] {-1}\nb = Identity(a)\ny = Reshape(b, s)", "[1 2 3 4]"},
		{"a gain of 1 + w", "const w = float32[3] {0.5, -1, 2}\nconst one = float32[] {1}\ny = Add(w, one)", "[1.5 0 3]"},
		{"one of integers", "const w = float32[3] {0.5, -1, 2}\nconst i = int64[] {1}\none = Cast(i) {to: 1}\ny = Add(one, w)", "[1.5 0 3]"},
		{"converted on the way", "const w = float16[2] {0.5, -1}\nf = Cast(w) {to: 1}\nconst one = float32[] {1}\ng = Add(f, one)\ny = Cast(g) {to: 10}", "[1.5 0]"},
		{"the root of a width", "const d = float32[] {64}\nr = Sqrt(d)\nconst w = float32[2] {1, 2}\nconst two = float32[] {2}\np = Mul(w, r)\nq = Div(p, two)\nn = Neg(q)\ny = Sub(n, w)", "[-5 -10]"},
		{"the same shape", "const a = float32[1, 2] {1, 2}\nconst b = float32[2] {3, 5}\ny = Mul(a, b)", "[3 10]"},
		{"one number for all", "const a = float32[] {1.5}\nconst s = int64[2] {1, 3}\ny = Expand(a, s)", "[1.5 1.5 1.5]"},
		{"dequantised", "const q = int8[2] {3, 5}\nconst s = float32[2] {0.5, 2}\ny = DequantizeLinear(q, s)", "[1.5 10]"},
		{"dequantised around a zero point", "const q = int8[2] {3, 5}\nconst s = float32[2] {0.5, 2}\nconst z = int8[1] {1}\ny = DequantizeLinear(q, s, z)", "[1 8]"},

		{"no numbers", "const w = float32[0] {}\nconst one = float32[] {1}\ny = Add(w, one)", "[]"},
		{"an input that is missing", "y = Neg(_)", "has no input 0"},
		{"the root of an input", "y = Sqrt(x)", "want a constant, got graph input"},
		{"an input repeated", "const s = int64[1] {2}\ny = Expand(x, s)", "want a constant, got graph input"},
		{"an input dequantised", "const s = float32[1] {2}\ny = DequantizeLinear(x, s)", "want a constant, got graph input"},
		{"a matrix of integers", "const y = int8[1500000] {" + strings.TrimSuffix(strings.Repeat("0, ", 1500000), ", ") + "}", "int8[1500000] is not a vector of a model"},
		{"an input", "y = Identity(x)", "want a constant, got graph input"},
		{"half an input", "const w = float32[3] {0.5, -1, 2}\ny = Add(w, x)", "want a constant, got graph input"},
		{"integers", "const y = int64[1] {1}", "want a float tensor, got int64"},
		{"integers divided", "const a = int64[1] {1}\nconst b = int64[1] {2}\nc = Div(a, b)\ny = Cast(c) {to: 1}", "want floats"},
		{"rounded", "const a = float32[1] {1.5}\nb = Cast(a) {to: 7}\ny = Cast(b) {to: 1}", "which rounds"},
		{"an operator that is not known", "const a = float32[1] {1}\ny = Erf(a)", "want a constant, got the result of Erf"},
		{"an outer sum", "const a = float32[2, 1] {1, 2}\nconst b = float32[1, 2] {3, 5}\ny = Add(a, b)", "combines shapes [2 1] and [2]"},
		{"other sizes", "const a = float32[2] {1, 2}\nconst b = float32[3] {3, 5, 7}\ny = Add(a, b)", "combines shapes [2] and [3]"},
		{"expanded to a size that is known only during a run", "const a = float32[] {1}\ns = Shape(x)\ny = Expand(a, s)", "a size that is not known"},
		{"expanded far", "const a = float32[] {1}\nconst s = int64[2] {99999999, 99999999}\ny = Expand(a, s)", "more than"},
		{"a vector repeated", "const a = float32[2] {1, 2}\nconst s = int64[2] {3, 2}\ny = Expand(a, s)", "repeats 2 numbers"},
		{"more scales than numbers", "const q = int8[2] {3, 5}\nconst s = float32[4] {1, 1, 1, 1}\ny = DequantizeLinear(q, s)", "4 scales or zero points of 2 numbers"},
		{"doubled again and again", "const v0 = float32[2] {1, 2}\n" + doubled(30) + "y = Identity(v30)", "more than 64 operators"},
		{"large", "const one = float32[] {1}\nconst big = float32[2000000] {" + strings.TrimSuffix(strings.Repeat("0, ", 2000000), ", ") + "}\ny = Add(one, big)", "at most"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := graph.Parse("ir 8\nopset 17\ngraph g {\nin x: float32[n]\n" + test.text + "\nend = Identity(y)\nout end\n}")
			if err != nil {
				t.Fatal(err)
			}
			x, err := Vector(m.Graph.Lookup("y"))
			got := fmt.Sprint(x)
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if _, err := Vector(nil); err == nil || !strings.Contains(err.Error(), "no value") {
		t.Errorf("nothing: %v", err)
	}
}

// doubled adds a value to itself n times, so that 2^n paths lead through it.
func doubled(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "v%d = Add(v%d, v%d)\n", i+1, i, i)
	}
	return b.String()
}
