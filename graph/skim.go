package graph

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limits on the cost of reading a file. A hostile file is refused early; a real model stays far below the limits.
const (
	maxDepth       = 100       // nested messages: the limit of protobuf's C++ readers
	maxSkeleton    = 256 << 20 // bytes of everything that is not a large payload
	maxNodes       = 50_000
	maxInits       = 100_000
	maxFields      = 4 << 20 // fields of all messages: two bytes of file take many bytes of memory
	maxEntries     = 1 << 20 // fields of the model and its graphs, except nodes: each is kept separately
	maxName        = 4096
	maxRank        = 64
	largePayload   = 1024   // bytes; a payload at least this long stays in the file
	holeField      = 19_999 // reserved by protobuf for implementations, so no valid file has it
	maxMessageSize = 1<<31 - 1
)

// A skeleton is the bytes of a model without its large payloads. A hole replaces each payload: field 19999 of the
// TensorProto, an index into holes. Loading works on the skeleton and therefore never reads a weight. Saving fills the
// holes again. The skeleton holds everything else in the file byte for byte, including unknown fields.
type skeleton struct {
	data  []byte
	holes []hole
}

// hole is a payload that was cut out of a TensorProto.
type hole struct {
	span     Span
	field    protowire.Number // the field it came from: 9 raw_data, 4 float_data, …; 13 for external data
	original []byte           // for external data: the records (fields 13 and 14) as read
	location string           // for external data: as written in the file
}

// kind is a kind of message of the ONNX schema. Most kinds can contain a tensor at some depth.
type kind int

const (
	kModel kind = iota + 1
	kGraph
	kNode
	kAttr
	kTensor
	kSparse
	kFunction
	kTraining
	kLeaf // any other message: contains no tensor
)

// fieldSpec describes the content of a length-delimited field and whether it may appear only once. protobuf merges repeated
// occurrences of a singular message, while other readers take the first or the last, so such files are refused.
type fieldSpec struct {
	child kind // 0: bytes or string
	once  bool
	name  string
}

var schema = [kLeaf + 1][32]fieldSpec{
	kModel:    {7: {kGraph, true, "graph"}, 20: {kTraining, false, "training_info"}, 25: {kFunction, false, "functions"}, 8: {kLeaf, false, "opset_import"}, 14: {kLeaf, false, "metadata_props"}},
	kGraph:    {1: {kNode, false, "node"}, 2: {0, true, "name"}, 5: {kTensor, false, "initializer"}, 15: {kSparse, false, "sparse_initializer"}, 11: {kLeaf, false, "input"}, 12: {kLeaf, false, "output"}, 13: {kLeaf, false, "value_info"}},
	kNode:     {5: {kAttr, false, "attribute"}, 1: {0, false, "input"}, 2: {0, false, "output"}, 3: {0, true, "name"}, 4: {0, true, "op_type"}, 7: {0, true, "domain"}, 8: {0, true, "overload"}},
	kAttr:     {5: {kTensor, true, "t"}, 6: {kGraph, true, "g"}, 10: {kTensor, false, "tensors"}, 11: {kGraph, false, "graphs"}, 22: {kSparse, true, "sparse_tensor"}, 23: {kSparse, false, "sparse_tensors"}, 1: {0, true, "name"}, 4: {0, true, "s"}},
	kTensor:   {8: {0, true, "name"}, 9: {0, true, "raw_data"}, 13: {kLeaf, false, "external_data"}},
	kSparse:   {1: {kTensor, true, "values"}, 2: {kTensor, true, "indices"}},
	kFunction: {7: {kNode, false, "node"}, 11: {kAttr, false, "attribute_proto"}, 1: {0, true, "name"}, 4: {0, false, "input"}, 5: {0, false, "output"}, 10: {0, true, "domain"}, 13: {0, true, "overload"}},
	kTraining: {1: {kGraph, true, "initialization"}, 2: {kGraph, true, "algorithm"}},
}

// field returns the description of a field of a message of kind k, or the zero fieldSpec for an unknown field.
func (k kind) field(num protowire.Number) fieldSpec {
	if int(num) >= len(schema[k]) {
		return fieldSpec{}
	}
	return schema[k][num]
}

// labels are the fields that hold names.
var labels = map[string]bool{"name": true, "input": true, "output": true, "op_type": true, "domain": true, "overload": true}

// payloadFields are the value fields of TensorProto that may be cut out: raw_data and the packed typed fields.
var payloadFields = [...]string{4: "float_data", 5: "int32_data", 7: "int64_data", 9: "raw_data", 10: "double_data", 11: "uint64_data"}

// payload returns the name of a value field of TensorProto, or "" for any other field.
func payload(num protowire.Number) string {
	if int(num) >= len(payloadFields) {
		return ""
	}
	return payloadFields[num]
}

// skimmer walks a file once, front to back. It keeps small fields and skips large ones.
type skimmer struct {
	file    *DataFile
	ext     func(location string) (*DataFile, error) // opens an external data file by its location
	buf     []byte                                   // window [bufAt, bufAt+len(buf)) of the file
	bufAt   int64
	kept    int64
	nodes   int
	inits   int
	fields  int
	entries int
	out     skeleton
}

// skim reads a model file into a skeleton.
func skim(f *DataFile, ext func(string) (*DataFile, error)) (*skeleton, error) {
	if f.Size == 0 {
		return nil, errors.New("the file is empty")
	}
	s := &skimmer{file: f, ext: ext}
	room := f.Size
	if room > 2<<20 {
		room = 512 << 10 // the file holds weights, so the size of the rest is unknown
	}
	data, err := s.message(make([]byte, 0, room), kModel, 0, f.Size, 0)
	if err != nil {
		return nil, err
	}
	s.out.data = data
	return &s.out, s.out.overlaps()
}

// at returns n bytes at offset off. They stay valid until the next call.
func (s *skimmer) at(off, n int64) ([]byte, error) {
	if off < s.bufAt || off+n > s.bufAt+int64(len(s.buf)) {
		window := int64(64 << 10)
		if off > s.bufAt+int64(len(s.buf)) {
			window = 4 << 10 // a payload was skipped, and another may follow soon
		}
		want := min(max(n, window), s.file.Size-off)
		if int64(cap(s.buf)) < want {
			s.buf = make([]byte, max(want, 64<<10))
		}
		s.buf = s.buf[:want]
		if _, err := s.file.readAt(s.buf, off); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		s.bufAt = off
	}
	i := off - s.bufAt
	return s.buf[i : i+n], nil
}

func (s *skimmer) varint(off, end int64) (uint64, int64, error) {
	if i := off - s.bufAt; i >= 0 && i < int64(len(s.buf)) && off < end && s.buf[i] < 0x80 {
		return uint64(s.buf[i]), 1, nil // most numbers are small and in the window
	}
	b, err := s.at(off, min(10, end-off))
	if err != nil {
		return 0, 0, err
	}
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return 0, 0, s.bad(off, "a broken number")
	}
	return v, int64(n), nil
}

func (s *skimmer) bad(off int64, what string) error {
	return fmt.Errorf("not an ONNX model: %s at byte %d", what, off)
}

// message appends the skeleton of the message in [off, end) to out. All messages share one buffer, because a file has tens
// of thousands of them.
func (s *skimmer) message(out []byte, k kind, off, end int64, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("messages nested deeper than %d at byte %d", maxDepth, off)
	}
	m := messageSkim{skimmer: s, kind: k, end: end, depth: depth, out: out, tensor: tensorSkim{at: -1}}
	for off < end {
		var err error
		if off, err = m.field(off); err != nil {
			return nil, err
		}
	}
	err := m.finish()
	return m.out, err
}

// messageSkim is the state of one message while it is copied to the skeleton.
type messageSkim struct {
	*skimmer
	kind   kind
	end    int64
	depth  int
	seen   uint64     // singular fields seen, by number (all are below 64)
	tensor tensorSkim // of a TensorProto
	out    []byte
}

// field copies one field and returns the offset of the next.
func (m *messageSkim) field(start int64) (off int64, err error) {
	tag, n, err := m.varint(start, m.end)
	if err != nil {
		return 0, err
	}
	off = start + n
	num, typ := protowire.DecodeTag(tag)
	if err := m.allow(start, num, typ); err != nil {
		return 0, err
	}
	switch typ {
	case protowire.VarintType:
		_, n, err := m.varint(off, m.end)
		if err != nil {
			return 0, err
		}
		off += n
	case protowire.Fixed32Type:
		off += 4
	case protowire.Fixed64Type:
		off += 8
	case protowire.BytesType:
		size, n, err := m.varint(off, m.end)
		if err != nil {
			return 0, err
		}
		off += n
		if size > uint64(m.end-off) {
			return 0, m.tooLong(start)
		}
		body := off
		off += int64(size)
		if done, err := m.bytes(start, num, body, int64(size)); done || err != nil {
			return off, err
		}
	default:
		return 0, m.bad(start, "a group or an unknown wire type")
	}
	if off > m.end {
		return 0, m.tooLong(start)
	}
	return off, m.keep(start, off, num, typ)
}

func (m *messageSkim) tooLong(start int64) error {
	return m.bad(start, "a field longer than the rest of the file")
}

// allow refuses a field with an invalid number or type, a repeated singular field, and a field above a limit.
func (m *messageSkim) allow(start int64, num protowire.Number, typ protowire.Type) error {
	if m.fields++; m.fields > maxFields {
		return fmt.Errorf("more than %d fields", maxFields)
	}
	if num < protowire.MinValidNumber || num > protowire.MaxValidNumber {
		return m.bad(start, "an impossible field number")
	}
	spec := m.kind.field(num)
	known := spec.name != ""
	if known && typ != protowire.BytesType && !(m.kind == kTensor && payload(num) != "") {
		return m.bad(start, fmt.Sprintf("field %s of the wrong wire type", spec.name))
	}
	if known && spec.once {
		if m.seen&(1<<uint(num)) != 0 {
			return fmt.Errorf("field %s appears twice, at byte %d", spec.name, start)
		}
		m.seen |= 1 << uint(num)
	}
	if m.kind == kTensor && num == holeField {
		return fmt.Errorf("reserved field %d in a tensor at byte %d", holeField, start)
	}
	return m.count(m.kind, num)
}

// bytes copies a field of size bytes at off if it is a message to descend into, or cuts it out if it is a large payload. It
// reports whether it did either.
func (m *messageSkim) bytes(start int64, num protowire.Number, off, size int64) (bool, error) {
	switch spec := m.kind.field(num); {
	case spec.child != 0 && spec.child != kLeaf:
		return true, m.nested(num, spec.child, off, size)
	case m.kind == kTensor && payload(num) != "" && size >= largePayload:
		if err := m.tensor.cut(m.skimmer, num, off, size); err != nil {
			return true, err
		}
		m.out = appendHole(m.out, len(m.skimmer.out.holes)-1)
		return true, nil
	case size > maxName && spec.child == 0 && labels[spec.name]:
		return true, fmt.Errorf("%s of %d bytes at byte %d, more than %d", spec.name, size, start, maxName)
	}
	return false, nil
}

// nested copies a message within this one.
func (m *messageSkim) nested(num protowire.Number, child kind, off, size int64) (err error) {
	head := len(m.out)
	out := protowire.AppendVarint(protowire.AppendTag(m.out, num, protowire.BytesType), uint64(size))
	at := len(out)
	if out, err = m.message(out, child, off, off+size, m.depth+1); err != nil {
		return err
	}
	if n := len(out) - at; int64(n) != size { // something was cut out, so the length has changed
		out = slices.Replace(out, head, at, protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.BytesType), uint64(n))...)
	}
	m.out = out
	return nil
}

// keep copies the field in [start, end) unchanged. Fields that locate a tensor's data are set aside until the whole tensor
// is read.
func (m *messageSkim) keep(start, end int64, num protowire.Number, typ protowire.Type) error {
	if m.kept += end - start; m.kept > maxSkeleton {
		return fmt.Errorf("the graph part is larger than %d MB", maxSkeleton>>20)
	}
	rec, err := m.at(start, end-start)
	if err != nil {
		return err
	}
	if m.kind == kTensor {
		if stays, err := m.tensor.record(num, typ, rec); err != nil {
			return fmt.Errorf("%w at byte %d", err, start)
		} else if !stays {
			if m.tensor.at < 0 {
				m.tensor.at = len(m.out)
			}
			return nil
		}
	}
	if cap(m.out)-len(m.out) < len(rec) {
		m.out = slices.Grow(m.out, len(m.out)+len(rec)) // append would grow it by less
	}
	m.out = append(m.out, rec...)
	return nil
}

// finish adds a hole in the place of the fields that a tensor set aside.
func (m *messageSkim) finish() error {
	if m.kind != kTensor {
		return nil
	}
	h, err := m.tensor.external(m.skimmer)
	if err != nil || h == nil {
		return err
	}
	m.skimmer.out.holes = append(m.skimmer.out.holes, *h)
	m.out = slices.Insert(m.out, m.tensor.at, appendHole(nil, len(m.skimmer.out.holes)-1)...)
	return nil
}

func appendHole(out []byte, number int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(out, holeField, protowire.VarintType), uint64(number))
}

func (s *skimmer) count(k kind, num protowire.Number) error {
	switch {
	case k != kModel && k != kGraph && k != kFunction:
	case k.field(num).child == kNode:
		if s.nodes++; s.nodes > maxNodes {
			return fmt.Errorf("more than %d nodes", maxNodes)
		}
	case k == kGraph && num == 5:
		if s.inits++; s.inits > maxInits {
			return fmt.Errorf("more than %d initializers", maxInits)
		}
	default:
		if s.entries++; s.entries > maxEntries {
			return fmt.Errorf("more than %d inputs, outputs, types and other entries", maxEntries)
		}
	}
	return nil
}
