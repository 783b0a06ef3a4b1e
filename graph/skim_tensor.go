package graph

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensorSkim collects what can be checked only for a whole TensorProto: that it has exactly one value field, and its
// external data.
type tensorSkim struct {
	dims     []int64
	dtype    DType
	values   string // the value field seen, "" if none
	cutField protowire.Number
	entries  [][]byte // external_data records
	location []byte   // data_location record
	isExt    bool
	typeSeen bool
	at       int // offset in the skeleton of the first record set aside, -1 if none
}

// located reports whether a field of TensorProto is needed to locate the tensor's bytes.
func located(num protowire.Number) bool { return num == 1 || num == 2 || num == 13 || num == 14 }

// record processes one small field of a tensor: its bytes, if it is needed to locate the tensor's. It reports whether the
// field stays in the skeleton.
func (t *tensorSkim) record(num protowire.Number, typ protowire.Type, rec []byte) (bool, error) {
	body := rec
	if rec != nil {
		body = rec[varintLen(rec):]
	}
	switch {
	case num == 1: // dims, packed or not
		if typ == protowire.BytesType {
			body = rec[headerLen(rec):]
		}
		for len(body) > 0 {
			v, n := protowire.ConsumeVarint(body)
			if n < 0 {
				return false, errors.New("broken dimension")
			}
			t.dims = append(t.dims, int64(v))
			body = body[n:]
		}
	case num == 2:
		if t.typeSeen {
			return false, errors.New("field data_type appears twice")
		}
		t.typeSeen = true
		v, _ := protowire.ConsumeVarint(body)
		t.dtype = DType(v)
	case num == 14:
		if t.location != nil {
			return false, errors.New("field data_location appears twice")
		}
		v, _ := protowire.ConsumeVarint(body)
		t.location = bytes.Clone(rec)
		t.isExt = v == 1
		return false, nil
	case num == 13:
		t.entries = append(t.entries, bytes.Clone(rec))
		return false, nil
	case payload(num) != "" || num == 6:
		name := payload(num)
		if num == 6 {
			name = "string_data"
		}
		if t.values != "" && t.values != name {
			return false, fmt.Errorf("two value fields in one tensor, %s and %s", t.values, name)
		}
		if t.cutField != 0 {
			return false, fmt.Errorf("value field %s in several parts", name)
		}
		t.values = name
	}
	return true, nil
}

func varintLen(b []byte) int {
	_, n := protowire.ConsumeVarint(b)
	return n
}

// cut turns a large payload into a hole.
func (t *tensorSkim) cut(s *skimmer, num protowire.Number, off, size int64) error {
	name := payload(num)
	switch {
	case t.values != "" && t.values != name:
		return fmt.Errorf("two value fields in one tensor, %s and %s, at byte %d", t.values, name, off)
	case t.values != "":
		return fmt.Errorf("value field %s in several parts at byte %d", name, off)
	}
	t.values, t.cutField = name, num
	if s.survey {
		return nil
	}
	s.out.holes = append(s.out.holes, hole{span: Span{s.file, off, size}, field: num})
	return nil
}

// external turns external data into a hole once the whole tensor is read. Without external data, a lone data_location of 0
// is kept as read, as a hole without a payload. If no records were set aside, it returns nil.
func (t *tensorSkim) external(s *skimmer) (*hole, error) {
	var original []byte
	for _, e := range t.entries {
		original = append(original, e...)
	}
	original = append(original, t.location...)
	if !t.isExt {
		if len(t.entries) > 0 {
			return nil, errors.New("a tensor has external_data but its data_location is not EXTERNAL")
		}
		if len(original) == 0 || s.survey {
			return nil, nil
		}
		return &hole{field: 14, original: original}, nil
	}
	if t.values != "" {
		return nil, fmt.Errorf("a tensor has both external data and %s", t.values)
	}
	e, err := parseExternal(t.entries)
	if err != nil {
		return nil, err
	}
	want, err := ByteSize(t.dtype, t.dims)
	if err != nil {
		return nil, fmt.Errorf("external tensor: %w", err)
	}
	if e.length < 0 {
		e.length = want
	}
	if e.length != want {
		return nil, fmt.Errorf("external data in %q: length %d, but the shape %v of %v takes %d bytes", e.location, e.length, t.dims, t.dtype, want)
	}
	if s.survey {
		return nil, nil
	}
	span, err := e.span(s.ext)
	if err != nil {
		return nil, err
	}
	return &hole{span: span, field: 13, original: original, location: e.location}, nil
}

// headerLen returns the size in bytes of the tag and the length of a length-delimited record.
func headerLen(rec []byte) int {
	_, n := protowire.ConsumeVarint(rec)
	_, m := protowire.ConsumeVarint(rec[n:])
	return n + m
}
