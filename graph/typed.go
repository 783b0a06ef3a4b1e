package graph

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/internal/onnxpb"
)

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
			return nil, fmt.Errorf("broken %s", payload(field))
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
			err = fmt.Errorf("%s in a tensor of %v", payload(field), d)
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
