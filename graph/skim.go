package graph

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

var errNoGraph = errors.New("not an ONNX model: it has no graph")

// holeField is the number of the field that is a hole. protobuf reserves it for implementations, so no valid file has it.
const holeField = 19_999

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

// skimmer walks a file, front to back. It keeps small fields and skips large ones. A survey keeps nothing: it makes every
// check that does not need another file, and learns how long the skeleton will be.
type skimmer struct {
	file   *DataFile
	ext    func(location string) (*DataFile, error) // opens an external data file by its location
	survey bool
	buf    []byte // window [bufAt, bufAt+len(buf)) of the file
	bufAt  int64
	used   budget
	out    skeleton
}

// skim reads a model file into a skeleton. It walks the file twice, so that a file above a limit is refused before any of it
// is kept, and the skeleton is allocated once.
func skim(f *DataFile, ext func(string) (*DataFile, error)) (*skeleton, error) {
	if f.Size == 0 {
		return nil, errors.New("the file is empty")
	}
	s := &skimmer{file: f, survey: true}
	if _, err := s.message(nil, kModel, 0, f.Size, 0); err != nil {
		return nil, err
	}
	room := s.used[qBytes]
	s = &skimmer{file: f, ext: ext, buf: s.buf[:0]}
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
			s.buf = make([]byte, max(want, min(64<<10, s.file.Size)))
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
		return nil, hint.With(fmt.Errorf("messages nested deeper than %d at byte %d", maxDepth, off), "no host reads it: flatten the branches or types of the model")
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
	seen   uint32        // singular fields seen, by number (all are below 32)
	own    [numOwn]int64 // quantities of this message alone
	tensor tensorSkim    // of a TensorProto
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
	spec := m.kind.field(num)
	if err := m.allow(start, num, typ, spec); err != nil {
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
		if done, err := m.bytes(start, num, spec, body, int64(size)); done || err != nil {
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
func (m *messageSkim) allow(start int64, num protowire.Number, typ protowire.Type, spec *fieldSpec) error {
	if err := m.spend(qFields, 1, start); err != nil {
		return err
	}
	if num < protowire.MinValidNumber || num > protowire.MaxValidNumber {
		return m.bad(start, "an impossible field number")
	}
	if m.kind == kTensor && num == holeField {
		return fmt.Errorf("reserved field %d in a tensor at byte %d", holeField, start)
	}
	if spec.count == qNone && (m.kind == kModel || m.kind == kGraph) {
		if err := m.spend(qEntries, 1, start); err != nil {
			return err
		}
	}
	if spec.name == "" {
		return nil
	}
	if !spec.wire.has(typ) {
		return m.bad(start, fmt.Sprintf("field %s of the wrong wire type", spec.name))
	}
	if spec.once {
		if m.seen&(1<<uint(num)) != 0 {
			return fmt.Errorf("field %s appears twice, at byte %d", spec.name, start)
		}
		m.seen |= 1 << uint(num)
	}
	if typ == protowire.BytesType && spec.wire.packed() {
		return nil // the numbers in it are counted
	}
	return m.spend(spec.count, 1, start)
}

// spend counts n more of a quantity, which end at a byte of the file.
func (m *messageSkim) spend(q quantity, n, at int64) error {
	var err error
	switch {
	case q == qNone || q > numOwn:
		err = m.used.spend(q, n)
	default:
		if q == qTypeRank {
			err = m.used.spend(qDims, n)
		}
		if m.own[q] += n; err == nil {
			err = q.allow(m.own[q])
		}
	}
	return upTo(err, at)
}

// upTo adds the place of the last thing that was counted to an error.
func upTo(err error, at int64) error {
	if err != nil {
		err = fmt.Errorf("%w up to byte %d", err, at)
	}
	return err
}

// bytes copies a field of size bytes at off if it is a message to descend into, or cuts it out if it is a large payload. It
// reports whether it did either.
func (m *messageSkim) bytes(start int64, num protowire.Number, spec *fieldSpec, off, size int64) (bool, error) {
	switch {
	case spec.child.holdsTensors():
		if err := m.spend(qBytes, off-start, off); err != nil {
			return true, err
		}
		return true, m.nested(num, spec.child, off, size)
	case m.kind == kTensor && payload(num) != "":
		if size < largePayload && m.survey && spec.wire.packed() {
			return false, m.packed(spec, off, size)
		}
		if width := spec.wire.width(); width > 0 && size%width != 0 {
			return true, m.bad(off, fmt.Sprintf("numbers of %d bytes in %s of %d bytes", width, spec.name, size))
		}
		if size < largePayload {
			return false, nil
		}
		if err := m.spend(qBytes, maxHole, off); err != nil {
			return true, err
		}
		if err := m.tensor.cut(m.skimmer, num, off, size); err != nil {
			return true, err
		}
		if !m.survey {
			m.out = appendHole(m.out, len(m.skimmer.out.holes)-1)
		}
		return true, nil
	case spec.child == 0 && size > maxName && labels[spec.name]:
		return true, hint.With(fmt.Errorf("%s of %d bytes at byte %d, more than %d", spec.name, size, start, maxName), "shorten the names in the file")
	case spec.count == qExternal && size > maxEntry:
		return true, hint.With(fmt.Errorf("an external_data entry of %d bytes at byte %d, more than %d", size, start, maxEntry), damaged)
	case !m.survey:
	case spec.wire.packed():
		return false, m.packed(spec, off, size)
	case spec.child != 0:
		_, err := m.message(nil, spec.child, off, off+size, m.depth+1)
		return false, err
	}
	return false, nil
}

// packed counts the numbers in a packed field and refuses a number that is cut off or longer than 10 bytes.
func (m *messageSkim) packed(spec *fieldSpec, off, size int64) error {
	if width := spec.wire.width(); width > 0 {
		if size%width != 0 {
			return m.bad(off, fmt.Sprintf("numbers of %d bytes in %s of %d bytes", width, spec.name, size))
		}
		return m.spend(spec.count, size/width, off)
	}
	if err := spec.count.allow(size / 10); err != nil {
		return upTo(err, off+size)
	}
	run := 0 // bytes of a number that is not complete
	for end := off + size; off < end; {
		b, err := m.at(off, min(end-off, 4<<10))
		if err != nil {
			return err
		}
		n := int64(0)
		for _, c := range b {
			if run++; c < 0x80 {
				n, run = n+1, 0
			} else if run == 10 {
				return m.bad(off, "a broken number in "+spec.name)
			}
		}
		off += int64(len(b))
		if err := m.spend(spec.count, n, off); err != nil {
			return err
		}
	}
	if run > 0 {
		return m.bad(off, "a broken number in "+spec.name)
	}
	return nil
}

// nested copies a message within this one.
func (m *messageSkim) nested(num protowire.Number, child kind, off, size int64) (err error) {
	if m.survey {
		_, err = m.message(nil, child, off, off+size, m.depth+1)
		return err
	}
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
	n := end - start
	if m.kind.holdsTensors() { // others are within a field that is counted
		if err := m.spend(qBytes, n, end); err != nil {
			return err
		}
	}
	if m.kind == kTensor {
		var rec []byte
		if located(num) { // allow and bytes have limited its length
			var err error
			if rec, err = m.at(start, n); err != nil {
				return err
			}
		}
		if stays, err := m.tensor.record(num, typ, rec); err != nil {
			return fmt.Errorf("%w at byte %d", err, start)
		} else if !stays {
			if m.tensor.at < 0 {
				m.tensor.at = len(m.out)
			}
			return nil
		}
	}
	if m.survey {
		return nil
	}
	if n <= int64(cap(m.buf)) {
		rec, err := m.at(start, n)
		m.out = append(m.out, rec...)
		return err
	}
	at := len(m.out)
	m.out = slices.Grow(m.out, int(n))[:at+int(n)]
	_, err := m.file.readAt(m.out[at:], start)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// finish adds a hole in the place of the fields that a tensor set aside, and refuses a model without a graph.
func (m *messageSkim) finish() error {
	if m.kind == kModel && m.seen&(1<<7) == 0 {
		return errNoGraph
	}
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

// maxHole is the largest size of a hole in bytes: its tag and its number.
const maxHole = 3 + 5

func appendHole(out []byte, number int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(out, holeField, protowire.VarintType), uint64(number))
}
