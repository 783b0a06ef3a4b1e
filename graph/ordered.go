package graph

// Ordered returns the nodes of g in an order in which every value is produced before it is read. The file's order may
// differ. It panics on a cycle, which [Check] refuses.
func (g *Graph) Ordered() []*Node {
	out, cycle := newSorter(g.model).sorted(g)
	if cycle != nil {
		panic("graph: " + cycle.String() + " depends on itself")
	}
	return out
}
