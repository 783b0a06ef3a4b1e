package graph

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// encode returns the node's NodeProto: as read but for the names of its edges and its branches.
func (n *Node) encode() []byte {
	ins, outs := edgeNames(n.ins), edgeNames(n.outs)
	if n.raw == nil {
		return n.encodeNew(ins, outs)
	}
	newIns, newOuts := !slices.Equal(ins, n.rawIn), !slices.Equal(outs, n.rawOut)
	branches := len(n.Branches()) > 0
	relabeled := n.name != n.label
	if !newIns && !newOuts && !branches && !relabeled && !n.dirty {
		return n.raw
	}
	var out []byte
	attr := 0
	wroteIns, wroteOuts := !newIns, !newOuts
	_ = fields(n.raw, func(num protowire.Number, raw, body []byte) error {
		switch {
		case num == 1 && newIns:
			if !wroteIns {
				out, wroteIns = appendStrings(out, 1, ins), true
			}
		case num == 2 && newOuts:
			if !wroteOuts {
				out, wroteOuts = appendStrings(out, 2, outs), true
			}
		case num == 5:
			out = appendMessage(out, 5, n.attrs[attr].encode())
			attr++
		default:
			out = append(out, raw...)
		}
		return nil
	})
	if !wroteIns {
		out = appendStrings(out, 1, ins)
	}
	if !wroteOuts {
		out = appendStrings(out, 2, outs)
	}
	for _, a := range n.attrs[attr:] {
		out = appendMessage(out, 5, a.encode())
	}
	if relabeled {
		return rename(out, 3, n.name)
	}
	return out
}

func (n *Node) encodeNew(ins, outs []string) []byte {
	out := appendStrings(nil, 1, ins)
	out = appendStrings(out, 2, outs)
	if n.name != "" {
		out = appendStrings(out, 3, []string{n.name})
	}
	out = appendStrings(out, 4, []string{n.Op})
	for _, a := range n.attrs {
		out = appendMessage(out, 5, a.encode())
	}
	if n.Domain != "" {
		out = appendStrings(out, 7, []string{n.Domain})
	}
	return out
}

// encode returns the AttributeProto, its graphs encoded anew.
func (a *Attr) encode() []byte {
	if len(a.graphs) == 0 {
		return a.raw
	}
	var out []byte
	i := 0
	_ = fields(a.raw, func(num protowire.Number, raw, _ []byte) error {
		if num == 6 || num == 11 {
			out = appendMessage(out, num, a.graphs[i].encode())
			i++
		} else {
			out = append(out, raw...)
		}
		return nil
	})
	return out
}

func edgeNames(vs []*Value) []string {
	var out []string
	for _, v := range vs {
		if v == nil {
			out = append(out, "")
		} else {
			out = append(out, v.name)
		}
	}
	return out
}

func appendStrings(out []byte, num protowire.Number, ss []string) []byte {
	for _, s := range ss {
		out = protowire.AppendString(protowire.AppendTag(out, num, protowire.BytesType), s)
	}
	return out
}
