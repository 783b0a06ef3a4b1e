package ops

import "github.com/onnx-inject/onnx-inject/graph"

// Constants identifies the values of a model that are known before it runs: initializers, Constant nodes, and everything
// computed only from these.
type Constants struct{ is []bool }

// NewConstants classifies the values of a whole model in one pass.
func NewConstants(m *graph.Model) *Constants {
	c := &Constants{make([]bool, m.ValueIDs())}
	for g := range m.Graphs() {
		for _, v := range g.Initializers() {
			c.is[v.ID()] = true
		}
		for _, n := range g.Ordered() {
			if !c.computes(n) {
				continue
			}
			for _, v := range n.Outputs() {
				if v != nil {
					c.is[v.ID()] = true
				}
			}
		}
	}
	return c
}

func (c *Constants) computes(n *graph.Node) bool {
	if n.Is("Constant") {
		return true
	}
	for i := range n.NumIn() {
		if v := n.In(i); v != nil && !c.is[v.ID()] {
			return false
		}
	}
	return n.NumIn() > 0 && len(n.Branches()) == 0 && !n.Is("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")
}

// Is reports whether v is known before the model runs. It is false for a value that an edit made later.
func (c *Constants) Is(v *graph.Value) bool { return v != nil && v.ID() < len(c.is) && c.is[v.ID()] }
