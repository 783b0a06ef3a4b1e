package main

import "google.golang.org/protobuf/encoding/protowire"

// msg is a protobuf message under construction; each method appends one field and returns the longer message.
// Field numbers are those of onnx.proto.
type msg []byte

func (m msg) num(field protowire.Number, v int64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m msg) str(field protowire.Number, s string) msg {
	return protowire.AppendString(protowire.AppendTag(m, field, protowire.BytesType), s)
}

func (m msg) sub(field protowire.Number, s []byte) msg {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), s)
}

func (m msg) fixed32(field protowire.Number, bits uint32) msg {
	return protowire.AppendFixed32(protowire.AppendTag(m, field, protowire.Fixed32Type), bits)
}

// open appends the tag and length of a field of n bytes; the caller appends the bytes themselves.
func (m msg) open(field protowire.Number, n int64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.BytesType), uint64(n))
}

// Numbers of TensorProto.DataType.
const (
	float32Type = 1
	int32Type   = 6
	int64Type   = 7
	boolType    = 9
)

// tensorHead returns a TensorProto without its data: dims, data_type and name.
func tensorHead(dtype int64, name string, dims []int64) msg {
	var m msg
	for _, d := range dims {
		m = m.num(1, d)
	}
	m = m.num(2, dtype)
	if name != "" {
		m = m.str(8, name)
	}
	return m
}

// valueInfo returns a ValueInfoProto; a dimension is an int or the name of a symbol.
func valueInfo(name string, dtype int64, dims ...any) msg {
	var shape msg
	for _, d := range dims {
		switch d := d.(type) {
		case int64:
			shape = shape.sub(1, msg(nil).num(1, d))
		case string:
			shape = shape.sub(1, msg(nil).str(2, d))
		}
	}
	tensor := msg(nil).num(1, dtype).sub(2, shape)
	return msg(nil).str(1, name).sub(2, msg(nil).sub(1, tensor))
}
