package graph

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// encoder writes the graphs of a model. Its slices are indexed by the IDs of nodes and values.
type encoder struct {
	nodeAt  []int  // places in the graph's list, counted from 1; 0 for a removed node
	initAt  []int  // the same for initializers
	inputAt []int  // the same for inputs
	live    []bool // values that still exist: information about others is dropped
	typed   []bool // values whose type is written or need not be written
}

func newEncoder(m *Model) *encoder {
	e := &encoder{make([]int, m.nodes), make([]int, m.values), make([]int, m.values), make([]bool, m.values), make([]bool, m.values)}
	for g := range m.Graphs() {
		for i, n := range g.nodes {
			e.nodeAt[n.id] = i + 1
		}
		for i, v := range g.inits {
			e.initAt[v.id] = i + 1
		}
		for i, v := range g.inputs {
			e.inputAt[v.id] = i + 1
		}
		for v := range g.values {
			e.live[v.id] = true
		}
		for _, v := range g.outputs {
			if v.graph == g {
				e.typed[v.id] = true
			}
		}
		for _, r := range g.records {
			if r.num == 13 && r.value != nil {
				e.typed[r.value.id] = true
			}
		}
	}
	return e
}

// graphEncoder writes one graph.
type graphEncoder struct {
	*encoder
	g        *Graph
	out      []byte
	next     [len(lanes)]int               // number of elements written, by lane
	outputAt map[*Value]int                // places among the outputs, counted from 1
	declared [len(lanes)]map[*Value]record // of inputs and outputs, by lane
}

// lanes are the fields of GraphProto whose elements an edit may add, remove or move: node, initializer, input, output. The
// elements are written in the graph's order, each at the place of its record in the file. New ones are written before the
// next old one.
var lanes = [...]int32{1, 5, 11, 12}

// graph appends a graph as a field of a message.
func (e *encoder) graph(out []byte, num protowire.Number, g *Graph) []byte {
	out = protowire.AppendTag(out, num, protowire.BytesType)
	at := len(out)
	w := &graphEncoder{encoder: e, g: g, out: out, outputAt: map[*Value]int{}}
	for i, v := range g.outputs {
		w.outputAt[v] = i + 1
	}
	for lane, num := range lanes {
		if num < 11 {
			continue
		}
		w.declared[lane] = map[*Value]record{}
		for _, r := range g.records {
			if r.num == num {
				w.declared[lane][r.value] = r
			}
		}
	}
	last := lastOf(g.records)
	for i, r := range g.records {
		w.record(r)
		if lane := slices.Index(lanes[:], r.num); lane >= 0 && i == last[r.num] {
			w.upTo(lane, w.size(lane))
		}
		if i == last[13] {
			w.newInfos()
		}
	}
	for lane := range lanes {
		w.upTo(lane, w.size(lane))
	}
	w.newInfos()
	return slices.Insert(w.out, at, protowire.AppendVarint(nil, uint64(len(w.out)-at))...)
}

// record writes one field of the file, after any elements that now precede it.
func (e *graphEncoder) record(r record) {
	switch r.num {
	case 1:
		e.upTo(0, e.nodeAt[r.node.id])
	case 5:
		e.upTo(1, e.initAt[r.value.id])
	case 11:
		e.upTo(2, e.inputAt[r.value.id])
	case 12:
		e.upTo(3, e.outputAt[r.value])
	case 13:
		if v := r.value; v == nil {
			e.out = append(e.out, r.raw...)
		} else if e.live[v.id] && (!v.retype || v.typ.DType != 0) {
			e.info(r, v)
		}
	default:
		e.out = append(e.out, r.raw...)
	}
}

// size returns the number of elements in a lane.
func (e *graphEncoder) size(lane int) int {
	return [...]int{len(e.g.nodes), len(e.g.inits), len(e.g.inputs), len(e.g.outputs)}[lane]
}

// upTo writes the elements of a lane that are not yet written, until end of them are written.
func (e *graphEncoder) upTo(lane, end int) {
	for ; e.next[lane] < end; e.next[lane]++ {
		i := e.next[lane]
		switch lane {
		case 0:
			e.out = e.node(e.out, e.g.nodes[i])
		case 1:
			v := e.g.inits[i]
			e.out = appendMessage(e.out, 5, encodeTensor(v.name, v.init))
		case 2:
			e.element(lane, e.g.inputs[i])
		case 3:
			e.element(lane, e.g.outputs[i])
		}
	}
}

// element writes an input or output.
func (e *graphEncoder) element(lane int, v *Value) {
	r := e.declared[lane][v]
	r.num = lanes[lane]
	e.info(r, v)
}

// info writes the information about a value: the record as read if it still holds, else a new one.
func (e *graphEncoder) info(r record, v *Value) {
	num := protowire.Number(r.num)
	switch {
	case r.raw == nil || v.retype:
		e.out = appendMessage(e.out, num, encodeValueInfo(v.name, v.typ))
	case r.name != v.name:
		e.out = appendMessage(e.out, num, rename(recordBody(r.raw), 1, v.name))
	default:
		e.out = append(e.out, r.raw...)
	}
}

// newInfos writes value_info for typed values without such a record: new values, and former outputs.
func (e *graphEncoder) newInfos() {
	for _, n := range e.g.nodes {
		for _, v := range n.outs {
			if v != nil && v.typ.DType != Undefined && !e.typed[v.id] {
				e.typed[v.id] = true
				e.info(record{num: 13}, v)
			}
		}
	}
}
