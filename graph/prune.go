package graph

import "slices"

// Prune removes the nodes and initializers that nothing needs, including those that this edit adds. Anything unused before
// the edit stays, with everything it reads: it belongs to the user.
func (e *Edit) Prune() {
	dead := map[*Node]bool{} // unused before the edit
	beforeInit := map[*Value]bool{}
	for g := range e.model.Graphs() {
		used := live(g, nil)
		for _, n := range g.nodes {
			if !used[n] {
				dead[n] = true
			}
		}
		for _, v := range g.inits {
			beforeInit[v] = len(v.uses) > 0
		}
	}
	e.do(func() {
		// Inner graphs first: a value read only by a dead node of a branch is dead too.
		graphs := slices.Collect(e.model.Graphs())
		for _, g := range slices.Backward(graphs) {
			now := live(g, dead)
			e.graph(g).nodes = slices.DeleteFunc(g.nodes, func(n *Node) bool {
				if !now[n] {
					n.eachRead(e.dropUse)
				}
				return !now[n]
			})
		}
		outputs := map[*Value]bool{} // a branch may return an initializer of a graph around it
		for g := range e.model.Graphs() {
			for _, v := range g.outputs {
				outputs[v] = true
			}
		}
		for _, g := range graphs {
			e.graph(g).inits = slices.DeleteFunc(g.inits, func(v *Value) bool {
				return beforeInit[v] && len(v.uses) == 0 && !v.input && !outputs[v]
			})
		}
	})
}

// eachRead calls f for every read of the node, including those of its branches.
func (n *Node) eachRead(f func(*Value, Use)) {
	for i, v := range n.ins {
		if v != nil {
			f(v, Use{n, i})
		}
	}
	for _, b := range n.Branches() {
		for _, m := range b.nodes {
			m.eachRead(f)
		}
	}
}

// live returns the nodes of g that are needed by its outputs or by its nodes in kept.
func live(g *Graph, kept map[*Node]bool) map[*Node]bool {
	out := map[*Node]bool{}
	var todo []*Node
	need := func(v *Value) {
		if v != nil && v.node != nil && v.node.graph == g && !out[v.node] {
			out[v.node] = true
			todo = append(todo, v.node)
		}
	}
	for _, v := range g.outputs {
		need(v)
	}
	for _, n := range g.nodes {
		if kept[n] && !out[n] {
			out[n] = true
			todo = append(todo, n)
		}
	}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, p := range producers(n) {
			if !out[p] {
				out[p] = true
				todo = append(todo, p)
			}
		}
	}
	return out
}
