package graphtest

import (
	"math"
	"math/rand/v2"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Wire is the tree of protobuf fields of an ONNX file. Unlike a decoded message, it keeps everything that a writer of the
// file can choose: the order of fields, repeated and unknown fields, their wire types, and packing. [Wire.Mutate] changes
// one of these choices at random, so that most of the results still are protobuf messages, and many still are models.
type Wire struct {
	root   *wireField
	text   [][]byte // the strings of the file: names to confuse with one another
	fields int
}

// wireField is one field. A field that holds a message has kids, any other length-delimited field has bytes.
type wireField struct {
	num    protowire.Number
	typ    protowire.Type
	number uint64 // of a varint, fixed32 or fixed64
	bytes  []byte
	kids   []*wireField
	desc   protoreflect.MessageDescriptor // of a message, else nil
	field  protoreflect.FieldDescriptor   // nil for an unknown field and for the root
}

// ParseWire reads a file. ok is false if its bytes are not protobuf fields.
func ParseWire(data []byte) (w *Wire, ok bool) {
	root := &wireField{typ: protowire.BytesType, desc: (&onnxpb.ModelProto{}).ProtoReflect().Descriptor()}
	w = &Wire{root: root}
	root.kids, ok = w.parse(root.desc, data, 0)
	return w, ok
}

func (w *Wire) parse(desc protoreflect.MessageDescriptor, b []byte, depth int) ([]*wireField, bool) {
	var out []*wireField
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, false
		}
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if m < 0 {
			return nil, false
		}
		f := &wireField{num: num, typ: typ, field: desc.Fields().ByNumber(num)}
		switch v := b[n : n+m]; typ {
		case protowire.VarintType:
			f.number, _ = protowire.ConsumeVarint(v)
		case protowire.Fixed32Type:
			x, _ := protowire.ConsumeFixed32(v)
			f.number = uint64(x)
		case protowire.Fixed64Type:
			f.number, _ = protowire.ConsumeFixed64(v)
		case protowire.BytesType:
			f.bytes, _ = protowire.ConsumeBytes(v)
			w.child(f, depth)
		default:
			return nil, false
		}
		out = append(out, f)
		w.fields++
		b = b[n+m:]
	}
	return out, true
}

// child reads the content of a length-delimited field.
func (w *Wire) child(f *wireField, depth int) {
	switch {
	case f.field == nil || depth > 100:
	case f.field.Kind() == protoreflect.MessageKind:
		if kids, ok := w.parse(f.field.Message(), f.bytes, depth+1); ok {
			f.kids, f.desc, f.bytes = kids, f.field.Message(), nil
		}
	case f.field.Kind() == protoreflect.StringKind && len(f.bytes) < 100:
		w.text = append(w.text, f.bytes)
	}
}

// Bytes encodes the tree.
func (w *Wire) Bytes() []byte { return w.root.content() }

func (f *wireField) content() []byte {
	if f.desc == nil {
		return f.bytes
	}
	out := make([]byte, 0, 128)
	for _, k := range f.kids {
		out = k.append(out)
	}
	return out
}

func (f *wireField) append(out []byte) []byte {
	out = protowire.AppendTag(out, f.num, f.typ)
	switch f.typ {
	case protowire.VarintType:
		return protowire.AppendVarint(out, f.number)
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(out, uint32(f.number))
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(out, f.number)
	}
	return protowire.AppendBytes(out, f.content())
}

// Mutate returns the bytes of the file with n changes. The tree itself does not change.
func (w *Wire) Mutate(r *rand.Rand, n int) []byte {
	m := &mutator{Rand: r, text: w.text, messages: make([]*wireField, 0, w.fields)}
	m.fields, m.lists = make([]wireField, 0, w.fields+64), make([]*wireField, 0, w.fields+64)
	m.root = m.clone(w.root)
	for range n {
		m.messages = m.messages[:0]
		m.collect(m.root)
		m.change(mutations[r.IntN(len(mutations))])
	}
	return m.root.content()
}

// clone copies a field with everything in it. Copies come from two large slices while these last.
func (m *mutator) clone(f *wireField) *wireField {
	if len(m.fields) == cap(m.fields) {
		m.fields = make([]wireField, 0, 64)
	}
	m.fields = append(m.fields, *f)
	out := &m.fields[len(m.fields)-1]
	if n := len(f.kids); n > 0 {
		if cap(m.lists)-len(m.lists) < n {
			m.lists = make([]*wireField, 0, max(n, 64))
		}
		at := len(m.lists)
		m.lists = m.lists[:at+n]
		out.kids = m.lists[at : at+n : at+n]
		for i, k := range f.kids {
			out.kids[i] = m.clone(k)
		}
	}
	return out
}

// mutator holds a copy of a tree while it is changed.
type mutator struct {
	*rand.Rand
	root     *wireField
	messages []*wireField // those that have fields
	text     [][]byte

	fields []wireField
	lists  []*wireField
}

func (m *mutator) collect(f *wireField) {
	if len(f.kids) > 0 {
		m.messages = append(m.messages, f)
	}
	for _, k := range f.kids {
		m.collect(k)
	}
}

// change applies a mutation to a random field. Small messages are as likely to be chosen as large ones.
func (m *mutator) change(mutate func(m *mutator, in *wireField, at int)) {
	if len(m.messages) > 0 {
		in := m.messages[m.IntN(len(m.messages))]
		mutate(m, in, m.IntN(len(in.kids)))
	}
}

// like returns a random message of the same kind as f, or f itself.
func (m *mutator) like(f *wireField) *wireField {
	for range 8 {
		if other := m.messages[m.IntN(len(m.messages))]; other.desc == f.desc {
			return other
		}
	}
	return f
}

// numbers are values at which readers disagree or overflow.
var numbers = []uint64{0, 1, 2, 3, 4, 7, 8, 16, 19, 22, 99, 127, 128, 1000, math.MaxInt32, 1 << 31, math.MaxUint32, 1 << 40, math.MaxInt64, 1 << 63, math.MaxUint64}

// mutations change the field at an index of a message.
var mutations = []func(m *mutator, in *wireField, at int){
	func(m *mutator, in *wireField, at int) { // remove a field
		in.kids = slices.Delete(in.kids, at, at+1)
	},
	func(m *mutator, in *wireField, at int) { // repeat a field, anywhere in its message
		in.kids = slices.Insert(in.kids, m.IntN(len(in.kids)+1), m.clone(in.kids[at]))
	},
	func(m *mutator, in *wireField, at int) { // swap two fields
		to := m.IntN(len(in.kids))
		in.kids[at], in.kids[to] = in.kids[to], in.kids[at]
	},
	func(m *mutator, in *wireField, at int) { // copy a field to another message of the kind
		to := m.like(in)
		to.kids = slices.Insert(to.kids, m.IntN(len(to.kids)+1), m.clone(in.kids[at]))
	},
	func(m *mutator, in *wireField, at int) { // replace a field by one of the same number of another message
		from := m.like(in)
		for _, k := range from.kids {
			if k.num == in.kids[at].num && k != in.kids[at] {
				in.kids[at] = m.clone(k)
				return
			}
		}
	},
	func(m *mutator, in *wireField, at int) { // use another name of the file
		if f := in.kids[at]; f.desc == nil && f.typ == protowire.BytesType && len(m.text) > 0 {
			f.bytes = m.text[m.IntN(len(m.text))]
		}
	},
	func(m *mutator, in *wireField, at int) { // the same, for a field that holds a name
		for i := range in.kids {
			f := in.kids[(at+i)%len(in.kids)]
			if f.field != nil && f.field.Kind() == protoreflect.StringKind && f.typ == protowire.BytesType && len(m.text) > 0 {
				f.bytes = m.text[m.IntN(len(m.text))]
				return
			}
		}
	},
	func(m *mutator, in *wireField, at int) { // change a number
		if f := in.kids[at]; f.desc == nil && f.typ != protowire.BytesType {
			f.number = numbers[m.IntN(len(numbers))]
		}
	},
	func(m *mutator, in *wireField, at int) { // change a number by one
		if f := in.kids[at]; f.desc == nil && f.typ != protowire.BytesType {
			f.number += uint64(1 - 2*m.IntN(2))
		}
	},
	func(m *mutator, in *wireField, at int) { // change the field's number
		in.kids[at].num = protowire.Number(1 + m.IntN(30))
	},
	func(m *mutator, in *wireField, at int) { // change the wire type
		if f := in.kids[at]; f.desc == nil {
			f.typ = []protowire.Type{protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.BytesType}[m.IntN(4)]
		}
	},
	func(m *mutator, in *wireField, at int) { // change, add or cut bytes
		f := in.kids[at]
		if f.desc != nil || f.typ != protowire.BytesType {
			return
		}
		b := slices.Clone(f.bytes)
		switch i := m.IntN(len(b) + 1); {
		case i == len(b):
			b = append(b, byte(m.Uint32()))
		case m.IntN(3) == 0:
			b = b[:i]
		default:
			b[i] ^= 1 << m.IntN(8)
		}
		f.bytes = b
	},
	func(m *mutator, in *wireField, at int) { // add a field that the schema knows
		fields := in.desc.Fields()
		d := fields.Get(m.IntN(fields.Len()))
		f := &wireField{num: d.Number(), field: d, typ: protowire.VarintType, number: numbers[m.IntN(len(numbers))]}
		switch d.Kind() {
		case protoreflect.FloatKind:
			f.typ = protowire.Fixed32Type
		case protoreflect.DoubleKind:
			f.typ = protowire.Fixed64Type
		case protoreflect.StringKind, protoreflect.BytesKind:
			f.typ = protowire.BytesType
			if len(m.text) > 0 {
				f.bytes = m.text[m.IntN(len(m.text))]
			}
		case protoreflect.MessageKind:
			f.typ, f.desc = protowire.BytesType, d.Message()
			for _, other := range m.messages { // a message of the kind, if there is one
				if other.desc == d.Message() {
					f.kids = m.clone(other).kids
				}
			}
		}
		in.kids = slices.Insert(in.kids, at, f)
	},
	func(m *mutator, in *wireField, at int) { // split a message in two
		if f := in.kids[at]; f.desc != nil && len(f.kids) > 1 {
			cut := 1 + m.IntN(len(f.kids)-1)
			rest := *f
			rest.kids, f.kids = f.kids[cut:], slices.Clip(f.kids[:cut])
			in.kids = slices.Insert(in.kids, at+1, &rest)
		}
	},
	func(m *mutator, in *wireField, at int) { // pack or unpack numbers
		f := in.kids[at]
		if f.field == nil || !f.field.IsList() || f.desc != nil {
			return
		}
		if f.typ == protowire.VarintType {
			f.typ, f.bytes = protowire.BytesType, protowire.AppendVarint(nil, f.number)
		} else if f.typ == protowire.BytesType && f.field.IsPacked() || f.field.Kind() == protoreflect.Int64Kind {
			v, n := protowire.ConsumeVarint(f.bytes)
			if n == len(f.bytes) {
				f.typ, f.number = protowire.VarintType, v
			}
		}
	},
	func(m *mutator, in *wireField, at int) { // put a message into a message of its kind
		f := in.kids[at]
		other := m.like(f)
		if f.desc != nil && other != f && other.desc == in.desc && m.size(f) < 4096 {
			other.kids = append(other.kids, m.clone(f))
		}
	},
}

func (m *mutator) size(f *wireField) int { return len(f.content()) }
