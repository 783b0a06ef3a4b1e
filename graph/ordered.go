package graph

// Ordered returns the nodes of g in an order in which every value is produced before it is read. Files may hold them in
// another one. It panics on a cycle, which [Check] would have refused.
func (g *Graph) Ordered() []*Node {
	out, cycle := newSorter(g.model).sorted(g)
	if cycle != nil {
		panic("graph: " + cycle.String() + " depends on itself")
	}
	return out
}
