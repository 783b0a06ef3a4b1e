package graph

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Const is a tensor that belongs to the file. Large tensors stay on disk. Their bytes are read on demand, whole or as a
// range of rows.
type Const struct {
	DType   DType
	Dims    []int64
	small   *Tensor  // in memory
	strings [][]byte // the elements of a string tensor
	span    *Span    // on disk, packed little-endian
	field   protowire.Number
	ext     string // location as written in the file, for external data
	raw     []byte // TensorProto as read, without a large payload; nil for a new constant
}

func constOf(t *Tensor) *Const { return &Const{DType: t.DType, Dims: t.Dims, small: t} }

// Len returns the number of elements.
func (c *Const) Len() int64 {
	n, _ := numElements(c.Dims)
	return n
}

// ByteSize returns the dense size of the tensor in bytes, 0 for strings.
func (c *Const) ByteSize() int64 {
	n, err := ByteSize(c.DType, c.Dims)
	if err != nil {
		return 0
	}
	return n
}

// Span returns the place of the bytes on disk. ok is false for a small tensor, which is held in memory, and for a tensor
// whose bytes on disk are not its dense form (packed varints of int32_data and int64_data).
func (c *Const) Span() (s Span, ok bool) {
	if c.span == nil || !c.dense() {
		return Span{}, false
	}
	return *c.span, true
}

// dense reports whether the bytes on disk are the tensor's raw_data: little-endian elements without gaps.
func (c *Const) dense() bool {
	switch c.field {
	case 9, 13:
		return true
	case 4:
		return c.DType == Float32 || c.DType == Complex64
	case 10:
		return c.DType == Float64 || c.DType == Complex128
	}
	return false
}

// Load reads the whole tensor into memory. The bytes of a small tensor belong to the model: do not write to them. String
// tensors are refused.
func (c *Const) Load() (*Tensor, error) {
	if c.small != nil {
		return c.small, nil
	}
	if c.span == nil {
		return nil, fmt.Errorf("a tensor of %v has no readable data", c.DType)
	}
	data := make([]byte, c.span.Length)
	if _, err := c.span.ReadAt(data, 0); err != nil {
		return nil, fmt.Errorf("read %v: %w", *c.span, err)
	}
	if c.dense() {
		return &Tensor{DType: c.DType, Dims: c.Dims, Data: data}, nil
	}
	return unpackTyped(c.DType, c.Dims, c.field, data)
}

// ReadAt fills p with bytes of the tensor, starting at byte off of its dense form. It reads only those bytes from disk.
func (c *Const) ReadAt(p []byte, off int64) (int, error) {
	if s, ok := c.Span(); ok {
		n, err := s.ReadAt(p, off)
		if err != nil {
			err = fmt.Errorf("read %v: %w", s, err)
		}
		return n, err
	}
	t, err := c.Load()
	if err != nil {
		return 0, err
	}
	return bytes.NewReader(t.Data).ReadAt(p, off)
}

// Rows reads rows [from, from+n) along the first axis as a tensor [n, dims[1:]...]. It reads only those bytes from disk.
func (c *Const) Rows(from, n int64) (*Tensor, error) {
	size, err := c.rowSize(from, n)
	if err != nil {
		return nil, err
	}
	t := &Tensor{DType: c.DType, Dims: append([]int64{n}, c.Dims[1:]...), Data: make([]byte, n*size)}
	_, err = c.ReadAt(t.Data, from*size)
	return t, err
}

// rowSize checks a range of rows and returns the size of one row in bytes.
func (c *Const) rowSize(from, n int64) (int64, error) {
	if len(c.Dims) == 0 || from < 0 || n < 0 || from > c.Dims[0]-n {
		return 0, fmt.Errorf("rows %d to %d of shape %v", from, from+n, c.Dims)
	}
	size, err := ByteSize(c.DType, c.Dims[1:])
	if err != nil || c.DType.Bits() < 8 {
		return 0, fmt.Errorf("rows of %v%v cannot be addressed", c.DType, c.Dims)
	}
	return size, nil
}

// part returns a range of rows as a constant. For a tensor on disk it is the span of those bytes, without a record yet.
func (c *Const) part(from, n int64) (*Const, error) {
	s, large := c.Span()
	if !large {
		t, err := c.Rows(from, n)
		if err != nil {
			return nil, err
		}
		return constOf(t), nil
	}
	size, err := c.rowSize(from, n)
	if err != nil {
		return nil, err
	}
	dims := append([]int64{n}, c.Dims[1:]...)
	return &Const{DType: c.DType, Dims: dims, span: &Span{s.File, s.Offset + from*size, n * size}, field: 9}, nil
}

// record writes the TensorProto of a range of bytes, with a hole in place of the payload.
func (c *Const) record(hole int) {
	head := tensorProto("", &Tensor{DType: c.DType, Dims: c.Dims})
	head.RawData = nil
	c.raw, _ = marshal.Marshal(head) // a message of plain fields cannot fail
	c.raw = protowire.AppendVarint(append(c.raw, holeTag...), uint64(hole))
}

// decodeTensor reads the skeleton of a TensorProto. It also returns the tensor's name.
func (d *decoder) decodeTensor(body []byte) (*Const, string, error) {
	c := d.consts.new()
	c.raw = body
	var name string
	values, h, err := d.tensorFields(c, &name)
	if err == nil {
		err = d.fill(c, values, h)
	}
	if err != nil {
		return nil, "", fmt.Errorf("tensor %q: %w", name, err)
	}
	return c, name, nil
}

// tensorFields reads the fields of c.raw. It stores the type, the shape, the strings and the number of the value field in
// c, and returns either the bytes of that field in packed form or the hole in its place.
func (d *decoder) tensorFields(c *Const, name *string) (values []byte, h *hole, err error) {
	for b := c.raw; len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[n:])
		if n < 0 || m < 0 {
			return nil, nil, errors.New("broken tensor")
		}
		v := b[n : n+m]
		if typ == protowire.BytesType {
			v, _ = protowire.ConsumeBytes(v)
		}
		b = b[n+m:]
		switch {
		case num == 1 && (typ == protowire.VarintType || typ == protowire.BytesType):
			for len(v) > 0 {
				dim, n := protowire.ConsumeVarint(v)
				if n < 0 {
					return nil, nil, errors.New("broken dimension")
				}
				c.Dims, v = append(c.Dims, int64(dim)), v[n:]
			}
		case num == 2 && typ == protowire.VarintType:
			t, _ := protowire.ConsumeVarint(v)
			c.DType = DType(t)
		case num == 6 && typ == protowire.BytesType:
			c.strings = append(c.strings, v)
		case num == 8 && typ == protowire.BytesType:
			*name = text(v)
		case num == holeField:
			i, _ := protowire.ConsumeVarint(v)
			if at := &d.model.holes[i]; at.field != 14 { // a hole for a lone data_location has no payload
				h = at
			}
		case payload(num) != "" && (typ == protowire.BytesType || typ == elementType(num)):
			if c.field = num; values == nil {
				values = v[:len(v):len(v)] // not copied here; append makes a copy
			} else {
				values = append(values, v...)
			}
		}
	}
	return values, h, nil
}

// elementType returns the wire type of a single element of a value field.
func elementType(field protowire.Number) protowire.Type {
	switch field {
	case 4:
		return protowire.Fixed32Type
	case 5, 7, 11:
		return protowire.VarintType
	case 10:
		return protowire.Fixed64Type
	}
	return protowire.BytesType
}

// fill sets a constant's elements, in memory or on disk, once its type and shape are known.
func (d *decoder) fill(c *Const, values []byte, h *hole) error {
	if !c.DType.known() {
		return fmt.Errorf("element type %d, which ONNX does not define", int32(c.DType))
	}
	n, err := numElements(c.Dims)
	if err != nil {
		return err
	}
	if c.DType == String {
		if c.field == 9 || h != nil {
			return errors.New("strings cannot be stored in raw_data")
		}
		if n != int64(len(c.strings)) {
			return fmt.Errorf("shape %v has %d elements, the file has %d strings", c.Dims, n, len(c.strings))
		}
		return nil
	}
	want, err := ByteSize(c.DType, c.Dims)
	if err != nil {
		return err
	}
	if h != nil {
		c.span, c.field, c.ext = &h.span, h.field, h.location
	}
	if (h != nil || len(values) > 0) && !holds(c.field, c.DType) {
		return fmt.Errorf("%s in a tensor of %v", payload(c.field), c.DType)
	}
	have := int64(len(values))
	switch {
	case h != nil && !c.dense(): // packed varints of 1 to 10 bytes: their count is known only after reading them
		if n > h.span.Length || n < h.span.Length/10 {
			return fmt.Errorf("shape %v has %d elements, which do not fit the %d bytes of %s", c.Dims, n, h.span.Length, payload(c.field))
		}
		return nil
	case h != nil:
		have = h.span.Length
	case len(values) > 0 && !c.dense():
		c.small, err = unpackTyped(c.DType, c.Dims, c.field, values)
		return err
	default:
		c.small = d.tensors.new()
		*c.small = Tensor{DType: c.DType, Dims: c.Dims, Data: values}
	}
	if have != want {
		return fmt.Errorf("shape %v of %v takes %d bytes, the file has %d", c.Dims, c.DType, want, have)
	}
	return nil
}

// encodeTensor returns the TensorProto of a constant under the given name. A constant from a file keeps the record as read,
// so that its large payload stays in the file.
func encodeTensor(name string, c *Const) []byte {
	switch {
	case c.raw != nil && stringField(c.raw, 8) == name:
		return c.raw
	case c.raw != nil:
		return rename(c.raw, 8, name)
	}
	b, _ := marshal.Marshal(tensorProto(name, c.small)) // a message of plain fields cannot fail
	return b
}

// tensorProto makes the message of a new tensor.
func tensorProto(name string, t *Tensor) *onnxpb.TensorProto {
	dt := int32(t.DType)
	pb := &onnxpb.TensorProto{Dims: t.Dims, DataType: &dt, RawData: t.Data}
	if pb.RawData == nil {
		pb.RawData = []byte{}
	}
	if name != "" {
		pb.Name = &name
	}
	return pb
}
