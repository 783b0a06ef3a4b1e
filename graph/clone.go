package graph

import (
	"maps"
	"slices"
)

// Clone returns a copy of the model. An edit of one never changes the other. The copy is cheap: it copies nodes, values and
// graphs, and shares weights and the bytes of the file. Each node and value of the copy has the same ID as its
// original. Both models read the same open files: see [Model.Close].
func (m *Model) Clone() *Model {
	out := *m
	out.holes, out.newOps = slices.Clip(m.holes), slices.Clip(m.newOps) // only appended to
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

// cloner copies graphs. Slices hold the copies of nodes and values by ID, so that a pointer to a copy exists before the
// copy is filled.
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

// attr copies an attribute that holds graphs. Other attributes never change and are shared.
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

// record makes a record point to the copies. Nothing else refers to a removed object, so only its ID is kept.
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
