package graph

import "slices"

// InlineBranch puts the nodes of one branch in the place of the node that holds it: the choice is made for good. The
// branch's outputs take the places and names of the node's own; one that the branch gives out twice is copied for the second.
// A value of the branch whose name another scope has gets a fresh one, for what it stands beside now may be read there.
func (e *Edit) InlineBranch(b *Graph) {
	e.do(func() {
		switch owner := b.owner; {
		case owner == nil || !slices.Contains(owner.graph.nodes, owner):
			e.fail("the graph is no branch")
		case len(b.outputs) < len(owner.outs):
			e.fail("%v has %d outputs, its branch %q %d", owner, len(owner.outs), b.attr, len(b.outputs))
		default:
			owner.eachRead(e.dropUse) // those of the nodes that stay are added again
			moved := e.moveValues(b)
			e.moveNodes(b)
			e.giveOut(b, moved)
		}
	})
}

// moveValues gives the values of a branch to the graph around it, and returns them.
func (e *Edit) moveValues(b *Graph) map[*Value]bool {
	taken := names{} // in scopes that stay
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

// moveNodes puts what a branch holds in the place of its owner.
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
		if r.num == 5 { // of initializers: their bytes stay as they were read
			g.records = append(slices.Clip(g.records), r)
		}
	}
}

// giveOut puts the outputs of a branch, whose nodes have moved, in the place of its owner's.
func (e *Edit) giveOut(b *Graph, moved map[*Value]bool) {
	g := b.owner.graph
	for i, o := range b.owner.outs {
		switch v := b.outputs[i]; {
		case o == nil:
		case moved[v]:
			delete(moved, v) // one name is all it can take
			e.replace(o, v)
		default:
			n := &Node{id: e.model.nodeID(), op: "Identity", name: e.Fresh(o.name + "_copy"), graph: g, ins: []*Value{v}, outs: []*Value{o}}
			g.nodes = append(g.nodes, n)
			e.addUse(v, Use{n, 0})
			e.value(o).node, o.index = n, 0
		}
	}
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
