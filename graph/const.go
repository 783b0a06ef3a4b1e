package graph

import (
	"encoding/binary"
	"fmt"
	"math"

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
	hole    int    // number in the model's holes; meaningful when span is set
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

// holds reports whether a value field of TensorProto may hold elements of a type, as the comments of onnx.proto lay down.
func holds(field protowire.Number, d DType) bool {
	switch field {
	case 4:
		return d == Float32 || d == Complex64
	case 5:
		return d == Int32 || d != String && d.Bits() <= 16
	case 7:
		return d == Int64
	case 10:
		return d == Float64 || d == Complex128
	case 11:
		return d == Uint32 || d == Uint64
	}
	return d != String
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

// decodeTensor reads the skeleton of a TensorProto.
func (d *decoder) decodeTensor(body []byte) (*Const, error) {
	pb := &onnxpb.TensorProto{}
	if err := unmarshal.Unmarshal(body, pb); err != nil {
		return nil, err
	}
	c := &Const{DType: DType(pb.GetDataType()), Dims: pb.GetDims(), raw: body}
	if _, known := dtypes[c.DType]; !known {
		return nil, fmt.Errorf("tensor %q has element type %d, which ONNX does not define", pb.GetName(), pb.GetDataType())
	}
	if _, err := numElements(c.Dims); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", pb.GetName(), err)
	}
	h, i := d.holeOf(pb.ProtoReflect().GetUnknown())
	if h != nil && h.field == 14 { // set aside, not cut out
		h = nil
	}
	if c.DType == String {
		if pb.RawData != nil || h != nil {
			return nil, fmt.Errorf("tensor %q: strings cannot lie in raw_data", pb.GetName())
		}
		if n, _ := numElements(c.Dims); n != int64(len(pb.StringData)) {
			return nil, fmt.Errorf("tensor %q: shape %v has %d elements, the file has %d strings", pb.GetName(), c.Dims, n, len(pb.StringData))
		}
		c.strings = pb.StringData
		return c, nil
	}
	want, err := ByteSize(c.DType, c.Dims)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", pb.GetName(), err)
	}
	if h != nil {
		if !holds(h.field, c.DType) {
			return nil, fmt.Errorf("tensor %q: %s in a tensor of %v", pb.GetName(), payloadFields[h.field], c.DType)
		}
		s := h.span
		c.span, c.field, c.ext, c.hole = &s, h.field, h.location, i
		if c.dense() && s.Length != want {
			return nil, fmt.Errorf("tensor %q: shape %v of %v takes %d bytes, the file has %d", pb.GetName(), c.Dims, c.DType, want, s.Length)
		}
		return c, nil
	}
	t, err := smallTensor(pb, c.DType, c.Dims)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", pb.GetName(), err)
	}
	if int64(len(t.Data)) != want {
		return nil, fmt.Errorf("tensor %q: shape %v of %v takes %d bytes, the file has %d", pb.GetName(), c.Dims, c.DType, want, len(t.Data))
	}
	c.small = t
	return c, nil
}

// holeOf finds the hole number among a tensor's unknown fields.
func (d *decoder) holeOf(unknown []byte) (*hole, int) {
	for len(unknown) > 0 {
		num, typ, n := protowire.ConsumeTag(unknown)
		m := protowire.ConsumeFieldValue(num, typ, unknown[n:])
		if num == holeField {
			i, _ := protowire.ConsumeVarint(unknown[n:])
			return &d.model.holes[i], int(i)
		}
		unknown = unknown[n+m:]
	}
	return nil, 0
}

// smallTensor gathers the value field of a TensorProto into dense bytes. Field usage by element type follows the
// comments of onnx.proto: 16-bit and smaller types lie in int32_data, one element (or one byte of 4-bit pairs) each.
func smallTensor(pb *onnxpb.TensorProto, d DType, dims []int64) (*Tensor, error) {
	t := &Tensor{DType: d, Dims: dims, Data: []byte{}}
	switch {
	case pb.RawData != nil:
		t.Data = pb.RawData
	case len(pb.FloatData) > 0:
		if d != Float32 && d != Complex64 {
			return nil, fmt.Errorf("float_data in a tensor of %v", d)
		}
		for _, x := range pb.FloatData {
			t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(x))
		}
	case len(pb.DoubleData) > 0:
		if d != Float64 && d != Complex128 {
			return nil, fmt.Errorf("double_data in a tensor of %v", d)
		}
		for _, x := range pb.DoubleData {
			t.Data = binary.LittleEndian.AppendUint64(t.Data, math.Float64bits(x))
		}
	case len(pb.Int64Data) > 0:
		if d != Int64 {
			return nil, fmt.Errorf("int64_data in a tensor of %v", d)
		}
		for _, x := range pb.Int64Data {
			t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(x))
		}
	case len(pb.Uint64Data) > 0:
		return t, appendUints(t, pb.Uint64Data)
	case len(pb.Int32Data) > 0:
		return t, appendInt32s(t, pb.Int32Data)
	}
	return t, nil
}

func appendUints(t *Tensor, xs []uint64) error {
	for _, x := range xs {
		switch t.DType {
		case Uint64:
			t.Data = binary.LittleEndian.AppendUint64(t.Data, x)
		case Uint32:
			t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(x))
		default:
			return fmt.Errorf("uint64_data in a tensor of %v", t.DType)
		}
	}
	return nil
}

func appendInt32s(t *Tensor, xs []int32) error {
	for _, x := range xs {
		switch {
		case t.DType == Int32:
			t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(x))
		case t.DType.Bits() == 16:
			t.Data = binary.LittleEndian.AppendUint16(t.Data, uint16(x))
		case t.DType.Bits() > 0 && t.DType.Bits() <= 8:
			t.Data = append(t.Data, byte(x))
		default:
			return fmt.Errorf("int32_data in a tensor of %v", t.DType)
		}
	}
	return nil
}

// unpackTyped decodes a large packed varint field that was cut out of the skeleton.
func unpackTyped(d DType, dims []int64, field protowire.Number, data []byte) (*Tensor, error) {
	t := &Tensor{DType: d, Dims: dims}
	for len(data) > 0 {
		x, n := protowire.ConsumeVarint(data)
		if n < 0 {
			return nil, fmt.Errorf("broken %s", payloadFields[field])
		}
		data = data[n:]
		var err error
		switch field {
		case 5:
			err = appendInt32s(t, []int32{int32(x)})
		case 7:
			if d != Int64 {
				err = fmt.Errorf("int64_data in a tensor of %v", d)
			}
			t.Data = binary.LittleEndian.AppendUint64(t.Data, x)
		case 11:
			err = appendUints(t, []uint64{x})
		default:
			err = fmt.Errorf("%s in a tensor of %v", payloadFields[field], d)
		}
		if err != nil {
			return nil, err
		}
	}
	if want, err := ByteSize(d, dims); err != nil || want != int64(len(t.Data)) {
		return nil, fmt.Errorf("shape %v of %v takes %d bytes, the file has %d", dims, d, want, len(t.Data))
	}
	return t, nil
}

// encodeTensor returns the TensorProto of a constant under a name: as read where it comes from a file, so that its large
// payload stays there.
func encodeTensor(name string, c *Const) []byte {
	if c.raw != nil {
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
