package graph

import "slices"

// Rename gives a value another name. A name that is taken is refused. The name of a graph input or output is part of the
// model's signature, so renaming one changes the signature.
func (e *Edit) Rename(v *Value, name string) {
	if name == "" || e.names().has(name) {
		e.fail("rename %v: the name %q is taken", v, name)
		return
	}
	e.names().add(name)
	e.do(func() { e.value(v).name = name })
}

// Relabel gives a node another label. Labels need not be unique, and may be "".
func (e *Edit) Relabel(n *Node, label string) {
	e.names().add(label)
	e.do(func() { e.node(n).name = label })
}

// Order arranges the nodes of g in the given order, as far as each node is still computed before it is read. The slice must
// hold every node of g once.
func (e *Edit) Order(g *Graph, nodes []*Node) {
	e.do(func() {
		count := map[*Node]int{}
		for _, n := range g.nodes {
			count[n]++
		}
		for _, n := range nodes {
			count[n]--
		}
		for _, left := range count {
			if left != 0 {
				e.fail("order of %q: want every node of the graph once", g.name)
				return
			}
		}
		e.graph(g).nodes = slices.Clone(nodes)
	})
}
