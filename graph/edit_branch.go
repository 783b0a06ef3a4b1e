package graph

import "slices"

// InlineBranch puts the nodes of one branch in the place of the node that holds it: the choice is made for good. The
// branch's outputs take the places and names of the node's own.
func (e *Edit) InlineBranch(b *Graph) {
	e.do(func() func() {
		owner := b.owner
		if owner == nil || !slices.Contains(owner.graph.nodes, owner) {
			e.fail("the graph is no branch")
			return func() {}
		}
		g := owner.graph
		for i, v := range b.outputs {
			if v.graph != b || i >= len(owner.outs) {
				e.fail("output %d of %v is no value of its own", i, owner)
				return func() {}
			}
		}
		var undos []func()
		undo := func(f func()) { undos = append(undos, f) }
		nodes, outputs, inits, records := g.nodes, g.outputs, g.inits, g.records
		undo(func() { g.nodes, g.outputs, g.inits, g.records = nodes, outputs, inits, records })

		owner.eachRead(func(v *Value, u Use) { undo(v.dropUse(u)) })
		taken := map[string]bool{}
		for v := range g.values {
			if v.node != owner {
				taken[v.name] = true
			}
		}
		for v := range b.values {
			name := v.name
			undo(func() { v.graph, v.name = b, name })
			v.graph = g
			if taken[v.name] {
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
		g.outputs = slices.Clone(outputs)
		for i, v := range b.outputs {
			o := owner.outs[i]
			if o == nil {
				continue
			}
			oldName, oldType, was := v.name, v.Type, v.retype
			undo(func() { v.name, v.Type, v.retype = oldName, oldType, was })
			v.name, v.Type = o.name, o.Type
			for j, out := range g.outputs {
				if out == o {
					g.outputs[j] = v
				}
			}
			for _, u := range o.Uses() {
				undo(set(u, v))
			}
		}
		return func() {
			for _, f := range slices.Backward(undos) {
				f()
			}
		}
	})
}
