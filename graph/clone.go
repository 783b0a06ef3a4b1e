package graph

import (
	"maps"
	"slices"
)

// Clone returns a copy of the model. An edit of one never changes the other. The copy is cheap: nodes, values and graphs are
// copied, while weights and the bytes of the file are shared. Each node and value of the copy has the ID of the one it
// was made of; [Model.ByID] finds it. Both read the same open files: see [Model.Close].
func (m *Model) Clone() *Model {
	out := *m
	out.holes, out.newOps = slices.Clip(m.holes), slices.Clip(m.newOps) // only ever appended to
	out.opsets, out.meta = maps.Clone(m.opsets), slices.Clone(m.meta)
	out.tries, out.past = 0, nil
	if m.files != nil && !m.closed {
		m.files.users.Add(1)
	}
	c := &cloner{model: &out, nodes: make([]Node, m.nodes), values: make([]Value, m.values)}
	c.edges.reserve(2*m.nodes + m.values)
	c.lists.reserve(m.nodes)
	c.uses.reserve(2 * m.nodes)
	out.Graph = c.graph(m.Graph)
	return &out
}

// ByID returns the nodes and values of the model, each at the index that is its ID; nil where an edit removed it.
func (m *Model) ByID() (nodes []*Node, values []*Value) {
	nodes, values = make([]*Node, m.nodes), make([]*Value, m.values)
	for g := range m.Graphs() {
		for _, n := range g.nodes {
			nodes[n.id] = n
		}
		for v := range g.values {
			values[v.id] = v
		}
	}
	return nodes, values
}

// cloner copies graphs. The copies of nodes and values lie in slices, by their IDs, so that a pointer to one can be made before
// it is copied itself.
type cloner struct {
	model  *Model
	nodes  []Node
	values []Value
	edges  slab[*Value]
	lists  slab[*Attr]
	uses   slab[Use]
}

func (c *cloner) node(n *Node) *Node {
	if n == nil {
		return nil
	}
	return &c.nodes[n.id]
}

func (c *cloner) value(v *Value) *Value {
	if v == nil {
		return nil
	}
	return &c.values[v.id]
}

func (c *cloner) graph(g *Graph) *Graph {
	out := &Graph{}
	*out = *g
	out.model, out.owner = c.model, c.node(g.owner)
	out.nodes = make([]*Node, len(g.nodes))
	out.inputs, out.outputs, out.inits = c.list(g.inputs), c.list(g.outputs), c.list(g.inits)
	for v := range g.values {
		w := c.value(v)
		*w = *v
		w.graph, w.node, w.uses = out, c.node(v.node), c.uses.list(len(v.uses))
		for i, u := range v.uses {
			w.uses[i] = Use{c.node(u.Node), u.Slot}
		}
	}
	for i, n := range g.nodes {
		d := c.node(n)
		*d = *n
		d.graph, d.ins, d.outs, d.attrs = out, c.list(n.ins), c.list(n.outs), c.lists.list(len(n.attrs))
		for i, a := range n.attrs {
			d.attrs[i] = c.attr(a)
		}
		out.nodes[i] = d
	}
	out.records = slices.Clone(g.records)
	for i := range out.records {
		c.record(&out.records[i])
	}
	return out
}

func (c *cloner) list(vs []*Value) []*Value {
	out := c.edges.list(len(vs))
	for i, v := range vs {
		out[i] = c.value(v)
	}
	return out
}

// attr copies an attribute that holds graphs; others never change.
func (c *cloner) attr(a *Attr) *Attr {
	if len(a.graphs) == 0 {
		return a
	}
	out := *a
	out.graphs = make([]*Graph, len(a.graphs))
	for i, g := range a.graphs {
		out.graphs[i] = c.graph(g)
	}
	return &out
}

// record makes a record name the copies. Of an object that is gone, which nothing else names, the ID is all that matters.
func (c *cloner) record(r *record) {
	if n := r.node; n != nil {
		r.node = c.node(n)
		r.node.id = n.id
	}
	if v := r.value; v != nil {
		r.value = c.value(v)
		r.value.id = v.id
	}
}
