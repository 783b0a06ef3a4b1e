package graphtest

import (
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Shuffle puts the nodes of every graph in a random order in which each is still computed before it is read.
func Shuffle(t testing.TB, m *graph.Model, seed uint64) {
	t.Helper()
	r := random(seed)
	e := m.Edit()
	for g := range m.Graphs() {
		waiting, readers := dependencies(g)
		var ready, order []*graph.Node
		for _, n := range g.Nodes() {
			if waiting[n] == 0 {
				ready = append(ready, n)
			}
		}
		for len(ready) > 0 {
			i := r.IntN(len(ready))
			n := ready[i]
			ready[i] = ready[len(ready)-1]
			ready = ready[:len(ready)-1]
			order = append(order, n)
			for _, next := range readers[n] {
				if waiting[next]--; waiting[next] == 0 {
					ready = append(ready, next)
				}
			}
		}
		e.Order(g, order)
	}
	commit(t, "shuffle", e)
}

// dependencies returns the number of reads that each node of g waits for, and the nodes that read each node, once for each
// read. A read in a branch counts as a read by the branch's owner.
func dependencies(g *graph.Graph) (waiting map[*graph.Node]int, readers map[*graph.Node][]*graph.Node) {
	waiting, readers = map[*graph.Node]int{}, map[*graph.Node][]*graph.Node{}
	read := func(v *graph.Value, by *graph.Node) {
		if v == nil || v.Producer() == nil || v.Graph() != g {
			return
		}
		for by.Graph() != g {
			by = by.Graph().Owner()
		}
		waiting[by]++
		readers[v.Producer()] = append(readers[v.Producer()], by)
	}
	var visit func(scope *graph.Graph)
	visit = func(scope *graph.Graph) {
		for _, n := range scope.Nodes() {
			for _, v := range n.Inputs() {
				read(v, n)
			}
			for _, b := range n.Branches() {
				visit(b)
				for _, v := range b.Outputs() {
					read(v, n)
				}
			}
		}
	}
	visit(g)
	return waiting, readers
}
