package graph

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Encoding writes every record as it was read unless the object made of it has changed. New objects follow the last
// record of their kind, so that the order of fields in the file stays.

// encode returns the model's skeleton: its bytes, holes still open.
func (m *Model) encode() []byte {
	recs := m.records
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
	e := newGraphEncoder(g, recs)
	last := lastOf(recs)
	for i, r := range recs {
		e.record(r)
		if l := e.lanes[r.num]; l != nil && i == last[r.num] {
			e.upTo(l, len(l.objs))
		}
		if r.num == 13 && i == last[13] {
			e.newInfos(g)
		}
	}
	for _, num := range laneOrder {
		e.upTo(e.lanes[num], len(e.lanes[num].objs))
	}
	e.newInfos(g)
	return e.out
}

// laneOrder are the fields of GraphProto whose elements an edit may add, drop or move.
var laneOrder = []int32{1, 5, 11, 12} // node, initializer, input, output

// lane is one repeated field on its way out. Its objects are written in the graph's order, each at the place of its
// record in the file, new ones before the next old one.
type lane struct {
	num   int32
	objs  []any
	index map[any]int
	recs  map[any]record
	next  int // objects before this index are written
}

type graphEncoder struct {
	out   []byte
	lanes map[int32]*lane
	live  map[*Value]bool // values that are still there: information about others goes
	typed map[*Value]bool // values whose type has been written, or need not be
}

func newGraphEncoder(g *Graph, recs []record) *graphEncoder {
	e := &graphEncoder{lanes: map[int32]*lane{}, live: map[*Value]bool{}, typed: map[*Value]bool{}}
	for _, num := range laneOrder {
		e.lanes[num] = &lane{num: num, index: map[any]int{}, recs: map[any]record{}}
	}
	add := func(num int32, obj any) {
		l := e.lanes[num]
		l.index[obj] = len(l.objs)
		l.objs = append(l.objs, obj)
	}
	for _, n := range g.nodes {
		add(1, n)
	}
	for num, vs := range map[int32][]*Value{5: g.inits, 11: g.inputs, 12: g.outputs} {
		for _, v := range vs {
			add(num, v)
		}
	}
	for _, r := range recs {
		if l := e.lanes[r.num]; l != nil {
			l.recs[r.obj] = r
		} else if v, ok := r.obj.(*Value); ok {
			e.typed[v] = true
		}
	}
	for _, v := range g.outputs {
		e.typed[v] = true
	}
	for _, v := range g.values() {
		e.live[v] = true
	}
	return e
}

// record writes one field of the file, and with it what now stands before it.
func (e *graphEncoder) record(r record) {
	if l := e.lanes[r.num]; l != nil {
		if i, ok := l.index[r.obj]; ok {
			e.upTo(l, i+1)
		}
		return
	}
	v, ok := r.obj.(*Value)
	switch {
	case !ok:
		e.out = append(e.out, r.raw...)
	case e.live[v] && (!v.retype || v.Type.DType != 0):
		e.value(r, v)
	}
}

// newInfos writes value_info for the values that have a type but no record that says so: new ones, and former outputs.
func (e *graphEncoder) newInfos(g *Graph) {
	for _, n := range g.nodes {
		for _, v := range n.outs {
			if v != nil && v.Type.DType != Undefined && !e.typed[v] {
				e.typed[v] = true
				e.value(record{num: 13}, v)
			}
		}
	}
}

func (e *graphEncoder) upTo(l *lane, end int) {
	for ; l.next < end; l.next++ {
		obj := l.objs[l.next]
		switch x := obj.(type) {
		case *Node:
			e.out = appendMessage(e.out, 1, x.encode())
		case *Value:
			r := l.recs[obj]
			r.num = l.num
			e.value(r, x)
		}
	}
}

// value writes what a record says about a value: as it was read where that still holds, else anew.
func (e *graphEncoder) value(r record, v *Value) {
	num := protowire.Number(r.num)
	isTensor := r.num == 5
	switch {
	case isTensor && r.raw == nil:
		e.out = appendMessage(e.out, num, encodeTensor(v.name, v.init))
	case isTensor && r.name != v.name:
		e.out = appendMessage(e.out, num, rename(recordBody(r.raw), 8, v.name))
	case isTensor:
		e.out = append(e.out, r.raw...)
	case r.raw == nil || v.retype:
		e.out = appendMessage(e.out, num, encodeValueInfo(v.name, v.Type))
	case r.name != v.name:
		e.out = appendMessage(e.out, num, rename(recordBody(r.raw), 1, v.name))
	default:
		e.out = append(e.out, r.raw...)
	}
}

// rename returns a message with its name, a string field, set anew and everything else as it was.
func rename(body []byte, field protowire.Number, name string) []byte {
	var out []byte
	done := false
	_ = fields(body, func(num protowire.Number, raw, _ []byte) error {
		if num != field {
			out = append(out, raw...)
		} else if !done && name != "" {
			out, done = appendStrings(out, field, []string{name}), true
		}
		return nil
	})
	if !done && name != "" {
		out = appendStrings(out, field, []string{name})
	}
	return out
}
