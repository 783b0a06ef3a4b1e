package recognise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
)

// chains holds graphs of n anchors in which each anchor can be reached from all earlier ones. A separate walk from each
// anchor would take n² steps.
var chains = map[string]func(n int) string{
	"softmax over one chain": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " s%d = Softmax(v%d) {axis: -1}\n m%d = MatMul(s%d, v%d)\n v%d = Add(v%d, x)\n", i, i, i, i, i, i+1, i)
		}
		return b.String()
	},
	"softmax after softmax": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " v%d = Softmax(v%d) {axis: -1}\n", i+1, i)
		}
		return b.String()
	},
	"one product before all": func(n int) string {
		var b strings.Builder
		b.WriteString(" q = MatMul(v0, v0)\n")
		for i := range n {
			fmt.Fprintf(&b, " a%d = Add(%s, x)\n s%d = Softmax(a%d) {axis: -1}\n z%d = MatMul(s%d, v0)\n t%d = Transpose(z%d) {perm: [0, 2, 1, 3]}\n",
				i, map[bool]string{true: "q", false: fmt.Sprintf("a%d", i-1)}[i == 0], i, i, i, i, i, i)
		}
		fmt.Fprintf(&b, " v%d = Identity(v0)\n", n)
		return b.String()
	},
	"diamonds": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " l%d = Add(v%d, v%d)\n v%d = Mul(l%d, v%d)\n s%d = Softmax(v%d) {axis: -1}\n", i, i, i, i+1, i, i, i, i+1)
		}
		return b.String()
	},
}

func chain(t testing.TB, kind string, n int) *graph.Model {
	t.Helper()
	m, err := graph.Parse(fmt.Sprintf("ir 8\nopset 17\ngraph main {\n in x: float32[b, h, t, t]\n v0 = Identity(x)\n%s out v%d\n}\n", chains[kind](n), n))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The number of steps must grow linearly with the graph.
func TestLocateIsLinear(t *testing.T) {
	steps := func(m *graph.Model) int {
		a := look(m)
		r := &Report{Forms: make([]FormReport, len(forms))}
		_, _, err := a.body(nil, r)
		if err == nil {
			t.Error("a chain was recognised as a decoder")
		}
		if a.budget.Err() != nil {
			t.Error(a.budget.Err())
		}
		return a.budget.Used()
	}
	for kind := range chains {
		small, large := steps(chain(t, kind, 250)), steps(chain(t, kind, 1000))
		if small == 0 || large > 5*small {
			t.Errorf("%s: %d steps for 250 anchors, %d for 1000", kind, small, large)
		}
	}
}

// A graph that needs more steps than its size allows must be refused, and so must one whose context has ended.
func TestLocateGivesUp(t *testing.T) {
	m := chain(t, "diamonds", 1000)
	a := look(m)
	a.budget = ops.NewBudget(t.Context(), 100)
	if a.facts = ops.NewFacts(a.budget); a.facts.Rank(m.Graph.Outputs()[0]) != 0 || !errors.Is(a.budget.Err(), ops.ErrBudget) {
		t.Errorf("%v, want the budget", a.budget.Err())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Locate(ctx, chain(t, "diamonds", 20_000), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func BenchmarkLocate(b *testing.B) {
	for kind := range chains {
		for _, n := range []int{500, 1000, 2000, 10_000} {
			m := chain(b, kind, n)
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(kind, " ", "_"), n), func(b *testing.B) {
				for b.Loop() {
					if _, err := Locate(b.Context(), m, nil); err == nil {
						b.Fatal("a chain was recognised as a decoder")
					}
				}
			})
		}
	}
}
