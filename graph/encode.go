package graph

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Encoding writes every record as it was read unless the object made of it has changed. New objects follow the last
// record of their kind, so that the order of fields in the file stays.

// encode returns the model's skeleton: its bytes, holes still open.
func (m *Model) encode() []byte {
	recs := m.records
	if recs == nil {
		recs = m.bareRecords()
	}
	last := lastOf(recs)
	var out []byte
	opsets, metas := false, false
	for i, r := range recs {
		switch r.num {
		case 7:
			out = appendMessage(out, 7, m.Graph.encode())
		case 14:
			key, _, _ := parseEntry(recordBody(r.raw))
			if m.ownsMeta(r, key) {
				out = append(out, r.raw...)
			}
		case 25:
			if !m.inlined {
				out = append(out, r.raw...)
			}
		default:
			out = append(out, r.raw...)
		}
		if i == last[8] {
			out, opsets = m.appendOpsets(out), true
		}
		if i == last[14] {
			out, metas = m.appendMeta(out), true
		}
	}
	if !opsets {
		out = m.appendOpsets(out)
	}
	if !metas {
		out = m.appendMeta(out)
	}
	return out
}

// bareRecords are the fields of a model that was never a file.
func (m *Model) bareRecords() []record {
	ir := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(m.ir))
	return []record{{num: 1, raw: ir}, {num: 7}}
}

// ownsMeta reports whether the record still says what the model's metadata says.
func (m *Model) ownsMeta(r record, key string) bool {
	_, value, _ := parseEntry(recordBody(r.raw))
	return slices.Contains(m.meta, metaEntry{key, value})
}

func (m *Model) appendMeta(out []byte) []byte {
	for _, e := range m.meta {
		written := slices.ContainsFunc(m.records, func(r record) bool {
			if r.num != 14 {
				return false
			}
			key, value, _ := parseEntry(recordBody(r.raw))
			return key == e.key && value == e.value
		})
		if !written {
			out = appendMessage(out, 14, encodeEntry(e.key, e.value))
		}
	}
	return out
}

func encodeEntry(key, value string) []byte {
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
	return protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), value)
}

// appendOpsets writes the imports that an edit added.
func (m *Model) appendOpsets(out []byte) []byte {
	for _, d := range m.newOps {
		b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), d)
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(m.opsets[d]))
		out = appendMessage(out, 8, b)
	}
	return out
}

func appendMessage(out []byte, num protowire.Number, body []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, num, protowire.BytesType), body)
}

// lastOf returns the index of the last record of each field number, -1 standing for none (the zero map value is not used).
func lastOf(recs []record) map[int32]int {
	last := map[int32]int{8: -1, 14: -1, 1: -1, 5: -1, 11: -1, 12: -1, 13: -1}
	for i, r := range recs {
		last[r.num] = i
	}
	return last
}

// encode returns the graph's GraphProto.
func (g *Graph) encode() []byte {
	recs := g.records
	if recs == nil {
		recs = []record{{num: 2, raw: protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), g.name)}}
	}
	e := &graphEncoder{g: g, known: map[any]bool{}, live: map[any]bool{}}
	for _, r := range recs {
		if r.obj != nil && r.num != 13 {
			e.known[key{r.num, r.obj}] = true
		}
	}
	for _, v := range g.values() {
		e.live[v] = true
	}
	last := lastOf(recs)
	for i, r := range recs {
		e.record(r)
		if i == last[r.num] {
			e.fresh(r.num)
		}
	}
	for _, num := range []int32{1, 5, 11, 12, 13} {
		if last[num] < 0 {
			e.fresh(num)
		}
	}
	return e.out
}

type key struct {
	num int32
	obj any
}

type graphEncoder struct {
	g     *Graph
	out   []byte
	next  int          // nodes before this index are written
	known map[any]bool // objects that have a record
	live  map[any]bool // values that are still there
}

// record writes one field as it was read, unless its object is gone or has changed.
func (e *graphEncoder) record(r record) {
	switch r.num {
	case 1:
		if i := slices.Index(e.g.nodes[e.next:], r.obj.(*Node)); i >= 0 {
			e.nodes(e.next + i + 1)
		}
		return
	case 5:
		if v := r.obj.(*Value); !slices.Contains(e.g.inits, v) {
			return
		}
	case 11:
		if v := r.obj.(*Value); !slices.Contains(e.g.inputs, v) {
			return
		} else if v.retype {
			e.value(11, v)
			return
		}
	case 12:
		if v := r.obj.(*Value); !slices.Contains(e.g.outputs, v) {
			return
		} else if v.retype {
			e.value(12, v)
			return
		}
	case 13:
		if v, ok := r.obj.(*Value); ok {
			if !e.live[v] {
				return
			}
			if v.retype {
				if v.Type.DType != 0 {
					e.value(13, v)
				}
				return
			}
		}
	}
	e.out = append(e.out, r.raw...)
}

// fresh writes the objects of one kind that have no record yet.
func (e *graphEncoder) fresh(num int32) {
	switch num {
	case 1:
		e.nodes(len(e.g.nodes))
	case 5:
		for _, v := range e.g.inits {
			if !e.known[key{5, v}] {
				b, _ := marshal.Marshal(tensorProto(v.name, v.init.small)) // a message of plain fields cannot fail
				e.out = appendMessage(e.out, 5, b)
			}
		}
	case 11:
		for _, v := range e.g.inputs {
			if !e.known[key{11, v}] {
				e.value(11, v)
			}
		}
	case 12:
		for _, v := range e.g.outputs {
			if !e.known[key{12, v}] {
				e.value(12, v)
			}
		}
	}
}

// nodes writes the nodes up to index end.
func (e *graphEncoder) nodes(end int) {
	for ; e.next < end; e.next++ {
		e.out = appendMessage(e.out, 1, e.g.nodes[e.next].encode())
	}
}

func (e *graphEncoder) value(num protowire.Number, v *Value) {
	e.out = appendMessage(e.out, num, encodeValueInfo(v.name, v.Type))
}

func encodeValueInfo(name string, t Type) []byte {
	pb := &onnxpb.ValueInfoProto{Name: &name}
	if t.DType != 0 {
		tt := &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(t.DType))}
		if t.Ranked {
			tt.Shape = &onnxpb.TensorShapeProto{}
			for _, d := range t.Dims {
				dim := &onnxpb.TensorShapeProto_Dimension{}
				if d.Size >= 0 {
					dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d.Size}
				} else if d.Name != "" {
					dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d.Name}
				}
				tt.Shape.Dim = append(tt.Shape.Dim, dim)
			}
		}
		pb.Type = &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: tt}}
	}
	b, _ := marshal.Marshal(pb)
	return b
}

// encode returns the node's NodeProto: as read but for the names of its edges and its branches.
func (n *Node) encode() []byte {
	ins, outs := edgeNames(n.ins), edgeNames(n.outs)
	if n.raw == nil {
		return n.encodeNew(ins, outs)
	}
	newIns, newOuts := !slices.Equal(ins, n.rawIn), !slices.Equal(outs, n.rawOut)
	branches := len(n.Branches()) > 0
	if !newIns && !newOuts && !branches && !n.dirty {
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
