package graph

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensorSkim gathers what must be judged over a whole TensorProto: exactly one value field, and external data.
type tensorSkim struct {
	dims     []int64
	dtype    DType
	values   string // the value field met, "" while none
	cutField protowire.Number
	entries  [][]byte // external_data records
	location []byte   // data_location record
	isExt    bool
	typeSeen bool
	at       int // where in the skeleton the records set aside stood, -1 while there are none
}

// record notes one small field of a tensor; it reports whether the field stays in the skeleton.
func (t *tensorSkim) record(num protowire.Number, typ protowire.Type, rec []byte) (bool, error) {
	body := rec[varintLen(rec):]
	switch {
	case num == 1: // dims, packed or not
		if typ == protowire.BytesType {
			body = rec[headerLen(rec):]
		}
		for len(body) > 0 {
			v, n := protowire.ConsumeVarint(body)
			if n < 0 {
				return false, errors.New("a broken dimension")
			}
			t.dims = append(t.dims, int64(v))
			body = body[n:]
			if len(t.dims) > maxRank {
				return false, fmt.Errorf("a tensor of more than %d dimensions", maxRank)
			}
		}
	case num == 2:
		if t.typeSeen {
			return false, errors.New("field data_type stands twice")
		}
		t.typeSeen = true
		v, _ := protowire.ConsumeVarint(body)
		t.dtype = DType(v)
	case num == 14:
		if t.location != nil {
			return false, errors.New("field data_location stands twice")
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
	s.out.holes = append(s.out.holes, hole{span: Span{s.file, off, size}, field: num})
	return nil
}

// external turns external data into a hole once the tensor is whole. Without external data it returns nil; records that
// were set aside for nothing (a data_location of 0, say) are kept as they stood.
func (t *tensorSkim) external(s *skimmer) (*hole, error) {
	var original []byte
	for _, e := range t.entries {
		original = append(original, e...)
	}
	original = append(original, t.location...)
	if !t.isExt {
		if len(t.entries) > 0 {
			return nil, errors.New("a tensor has external_data but its data_location says otherwise")
		}
		if len(original) == 0 {
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
	span, err := e.span(s.ext)
	if err != nil {
		return nil, err
	}
	return &hole{span: span, field: 13, original: original, location: e.location}, nil
}

// headerLen returns how many bytes the tag and the length of a length-delimited record take.
func headerLen(rec []byte) int {
	_, n := protowire.ConsumeVarint(rec)
	_, m := protowire.ConsumeVarint(rec[n:])
	return n + m
}
