package graph

import "slices"

// sorter puts nodes in an order in which every value is produced before it is read. One sorter serves all graphs of a
// model.
type sorter struct {
	state []uint8 // of each node, by its ID
	spot  []int   // the index of the old node at or after which a node is placed, by ID
}

// The states of a node.
const (
	unseen uint8 = iota
	open         // in progress: its producers are being visited
	done         // emitted
)

func newSorter(m *Model) *sorter { return &sorter{make([]uint8, m.nodes), make([]int, m.nodes)} }

// sorted returns the nodes of g in order, or a node on a cycle. A graph that is in order keeps its order. Otherwise a node
// is moved only to a place before the first node that needs it.
func (s *sorter) sorted(g *Graph) ([]*Node, *Node) {
	for _, n := range g.nodes {
		s.state[n.id] = unseen
	}
	out := make([]*Node, 0, len(g.nodes))
	type frame struct {
		node *Node
		deps []*Node
	}
	var stack []frame // not recursive: a chain may be 50,000 nodes long
	for _, root := range g.nodes {
		switch {
		case s.state[root.id] != unseen:
			continue
		case s.ready(root):
			s.state[root.id] = done
			out = append(out, root)
			continue
		}
		s.state[root.id] = open
		stack = append(stack[:0], frame{root, producers(root)})
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.deps) == 0 {
				s.state[top.node.id] = done
				out = append(out, top.node)
				stack = stack[:len(stack)-1]
				continue
			}
			next := top.deps[0]
			top.deps = top.deps[1:]
			switch s.state[next.id] {
			case open:
				return nil, next
			case unseen:
				s.state[next.id] = open
				stack = append(stack, frame{next, producers(next)})
			}
		}
	}
	return out, nil
}

// ready reports whether all producers of n are emitted. It is false for a node with branches, which must be visited.
func (s *sorter) ready(n *Node) bool {
	if len(n.Branches()) > 0 {
		return false
	}
	for _, v := range n.ins {
		if v != nil && v.node != nil && v.node.graph == n.graph && s.state[v.node.id] != done {
			return false
		}
	}
	return true
}

// producers returns the nodes of n's own graph whose values n needs, including those read inside its branches.
func producers(n *Node) []*Node {
	var out []*Node
	add := func(v *Value) {
		if v != nil && v.node != nil && v.node.graph == n.graph && !slices.Contains(out, v.node) {
			out = append(out, v.node)
		}
	}
	branches := n.Branches()
	if len(branches) > 0 || len(n.ins) > 16 { // many reads: use a set instead of a search
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

// place moves each new node after the last node it needs, so that the file reads like the computation. A graph that was out
// of order in the file is sorted.
func (s *sorter) place(g *Graph) {
	var made []*Node
	for i, n := range g.nodes {
		if n.raw == nil {
			made, i = append(made, n), 0
		}
		s.spot[n.id] = i
	}
	for _, n := range made {
		spot := -1
		for _, p := range producers(n) {
			spot = max(spot, s.spot[p.id])
		}
		s.spot[n.id] = spot
	}
	if len(made) > 0 {
		slices.SortStableFunc(made, func(a, b *Node) int { return s.spot[a.id] - s.spot[b.id] })
		nodes := make([]*Node, 0, len(g.nodes))
		for i, n := range g.nodes {
			if n.raw == nil {
				continue
			}
			for len(made) > 0 && s.spot[made[0].id] < i {
				nodes, made = append(nodes, made[0]), made[1:]
			}
			nodes = append(nodes, n)
		}
		g.nodes = append(nodes, made...)
	}
	if order, cycle := s.sorted(g); cycle == nil {
		g.nodes = order
	}
}
