package graph

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
	seen := map[*Node]bool{}
	add := func(v *Value) {
		if v != nil && v.node != nil && v.node.graph == n.graph && !seen[v.node] {
			seen[v.node] = true
			out = append(out, v.node)
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
	for _, b := range n.Branches() {
		inner(b)
	}
	return out
}
