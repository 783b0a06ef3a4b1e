package graph

import (
	"fmt"
	"slices"
)

// Spec describes a node to be made.
type Spec struct {
	Op      string   // "MatMul", or with its domain "com.microsoft.FusedMatMul"
	Domain  string   // an alternative to the prefix of Op
	Name    string   // label and stem of the output names; made unique
	Inputs  []*Value // nil means omitted
	Attrs   Attrs
	Outputs int    // number of outputs, 0 means 1
	As      string // exact name of the first output; a taken name is refused
	Type    Type   // of the first output, if known
}

// Node adds a node to g and returns its first output. The node is placed after its inputs in the file.
func (e *Edit) Node(g *Graph, s Spec) *Value {
	if s.Domain == "" {
		s.Domain, s.Op = splitOp(s.Op)
	}
	s.Domain = ownDomain(s.Domain)
	n := &Node{id: e.model.nodeID(), op: s.Op, domain: s.Domain, graph: g, ins: slices.Clone(s.Inputs)}
	stem := s.Name
	if stem == "" {
		stem = s.Op
	}
	n.name = e.Fresh(stem)
	for i := range max(1, s.Outputs) {
		name := ""
		switch {
		case i == 0 && s.As != "":
			if e.names().has(s.As) {
				e.fail("the name %q is taken", s.As)
			}
			e.names().add(s.As)
			name = s.As
		case i == 0:
			name = e.Fresh(n.name + "_out")
		default:
			name = e.Fresh(fmt.Sprintf("%s_out%d", n.name, i))
		}
		n.outs = append(n.outs, &Value{id: e.model.valueID(), name: name, graph: g, node: n, index: i})
	}
	n.outs[0].typ = s.Type
	names := make([]string, 0, len(s.Attrs))
	for name := range s.Attrs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		a, err := newAttr(name, s.Attrs[name])
		if err != nil {
			e.fail("%s: %w", s.Op, err)
			continue
		}
		n.attrs = append(n.attrs, a)
	}
	if s.Domain != "" && e.model.opsets[s.Domain] == 0 {
		e.importOpset(s.Domain, 1)
	}
	e.do(func() {
		e.graph(g).nodes = append(g.nodes, n)
		for i, v := range n.ins {
			if v != nil {
				e.addUse(v, Use{n, i})
			}
		}
	})
	return n.outs[0]
}

func (e *Edit) importOpset(domain string, version int64) {
	m := e.model
	e.do(func() {
		if m.opsets[domain] == 0 {
			m.opsets[domain] = version
			m.newOps = append(m.newOps, domain)
		}
	})
}

// Const adds an initializer to g. Its name is made unique.
func (e *Edit) Const(g *Graph, name string, t *Tensor) *Value {
	return e.initializer(g, name, constOf(t))
}

// Rows adds an initializer that is rows [from, from+n) along the first axis of another: [n, dims[1:]...]. The bytes of a
// large one are not copied. [Load] treats ranges that share bytes as a mistake, so use Rows for graphs that are run and not
// saved.
func (e *Edit) Rows(g *Graph, name string, c *Const, from, n int64) *Value {
	part, err := c.part(from, n)
	if err != nil {
		e.fail("initializer %q: %w", name, err)
		part = constOf(&Tensor{DType: c.DType})
	}
	if m := e.model; part.span != nil {
		e.do(func() {
			part.record(len(m.holes))
			m.holes = append(m.holes, hole{span: *part.span, field: part.field})
		})
	}
	return e.initializer(g, name, part)
}

func (e *Edit) initializer(g *Graph, name string, c *Const) *Value {
	v := &Value{id: e.model.valueID(), name: e.Fresh(name), graph: g, init: c, typ: constType(c)}
	e.do(func() { e.graph(g).inits = append(g.inits, v) })
	return v
}

// NodeOutput adds one more output of exactly this name to an existing node. An If needs this when its branches gain an
// output.
func (e *Edit) NodeOutput(n *Node, name string, t Type) *Value {
	if e.names().has(name) {
		e.fail("the name %q is taken", name)
	}
	e.names().add(name)
	v := &Value{id: e.model.valueID(), name: name, graph: n.graph, node: n, typ: t}
	e.do(func() {
		e.value(v).index = len(n.outs)
		e.node(n).outs = append(n.outs, v)
	})
	return v
}

// SetOutput fills slot i of an existing node's outputs with a new value. The slot must be omitted so far. Slots before it
// that do not exist yet are added as omitted.
func (e *Edit) SetOutput(n *Node, i int, name string) *Value {
	v := &Value{id: e.model.valueID(), name: e.Fresh(name), graph: n.graph, node: n, index: i}
	e.do(func() {
		for e.node(n); len(n.outs) <= i; {
			n.outs = append(n.outs, nil)
		}
		if n.outs[i] != nil {
			e.fail("%v already has output %d", n, i)
		}
		n.outs[i] = v
	})
	return v
}

// SetAttr sets an attribute of an existing node.
func (e *Edit) SetAttr(n *Node, name string, value any) {
	a, err := newAttr(name, value)
	if err != nil {
		e.Fail(err)
		return
	}
	e.do(func() {
		e.node(n).dirty = true
		if i := slices.IndexFunc(n.attrs, func(x *Attr) bool { return x.Name == name }); i >= 0 {
			n.attrs[i] = a
		} else {
			n.attrs = append(n.attrs, a)
		}
	})
}

// Redirect makes one use read v instead. A nil v omits an optional input.
func (e *Edit) Redirect(u Use, v *Value) {
	e.do(func() {
		if u.Slot >= len(u.Node.ins) {
			e.fail("%v has no input %d", u.Node, u.Slot)
			return
		}
		e.set(u, v)
	})
}

// Retype sets the declared type of a value.
func (e *Edit) Retype(v *Value, t Type) {
	e.do(func() { e.retype(v, t) })
}

func (e *Edit) retype(v *Value, t Type) {
	e.value(v)
	v.typ, v.retype = t, true
}

// ForgetTypes drops the declared types of every computed value of g that is not an output of g. An edit that changes shapes
// needs it, because those types would be wrong.
func (e *Edit) ForgetTypes(g *Graph) {
	e.do(func() {
		for _, n := range g.nodes {
			for _, v := range n.outs {
				if v != nil && v.typ.DType != 0 && !v.IsOutput() {
					e.retype(v, Type{})
				}
			}
		}
	})
}

// SetMeta sets a metadata_props entry of the model.
func (e *Edit) SetMeta(key, value string) {
	m := e.model
	e.do(func() {
		if i := slices.IndexFunc(m.meta, func(x metaEntry) bool { return x.key == key }); i >= 0 {
			m.meta[i].value = value
		} else {
			m.meta = append(m.meta, metaEntry{key, value})
		}
	})
}
