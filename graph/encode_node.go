package graph

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// node appends a node as a field of GraphProto: as read, except for the names of its edges and its branches.
func (e *encoder) node(out []byte, n *Node) []byte {
	if n.raw == nil {
		return appendMessage(out, 1, e.newNode(n))
	}
	ins, outs, label := n.changed()
	if !ins && !outs && !label && !n.dirty && len(n.Branches()) == 0 {
		return appendMessage(out, 1, n.raw)
	}
	return appendMessage(out, 1, e.changedNode(n, ins, outs, label))
}

// changed reports which parts of the node differ from the record as read.
func (n *Node) changed() (ins, outs, label bool) {
	i, o, name := 0, 0, ""
	_ = fields(n.raw, func(num protowire.Number, _, body []byte) error {
		switch num {
		case 1:
			ins = ins || i >= len(n.ins) || edgeName(n.ins[i]) != string(body)
			i++
		case 2:
			outs = outs || o >= len(n.outs) || edgeName(n.outs[o]) != string(body)
			o++
		case 3:
			name = text(body)
		}
		return nil
	})
	return ins || i != len(n.ins), outs || o != len(n.outs), name != n.name
}

func (e *encoder) changedNode(n *Node, newIns, newOuts, relabeled bool) []byte {
	var out []byte
	attr := 0
	wroteIns, wroteOuts := !newIns, !newOuts
	_ = fields(n.raw, func(num protowire.Number, raw, body []byte) error {
		switch {
		case num == 1 && newIns:
			if !wroteIns {
				out, wroteIns = appendEdges(out, 1, n.ins), true
			}
		case num == 2 && newOuts:
			if !wroteOuts {
				out, wroteOuts = appendEdges(out, 2, n.outs), true
			}
		case num == 5:
			out = appendMessage(out, 5, e.attr(n.attrs[attr]))
			attr++
		default:
			out = append(out, raw...)
		}
		return nil
	})
	if !wroteIns {
		out = appendEdges(out, 1, n.ins)
	}
	if !wroteOuts {
		out = appendEdges(out, 2, n.outs)
	}
	for _, a := range n.attrs[attr:] {
		out = appendMessage(out, 5, e.attr(a))
	}
	if relabeled {
		return rename(out, 3, n.name)
	}
	return out
}

func (e *encoder) newNode(n *Node) []byte {
	out := appendEdges(nil, 1, n.ins)
	out = appendEdges(out, 2, n.outs)
	if n.name != "" {
		out = appendStrings(out, 3, []string{n.name})
	}
	out = appendStrings(out, 4, []string{n.op})
	for _, a := range n.attrs {
		out = appendMessage(out, 5, e.attr(a))
	}
	if n.domain != "" {
		out = appendStrings(out, 7, []string{n.domain})
	}
	return out
}

// attr returns the AttributeProto with its graphs encoded again.
func (e *encoder) attr(a *Attr) []byte {
	if len(a.graphs) == 0 {
		return a.raw
	}
	var out []byte
	i := 0
	_ = fields(a.raw, func(num protowire.Number, raw, _ []byte) error {
		if num == 6 || num == 11 {
			out = e.graph(out, num, a.graphs[i])
			i++
		} else {
			out = append(out, raw...)
		}
		return nil
	})
	return out
}

// edgeName returns the name by which a node refers to an input or output: its value's name, or "" where it is omitted.
func edgeName(v *Value) string {
	if v == nil {
		return ""
	}
	return v.name
}

func appendEdges(out []byte, num protowire.Number, vs []*Value) []byte {
	for _, v := range vs {
		out = appendStrings(out, num, []string{edgeName(v)})
	}
	return out
}

func appendStrings(out []byte, num protowire.Number, ss []string) []byte {
	for _, s := range ss {
		out = protowire.AppendString(protowire.AppendTag(out, num, protowire.BytesType), s)
	}
	return out
}
