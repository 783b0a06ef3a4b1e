package graphtest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6f6e6e78)) }

func commit(t testing.TB, what string, e *graph.Edit) {
	t.Helper()
	if err := e.Commit(); err != nil {
		t.Fatalf("graphtest: %s: %v", what, err)
	}
}

// RenameAll gives every value and node a meaningless name, except the inputs and outputs of the main graph, which are the
// model's signature.
func RenameAll(t testing.TB, m *graph.Model, seed uint64) {
	t.Helper()
	r := random(seed)
	e := m.Edit()
	fresh := func(prefix string) string {
		for {
			if name := fmt.Sprintf("%s%08x", prefix, r.Uint32()); !e.Taken(name) {
				return name
			}
		}
	}
	done := map[*graph.Value]bool{}
	for _, v := range append(m.Graph.Inputs(), m.Graph.Outputs()...) {
		done[v] = true
	}
	rename := func(vs []*graph.Value) {
		for _, v := range vs {
			if v != nil && !done[v] {
				done[v] = true
				e.Rename(v, fresh("v"))
			}
		}
	}
	for g := range m.Graphs() {
		rename(g.Inputs())
		rename(g.Initializers())
		for _, n := range g.Nodes() {
			rename(n.Outputs())
			e.Relabel(n, fresh("n"))
		}
	}
	commit(t, "rename all", e)
}

// SwapCommutative swaps the operands of a random half of the Add and Mul nodes.
func SwapCommutative(t testing.TB, m *graph.Model, seed uint64) {
	t.Helper()
	r := random(seed)
	e := m.Edit()
	for g := range m.Graphs() {
		for _, n := range g.Nodes() {
			if n.Is("Add", "Mul") && r.IntN(2) == 0 {
				a, b := n.In(0), n.In(1)
				e.Redirect(graph.Use{Node: n, Slot: 0}, b)
				e.Redirect(graph.Use{Node: n, Slot: 1}, a)
			}
		}
	}
	commit(t, "swap operands", e)
}

// ConstantsFromInitializers turns every initializer that a node reads and that callers may not override into the output of
// a Constant node. Large payloads stay on disk.
func ConstantsFromInitializers(t testing.TB, m *graph.Model) {
	t.Helper()
	e := m.Edit()
	outputs := map[*graph.Value]bool{}
	for g := range m.Graphs() {
		for _, v := range g.Outputs() {
			outputs[v] = true
		}
	}
	for g := range m.Graphs() {
		for _, v := range g.Initializers() {
			if outputs[v] || v.Overridable() || len(v.Uses()) == 0 {
				continue
			}
			c := e.Node(g, graph.Spec{Op: "Constant", Name: v.Name() + "_const", Attrs: graph.Attrs{"value": v.Initializer()}, Type: v.Type()})
			for _, u := range v.Uses() {
				e.Redirect(u, c)
			}
		}
	}
	e.Prune()
	commit(t, "constants from initializers", e)
}
