package graph

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

// Const is a tensor that belongs to the file. Large ones stay on disk: their bytes are read when asked for, whole or a
// range of rows.
type Const struct {
	DType   DType
	Dims    []int64
	small   *Tensor  // in memory
	strings [][]byte // of a string tensor
	span    *Span    // on disk, packed little-endian
	field   protowire.Number
	ext     string // location as written in the file, when external
	raw     []byte // TensorProto as read, large payload cut out; nil for a new one
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

// Span tells where the bytes lie on disk. ok is false for a small tensor, which is held in memory, and for one whose
// bytes on disk are not its dense form (packed varints of int32_data and int64_data).
func (c *Const) Span() (s Span, ok bool) {
	if c.span == nil || !c.dense() {
		return Span{}, false
	}
	return *c.span, true
}

// External returns the location of the external data file as the model writes it, "" when the bytes are in the model file.
func (c *Const) External() string { return c.ext }

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

// Same reports whether both constants are the same bytes in the same file, or equal small tensors.
func (c *Const) Same(o *Const) bool {
	if c == o {
		return true
	}
	if c == nil || o == nil || c.DType != o.DType {
		return false
	}
	if c.span != nil && o.span != nil {
		return c.span.File.Real == o.span.File.Real && c.span.Offset == o.span.Offset && c.span.Length == o.span.Length
	}
	return c.small != nil && o.small != nil && string(c.small.Data) == string(o.small.Data)
}

// Load reads the whole tensor into memory. String tensors are refused.
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

// Rows reads rows [from, from+n) along the first axis as a tensor [n, dims[1:]...], from disk only those bytes.
func (c *Const) Rows(from, n int64) (*Tensor, error) {
	if len(c.Dims) == 0 || from < 0 || n < 0 || from > c.Dims[0]-n {
		return nil, fmt.Errorf("rows %d to %d of shape %v", from, from+n, c.Dims)
	}
	dims := append([]int64{n}, c.Dims[1:]...)
	size, err := ByteSize(c.DType, c.Dims[1:])
	if err != nil || c.DType.Bits() < 8 {
		return nil, fmt.Errorf("rows of %v%v cannot be addressed", c.DType, c.Dims)
	}
	if _, ok := c.Span(); !ok {
		t, err := c.Load()
		if err != nil {
			return nil, err
		}
		return &Tensor{DType: c.DType, Dims: dims, Data: t.Data[from*size : (from+n)*size]}, nil
	}
	data := make([]byte, n*size)
	if _, err := c.span.ReadAt(data, from*size); err != nil {
		return nil, fmt.Errorf("read %v: %w", *c.span, err)
	}
	return &Tensor{DType: c.DType, Dims: dims, Data: data}, nil
}

// decodeTensor reads the skeleton of a TensorProto and returns its name too.
func (d *decoder) decodeTensor(body []byte) (*Const, string, error) {
	pb := &onnxpb.TensorProto{}
	if err := unmarshal.Unmarshal(body, pb); err != nil {
		return nil, "", err
	}
	c, err := d.constant(pb, body)
	if err != nil {
		return nil, "", fmt.Errorf("tensor %q: %w", pb.GetName(), err)
	}
	return c, pb.GetName(), nil
}

func (d *decoder) constant(pb *onnxpb.TensorProto, body []byte) (*Const, error) {
	c := &Const{DType: DType(pb.GetDataType()), Dims: pb.GetDims(), raw: body}
	if _, known := dtypes[c.DType]; !known {
		return nil, fmt.Errorf("element type %d, which ONNX does not define", pb.GetDataType())
	}
	if _, err := numElements(c.Dims); err != nil {
		return nil, err
	}
	h := d.holeOf(pb.ProtoReflect().GetUnknown())
	if c.DType == String {
		if pb.RawData != nil || h != nil {
			return nil, errors.New("strings cannot lie in raw_data")
		}
		if n, _ := numElements(c.Dims); n != int64(len(pb.StringData)) {
			return nil, fmt.Errorf("shape %v has %d elements, the file has %d strings", c.Dims, n, len(pb.StringData))
		}
		c.strings = pb.StringData
		return c, nil
	}
	want, err := ByteSize(c.DType, c.Dims)
	if err != nil {
		return nil, err
	}
	if h != nil {
		if !holds(h.field, c.DType) {
			return nil, fmt.Errorf("%s in a tensor of %v", payload(h.field), c.DType)
		}
		s := h.span
		c.span, c.field, c.ext = &s, h.field, h.location
		if c.dense() && s.Length != want {
			return nil, fmt.Errorf("shape %v of %v takes %d bytes, the file has %d", c.Dims, c.DType, want, s.Length)
		}
		return c, nil
	}
	t, err := smallTensor(pb, c.DType, c.Dims)
	if err != nil {
		return nil, err
	}
	if int64(len(t.Data)) != want {
		return nil, fmt.Errorf("shape %v of %v takes %d bytes, the file has %d", c.Dims, c.DType, want, len(t.Data))
	}
	c.small = t
	return c, nil
}

// holeOf finds the hole among a tensor's unknown fields, nil if it has none.
func (d *decoder) holeOf(unknown []byte) *hole {
	for len(unknown) > 0 {
		num, typ, n := protowire.ConsumeTag(unknown)
		m := protowire.ConsumeFieldValue(num, typ, unknown[n:])
		if num == holeField {
			i, _ := protowire.ConsumeVarint(unknown[n:])
			if h := &d.model.holes[i]; h.field != 14 { // a data_location that was set aside holds no payload
				return h
			}
		}
		unknown = unknown[n+m:]
	}
	return nil
}

// encodeTensor returns the TensorProto of a constant under a name: as read where it comes from a file, so that its large
// payload stays there.
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
