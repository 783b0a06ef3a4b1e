package graph

import "slices"

// sorted returns the nodes of g in an order in which every value is produced before it is read, or a node on a cycle.
// A graph that is in order keeps its order: a node is moved only before the first one that needs it.
func sorted(g *Graph) ([]*Node, *Node) {
	const (
		open = 1
		done = 2
	)
	state := make(map[*Node]int, len(g.nodes))
	out := make([]*Node, 0, len(g.nodes))
	type frame struct {
		node *Node
		deps []*Node
	}
	for _, root := range g.nodes {
		if state[root] != 0 {
			continue
		}
		state[root] = open
		stack := []frame{{root, producers(root)}} // own stack: a chain may be 50,000 nodes long
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.deps) == 0 {
				state[top.node] = done
				out = append(out, top.node)
				stack = stack[:len(stack)-1]
				continue
			}
			next := top.deps[0]
			top.deps = top.deps[1:]
			switch state[next] {
			case open:
				return nil, next
			case 0:
				state[next] = open
				stack = append(stack, frame{next, producers(next)})
			}
		}
	}
	return out, nil
}

// producers returns the nodes of n's own graph whose values n needs, those read inside its branches included.
func producers(n *Node) []*Node {
	var out []*Node
	add := func(v *Value) {
		if v != nil && v.node != nil && v.node.graph == n.graph && !slices.Contains(out, v.node) {
			out = append(out, v.node)
		}
	}
	branches := n.Branches()
	if len(branches) > 0 || len(n.ins) > 16 { // many reads: a set instead of a search
		seen := map[*Node]bool{}
		add = func(v *Value) {
			if v != nil && v.node != nil && v.node.graph == n.graph && !seen[v.node] {
				seen[v.node] = true
				out = append(out, v.node)
			}
		}
	}
	for _, v := range n.ins {
		add(v)
	}
	var inner func(g *Graph)
	inner = func(g *Graph) {
		for _, m := range g.nodes {
			for _, v := range m.ins {
				add(v)
			}
			for _, b := range m.Branches() {
				inner(b)
			}
		}
		for _, v := range g.outputs {
			add(v)
		}
	}
	for _, b := range branches {
		inner(b)
	}
	return out
}

// place moves each new node behind the last node it needs, so that the file reads like the computation; a graph that was
// out of order in the file is sorted.
func place(g *Graph) {
	type slot struct{ after, isNew, seq int }
	at := map[*Node]slot{}
	for i, n := range g.nodes {
		if n.raw != nil {
			at[n] = slot{i, 0, i}
		}
	}
	for i, n := range g.nodes {
		if n.raw != nil {
			continue
		}
		after := -1
		for _, p := range producers(n) {
			after = max(after, at[p].after)
		}
		at[n] = slot{after, 1, i}
	}
	slices.SortStableFunc(g.nodes, func(a, b *Node) int {
		x, y := at[a], at[b]
		if x.after != y.after {
			return x.after - y.after
		}
		if x.isNew != y.isNew {
			return x.isNew - y.isNew
		}
		return x.seq - y.seq
	})
	if order, cycle := sorted(g); cycle == nil {
		g.nodes = order
	}
}
