package graph

import (
	"maps"
	"slices"
)

// A commit keeps a copy of each object before it changes the object for the first time. Restoring the copies, the latest
// first, undoes the changes, so no kind of change needs its own undo. The objects keep their addresses, so every pointer to
// them stays valid.
//
// A step therefore never writes to a field of v directly. It writes to e.value(v), and likewise to e.node and e.graph.

// begin starts a commit. It keeps the model's own fields immediately.
func (m *Model) begin() {
	m.commit++
	was := m.content
	was.opsets, was.meta = maps.Clone(was.opsets), slices.Clone(was.meta)
	keep(m, &m.content, was)
}

// keep records the state of an object.
func keep[T any](m *Model, at *T, was T) {
	m.past = append(m.past, func() { *at = was })
}

// restore undoes the changes that were kept at index from and later.
func (m *Model) restore(from int) {
	for _, putBack := range slices.Backward(m.past[from:]) {
		putBack()
	}
	m.past = m.past[:from]
}

// value returns v after keeping a copy, so that it may be changed.
func (e *Edit) value(v *Value) *Value {
	if v.commit != e.model.commit {
		was := *v
		was.uses = slices.Clone(v.uses)
		keep(e.model, v, was)
		v.commit = e.model.commit
	}
	return v
}

// node returns n after keeping a copy, so that it may be changed.
func (e *Edit) node(n *Node) *Node {
	if n.commit != e.model.commit {
		was := *n
		was.ins, was.outs, was.attrs = slices.Clone(n.ins), slices.Clone(n.outs), slices.Clone(n.attrs)
		keep(e.model, n, was)
		n.commit = e.model.commit
	}
	return n
}

// graph returns g after keeping a copy, so that it may be changed, except for the elements of records.
func (e *Edit) graph(g *Graph) *Graph {
	if g.commit != e.model.commit {
		was := *g
		was.nodes, was.inputs, was.outputs, was.inits = slices.Clone(g.nodes), slices.Clone(g.inputs), slices.Clone(g.outputs), slices.Clone(g.inits)
		keep(e.model, g, was)
		g.commit = e.model.commit
	}
	return g
}

// addUse records that a slot reads v.
func (e *Edit) addUse(v *Value, u Use) { e.value(v).uses = append(v.uses, u) }

// dropUse records that a slot no longer reads v.
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
