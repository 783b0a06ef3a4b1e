package graph

import "slices"

// InlineBranch puts the nodes of one branch in the place of the node that holds it, which makes the choice permanent. The
// branch's outputs replace the node's own and take over their names. If the branch returns a value twice, the second is a
// copy. A value of the branch whose name is used in another scope gets a fresh name, because the two scopes become one.
func (e *Edit) InlineBranch(b *Graph) {
	e.do(func() {
		switch owner := b.owner; {
		case owner == nil || !slices.Contains(owner.graph.nodes, owner):
			e.fail("the graph is not a branch")
		case len(b.outputs) < len(owner.outs):
			e.fail("%v has %d outputs, its branch %q %d", owner, len(owner.outs), b.attr, len(b.outputs))
		default:
			owner.eachRead(e.dropUse) // uses by nodes that stay are added again
			moved := e.moveValues(b)
			e.moveNodes(b)
			e.giveOut(b, moved)
		}
	})
}

// moveValues moves the values of a branch to the graph around it, and returns them.
func (e *Edit) moveValues(b *Graph) map[*Value]bool {
	taken := names{} // names in scopes that stay
	for g := range e.model.Graphs() {
		if b.owner.holds(g) {
			continue
		}
		for v := range g.values {
			taken.add(v.name)
		}
	}
	moved := map[*Value]bool{}
	for v := range b.values {
		moved[v] = true
		e.value(v).graph = b.owner.graph
		if taken.has(v.name) {
			v.name = e.Fresh(v.name)
		}
	}
	return moved
}

// moveNodes puts the contents of a branch in the place of its owner.
func (e *Edit) moveNodes(b *Graph) {
	g := e.graph(b.owner.graph)
	for _, n := range b.nodes {
		e.node(n).graph = g
		n.eachRead(e.addUse)
	}
	at := slices.Index(g.nodes, b.owner)
	g.nodes = slices.Concat(g.nodes[:at], b.nodes, g.nodes[at+1:])
	g.inits = slices.Concat(g.inits, b.inits)
	for _, r := range b.records {
		if r.num == 5 { // initializers: their bytes stay as read
			g.records = append(slices.Clip(g.records), r)
		}
	}
}

// giveOut replaces the owner's outputs with those of the branch, whose nodes have moved.
func (e *Edit) giveOut(b *Graph, moved map[*Value]bool) {
	g := b.owner.graph
	for i, o := range b.owner.outs {
		switch v := b.outputs[i]; {
		case o == nil:
		case moved[v]:
			delete(moved, v) // a value can take over only one name
			e.replace(o, v)
		default:
			n := &Node{id: e.model.nodeID(), op: "Identity", name: e.Fresh(o.name + "_copy"), graph: g, ins: []*Value{v}, outs: []*Value{o}}
			g.nodes = append(g.nodes, n)
			e.addUse(v, Use{n, 0})
			e.value(o).node, o.index = n, 0
		}
	}
}

// holds reports whether g is a branch of n, or is inside one.
func (n *Node) holds(g *Graph) bool {
	for ; g != nil; g = g.Parent() {
		if g.owner == n {
			return true
		}
	}
	return false
}

// replace makes every read and every graph output of o refer to v, under o's name. v takes over o's declared type, unless
// only v's has a shape.
func (e *Edit) replace(o, v *Value) {
	e.value(v).name = o.name
	if o.typ.Ranked || !v.typ.Ranked {
		v.typ = o.typ
	}
	for g := range e.model.Graphs() {
		for i, out := range g.outputs {
			if out == o {
				e.graph(g).outputs[i] = v
			}
		}
	}
	for _, u := range o.Uses() {
		e.set(u, v)
	}
}
