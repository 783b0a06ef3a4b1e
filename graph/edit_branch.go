package graph

import "slices"

// InlineBranch puts the nodes of one branch in the place of the node that holds it: the choice is made for good. The
// branch's outputs take the places and names of the node's own; one that the branch gives out twice is copied for the second.
// A value of the branch whose name another scope has gets a fresh one, for what it stands beside now may be read there.
func (e *Edit) InlineBranch(b *Graph) {
	e.do(func() func() {
		owner := b.owner
		if owner == nil || !slices.Contains(owner.graph.nodes, owner) {
			e.fail("the graph is no branch")
			return func() {}
		}
		g := owner.graph
		if len(b.outputs) < len(owner.outs) {
			e.fail("%v has %d outputs, its branch %q %d", owner, len(owner.outs), b.attr, len(b.outputs))
			return func() {}
		}
		var undos []func()
		undo := func(f func()) { undos = append(undos, f) }
		nodes, inits, records := g.nodes, g.inits, g.records
		undo(func() { g.nodes, g.inits, g.records = nodes, inits, records })

		owner.eachRead(func(v *Value, u Use) { undo(v.dropUse(u)) })
		taken := names{} // in scopes that stay
		for s := range e.model.Graphs() {
			if owner.holds(s) {
				continue
			}
			for v := range s.values {
				taken.add(v.name)
			}
		}
		moved := map[*Value]bool{}
		for v := range b.values {
			moved[v] = true
			name := v.name
			undo(func() { v.graph, v.name = b, name })
			v.graph = g
			if taken.has(v.name) {
				v.name = e.Fresh(v.name)
			}
		}
		for _, n := range b.nodes {
			n.graph = g
			undo(func() { n.graph = b })
			n.eachRead(func(v *Value, u Use) {
				v.addUse(u)
				undo(func() { v.dropUse(u) })
			})
		}
		at := slices.Index(g.nodes, owner)
		g.nodes = slices.Concat(nodes[:at], b.nodes, nodes[at+1:])
		g.inits = slices.Concat(inits, b.inits)
		for _, r := range b.records {
			if r.num == 5 {
				g.records = append(slices.Clip(g.records), r)
			}
		}
		for i, o := range owner.outs {
			switch v := b.outputs[i]; {
			case o == nil:
			case moved[v]:
				delete(moved, v) // one name is all it can take
				undo(e.model.replace(o, v))
			default:
				n := &Node{id: e.model.nodeID(), op: "Identity", name: e.Fresh(o.name + "_copy"), graph: g, ins: []*Value{v}, outs: []*Value{o}}
				g.nodes = append(g.nodes, n)
				v.addUse(Use{n, 0})
				index := o.index
				o.node, o.index = n, 0
				undo(func() {
					v.dropUse(Use{n, 0})
					o.node, o.index = owner, index
				})
			}
		}
		return func() {
			for _, f := range slices.Backward(undos) {
				f()
			}
		}
	})
}

// holds reports whether g is a branch of n, or lies in one.
func (n *Node) holds(g *Graph) bool {
	for ; g != nil; g = g.Parent() {
		if g.owner == n {
			return true
		}
	}
	return false
}

// replace puts v in the place of o wherever that is read or given out, under o's name. What is declared about o wins, if it says
// as much.
func (m *Model) replace(o, v *Value) (undo func()) {
	var undos []func()
	name, t := v.name, v.typ
	v.name = o.name
	if o.typ.Ranked || !v.typ.Ranked {
		v.typ = o.typ
	}
	for g := range m.Graphs() {
		if slices.Contains(g.outputs, o) {
			outputs := g.outputs
			g.outputs = slices.Clone(outputs)
			for i, out := range g.outputs {
				if out == o {
					g.outputs[i] = v
				}
			}
			undos = append(undos, func() { g.outputs = outputs })
		}
	}
	for _, u := range o.Uses() {
		undos = append(undos, set(u, v))
	}
	return func() {
		for _, f := range slices.Backward(undos) {
			f()
		}
		v.name, v.typ = name, t
	}
}
