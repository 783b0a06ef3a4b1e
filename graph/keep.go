package graph

import (
	"maps"
	"slices"
)

// A commit keeps a copy of each object before it changes it for the first time. Putting the copies back, the latest first,
// takes the changes back, whatever they were: no kind of change needs to know how it is undone. The objects stay where they
// are, so that every pointer to them stays valid.
//
// A step therefore never writes to a field of v directly: it writes to e.value(v), and likewise to e.node and e.graph.

// begin starts a commit: what the model itself is, is kept at once.
func (m *Model) begin() {
	m.commit++
	was := m.content
	was.opsets, was.meta = maps.Clone(was.opsets), slices.Clone(was.meta)
	keep(m, &m.content, was)
}

// keep notes what an object was.
func keep[T any](m *Model, at *T, was T) {
	m.past = append(m.past, func() { *at = was })
}

// restore puts back what was kept after the first from objects.
func (m *Model) restore(from int) {
	for _, putBack := range slices.Backward(m.past[from:]) {
		putBack()
	}
	m.past = m.past[:from]
}

// value returns v, which may be changed then.
func (e *Edit) value(v *Value) *Value {
	if v.commit != e.model.commit {
		was := *v
		was.uses = slices.Clone(v.uses)
		keep(e.model, v, was)
		v.commit = e.model.commit
	}
	return v
}

// node returns n, which may be changed then.
func (e *Edit) node(n *Node) *Node {
	if n.commit != e.model.commit {
		was := *n
		was.ins, was.outs, was.attrs = slices.Clone(n.ins), slices.Clone(n.outs), slices.Clone(n.attrs)
		keep(e.model, n, was)
		n.commit = e.model.commit
	}
	return n
}

// graph returns g, which may be changed then, but for the elements of records.
func (e *Edit) graph(g *Graph) *Graph {
	if g.commit != e.model.commit {
		was := *g
		was.nodes, was.inputs, was.outputs, was.inits = slices.Clone(g.nodes), slices.Clone(g.inputs), slices.Clone(g.outputs), slices.Clone(g.inits)
		keep(e.model, g, was)
		g.commit = e.model.commit
	}
	return g
}

// addUse notes that a slot reads v.
func (e *Edit) addUse(v *Value, u Use) { e.value(v).uses = append(v.uses, u) }

// dropUse notes that a slot reads v no longer.
func (e *Edit) dropUse(v *Value, u Use) {
	if i := slices.Index(v.uses, u); i >= 0 {
		e.value(v).uses = slices.Delete(v.uses, i, i+1)
	}
}

// set makes a slot read v, which may be nil.
func (e *Edit) set(u Use, v *Value) {
	if old := u.Node.ins[u.Slot]; old != nil {
		e.dropUse(old, u)
	}
	e.node(u.Node).ins[u.Slot] = v
	if v != nil {
		e.addUse(v, u)
	}
}
