package graph

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// scope resolves names, first in a graph and then in the graphs around it.
type scope struct {
	values map[string]*Value
	outer  *scope
}

func (s *scope) find(name string) *Value {
	for ; s != nil; s = s.outer {
		if v, ok := s.values[name]; ok {
			return v
		}
	}
	return nil
}

// scopeDecoder reads one GraphProto. It reads names first and edges later, because nodes may be in any order.
type scopeDecoder struct {
	*decoder
	g      *Graph
	names  *scope
	sparse map[string]bool // names of sparse initializers
}

// graph reads a GraphProto: the main graph when owner is nil, else a branch in an attribute of owner.
func (d *decoder) graph(body []byte, owner *Node, attr string, outer *scope) (*Graph, error) {
	records, nodes, others := 0, 0, 0
	_ = fields(body, func(num protowire.Number, _, _ []byte) error {
		records++
		switch num {
		case 1:
			nodes++
		case 5, 11:
			others++
		}
		return nil
	})
	values := nodes + others // most nodes have one output
	s := &scopeDecoder{
		decoder: d,
		g:       &Graph{model: d.model, owner: owner, attr: attr, records: make([]record, 0, records), nodes: make([]*Node, 0, nodes)},
		names:   &scope{values: make(map[string]*Value, values), outer: outer},
		sparse:  map[string]bool{},
	}
	d.nodes.reserve(nodes)
	d.values.reserve(values)
	d.edges.reserve(3 * nodes)
	d.uses.reserve(values)
	d.lists.reserve(nodes)
	d.attrs.reserve(nodes)
	if err := fields(body, s.define); err != nil {
		return nil, err
	}
	for name := range s.sparse {
		if s.names.values[name] != nil {
			return nil, fmt.Errorf("%q names both a sparse initializer and another value: hosts read one or the other", name)
		}
	}
	for i := range s.g.records {
		if err := s.declare(&s.g.records[i]); err != nil {
			return nil, err
		}
	}
	for _, n := range s.g.nodes {
		if err := s.connect(n); err != nil {
			return nil, err
		}
	}
	return s.g, nil
}

// define reads one field, as far as it defines values.
func (s *scopeDecoder) define(num protowire.Number, raw, body []byte) error {
	r := record{num: int32(num), raw: raw}
	var err error
	switch num {
	case 1:
		r.node, err = s.node(body)
	case 2:
		s.g.name = text(body)
	case 5:
		var v *Value
		if v, err = s.initializer(body); err == nil {
			r.value, r.name = v, v.name
		}
	case 11:
		var v *Value
		if v, err = s.input(body); err == nil {
			r.value, r.name = v, v.name
		}
	case 15:
		name := sparseName(body)
		if name == "" || s.sparse[name] {
			return fmt.Errorf("a sparse initializer is named %q, which is no name or that of another", name)
		}
		s.sparse[name] = true
	}
	s.g.records = append(s.g.records, r)
	return err
}

// value returns the value of that name in this scope, and makes it if there is none. It refuses an existing value for which
// taken returns true, because that value already has its producer.
func (s *scopeDecoder) value(name string, taken func(*Value) bool) (*Value, error) {
	v := s.names.values[name]
	if v == nil {
		v = s.values.new()
		v.id, v.name, v.graph = s.model.valueID(), name, s.g
		s.names.values[name] = v
	} else if taken(v) {
		return nil, fmt.Errorf("value %q is defined twice", name)
	}
	return v, nil
}

// node reads a NodeProto, except for its inputs and attributes: see connect.
func (s *scopeDecoder) node(body []byte) (*Node, error) {
	n := s.nodes.new()
	n.id, n.graph, n.raw = s.model.nodeID(), s.g, body
	ins, outs, attrs := 0, 0, 0
	err := fields(body, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			ins++
		case 2:
			outs++
		case 3:
			n.name = text(body)
		case 4:
			n.op = text(body)
		case 5:
			attrs++
		case 7:
			n.domain = ownDomain(text(body))
		case 8:
			n.overload = text(body)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", n.name, err)
	}
	n.ins, n.outs, n.attrs = s.edges.list(ins), s.edges.list(outs), s.lists.list(attrs)
	s.g.nodes = append(s.g.nodes, n)
	return n, s.results(n)
}

// results makes the values that a node computes.
func (s *scopeDecoder) results(n *Node) error {
	i, some := -1, false
	err := fields(n.raw, func(num protowire.Number, _, name []byte) error {
		if num != 2 {
			return nil
		}
		if i++; len(name) == 0 {
			return nil
		}
		v, err := s.value(text(name), func(*Value) bool { return true })
		if err != nil {
			return err
		}
		some = true
		n.outs[i], v.node, v.index = v, n, i
		return nil
	})
	switch {
	case err != nil:
		return err
	case !some:
		return fmt.Errorf("%v has no output", n)
	case n.op == "":
		return fmt.Errorf("%v has no op", n)
	}
	return nil
}

func (s *scopeDecoder) initializer(body []byte) (*Value, error) {
	c, name, err := s.decodeTensor(body)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errors.New("an initializer has no name")
	}
	v, err := s.value(name, func(v *Value) bool { return v.init != nil || v.node != nil })
	if err != nil {
		return nil, err
	}
	v.init = c
	if v.typ.DType == Undefined {
		v.typ = constType(c)
	}
	s.g.inits = append(s.g.inits, v)
	return v, v.overrides()
}

func (s *scopeDecoder) input(body []byte) (*Value, error) {
	name, t, err := s.valueInfo(body)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errors.New("an input has no name")
	}
	v, err := s.value(name, func(v *Value) bool { return v.input || v.node != nil })
	if err != nil {
		return nil, err
	}
	v.input, v.typ = true, t
	s.g.inputs = append(s.g.inputs, v)
	return v, v.overrides()
}

// overrides refuses an input and an initializer of one name whose types differ. A host may read either type.
func (v *Value) overrides() error {
	if !v.input || v.init == nil {
		return nil
	}
	t, c := v.typ, v.init
	fits := t.DType == c.DType && (!t.Ranked || len(t.Dims) == len(c.Dims))
	for i := 0; fits && t.Ranked && i < len(c.Dims); i++ {
		fits = t.Dims[i].Size < 0 || t.Dims[i].Size == c.Dims[i]
	}
	if !fits {
		return fmt.Errorf("%v is an input of type %v and an initializer of type %v", v, t, constType(c))
	}
	return nil
}

// declare reads an output or value_info record. A type among the outputs overrides value_info, and a type among the inputs
// overrides both. Information about a value that does not exist is harmless, and kept.
func (s *scopeDecoder) declare(r *record) error {
	if r.num != 12 && r.num != 13 {
		return nil
	}
	name, t, err := s.valueInfo(recordBody(r.raw))
	if err != nil {
		return err
	}
	v := s.names.values[name]
	if r.num == 12 {
		if v == nil {
			v = s.names.outer.find(name)
		}
		if v == nil {
			return fmt.Errorf("graph output %q has no producer", name)
		}
		s.g.outputs = append(s.g.outputs, v)
	} else if v == nil {
		return nil
	}
	if t.DType != Undefined && (v.typ.DType == Undefined || r.num == 12 && v.node != nil && v.graph == s.g) {
		v.typ = t
	}
	r.value, r.name = v, name
	return nil
}

// connect resolves a node's inputs and reads its attributes, including the graphs in them.
func (s *scopeDecoder) connect(n *Node) error {
	slot, attr := -1, -1
	var seen attrNames
	err := fields(n.raw, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			if slot++; len(body) > 0 {
				return s.edge(Use{n, slot}, text(body))
			}
		case 5:
			attr++
			a, graphs, err := s.decodeAttr(body)
			if err != nil {
				return fmt.Errorf("%v: %w", n, err)
			}
			if a.Name == "" {
				return fmt.Errorf("%v: an attribute has no name", n)
			}
			if seen.has(n.attrs[:attr], a.Name) {
				return fmt.Errorf("%v: attribute %q appears twice", n, a.Name)
			}
			n.attrs[attr] = a
			for _, body := range graphs {
				g, err := s.graph(body, n, a.Name, s.names)
				if err != nil {
					return err
				}
				a.graphs, n.branched = append(a.graphs, g), true
			}
		}
		return nil
	})
	if err == nil && n.op == "Constant" {
		err = n.checkConstant()
	}
	return err
}

// attrNames finds an attribute name that appears twice. Few nodes have many attributes, so most need no set.
type attrNames map[string]bool

// has reports whether one of the attributes before this one has its name.
func (s *attrNames) has(before []*Attr, name string) bool {
	const few = 16
	if len(before) < few {
		for _, a := range before {
			if a.Name == name {
				return true
			}
		}
		return false
	}
	if *s == nil {
		*s = attrNames{}
		for _, a := range before {
			(*s)[a.Name] = true
		}
	}
	found := (*s)[name]
	(*s)[name] = true
	return found
}

// edge makes a slot read the value of the given name.
func (s *scopeDecoder) edge(u Use, name string) error {
	v := s.names.find(name)
	switch {
	case v == nil && s.sparse[name]:
		return fmt.Errorf("%v reads %q, which is a sparse initializer: these are not supported", u.Node, name)
	case v == nil:
		return fmt.Errorf("%v reads %q, which nothing produces", u.Node, name)
	}
	u.Node.ins[u.Slot] = v
	if v.uses == nil {
		v.uses = s.uses.list(1)[:0]
	}
	v.uses = append(v.uses, u)
	return nil
}

// sparseName returns the name of a SparseTensorProto, which is the name of its values.
func sparseName(body []byte) string {
	name := ""
	_ = fields(body, func(num protowire.Number, _, body []byte) error {
		if num == 1 {
			name = stringField(body, 8)
		}
		return nil
	})
	return name
}
