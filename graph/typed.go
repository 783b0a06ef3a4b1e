package graph

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// holds reports whether a value field of TensorProto may hold elements of a type, as the comments in onnx.proto define.
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

// unpackTyped decodes a packed varint field that may hold the type. Types of 16 bits or fewer are stored in int32_data, one
// element (or one byte of 4-bit pairs) per number, as the comments in onnx.proto define.
func unpackTyped(d DType, dims []int64, field protowire.Number, data []byte) (*Tensor, error) {
	t := &Tensor{DType: d, Dims: dims}
	width := max(1, d.Bits()/8)
	for len(data) > 0 {
		x, n := protowire.ConsumeVarint(data)
		if n < 0 {
			return nil, fmt.Errorf("broken %s", payload(field))
		}
		data = data[n:]
		var le [8]byte
		binary.LittleEndian.PutUint64(le[:], x)
		t.Data = append(t.Data, le[:width]...)
	}
	if want, err := ByteSize(d, dims); err != nil || want != int64(len(t.Data)) {
		return nil, fmt.Errorf("shape %v of %v takes %d bytes, the file has %d", dims, d, want, len(t.Data))
	}
	return t, nil
}
