package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Every line of the table must be complete enough to be used, and each operator must have only one line.
func TestTable(t *testing.T) {
	if len(byName) != len(table) {
		t.Errorf("%d operators, %d lines: one is listed twice", len(byName), len(table))
	}
	for _, o := range table {
		if o.Type.slots == nil && o.Type.attr == "" && o.Type.fixed == 0 && !o.Type.fill && o.Name != "DynamicQuantizeLinear" && !strings.Contains(o.Name, "Sequence") {
			t.Errorf("%s: no rule for its type", o.Name)
		}
		if o.Attn != nil && !o.Attn.Packed && o.Data != 3 {
			t.Errorf("%s: q, k and v are data", o.Name)
		}
	}
}

// TestFacts checks shapes and integer vectors in forms that exporters compute.
func TestFacts(t *testing.T) {
	const head = "ir 8\nopset 18\ngraph main {\n in x: float32[b, t, 64]\n in past: float32[b, 2, p, 16]\n in w: float32[64, 32]\n"
	for _, c := range []struct{ body, want string }{
		{"y = MatMul(x, w)", "[? ? 32]"},
		{"s = Constant() {value: int64[4] {0, 0, -1, 16}}\n y = Reshape(x, s)", "[? ? 4 16]"},
		{"s = Constant() {value: int64[4] {0, 0, 4, -1}}\n h = Reshape(x, s)\n y = Transpose(h) {perm: [0, 2, 1, 3]}", "[? 4 ? 16]"},
		{"s = Shape(past)\n i = Constant() {value: int64[] {1}}\n h = Gather(s, i) {axis: 0}\n two = Constant() {value: int64[] {2}}\n m = Mul(h, two)\n" +
			" z = Constant() {value: int64[1] {0}}\n u = Unsqueeze(m, z)\n d = Constant() {value: int64[1] {-1}}\n y = Concat(u, d) {axis: 0}", "ints [4 -1]"},
		{"k = Concat(past, past) {axis: -2}\n y = Identity(k)", "[? 2 ? 16]"},
		{"a = Constant() {value: int64[1] {2}}\n u = Unsqueeze(past, a)\n s = Constant() {value: int64[5] {1, 1, 3, 1, 1}}\n y = Expand(u, s)", "[? 2 3 ? 16]"},
		{"f = Constant() {value: int64[1] {8}}\n e = Constant() {value: int64[1] {9223372036854775807}}\n a = Constant() {value: int64[1] {2}}\n y = Slice(x, f, e, a)", "[? ? 56]"},
		{"y, z = Split(x) {axis: -1}", "[? ? 32]"},
		{"a = Constant() {value: int64[1] {-1}}\n y = ReduceMean(x, a) {keepdims: 1}", "[? ? 1]"},
	} {
		text := head + " " + c.body + "\n out y\n}\n"
		m, err := graph.Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		f := NewFacts(Unlimited()).Of(m.Graph.Lookup("y"))
		got := strings.ReplaceAll(fmt.Sprint(f.Dims), fmt.Sprint(Unknown), "?")
		if strings.HasPrefix(c.want, "ints") {
			got = "ints " + fmt.Sprint(f.Ints)
		}
		if got != c.want {
			t.Errorf("%s\ngives %s, want %s", c.body, got, c.want)
		}
	}
}

// A chain of any length must need no stack and linear time, and a budget must end it.
func TestMemoOfChain(t *testing.T) {
	var b strings.Builder
	b.WriteString("ir 8\nopset 18\ngraph main {\n in v0: float32[b, t, 64]\n")
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&b, " v%d = Add(v%d, v%d)\n", i+1, i, i)
	}
	fmt.Fprintf(&b, " out v%d\n}\n", n)
	m, err := graph.Parse(b.String())
	if err != nil {
		t.Fatal(err)
	}
	last := m.Graph.Outputs()[0]
	start := time.Now()
	if r := NewFacts(Unlimited()).Rank(last); r != 3 {
		t.Errorf("rank %d, want 3", r)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("%v for a chain of %d: more than linear?", d, n)
	}
	small := NewBudget(context.Background(), 1000)
	NewFacts(small).Of(last)
	if !errors.Is(small.Err(), ErrBudget) {
		t.Errorf("error %v, want the budget", small.Err())
	}
}
