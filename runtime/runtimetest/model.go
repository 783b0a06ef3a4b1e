package runtimetest

import (
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// The suite writes its models by hand, field by field, so that a host is tested with bytes that none of the project's
// encoders has produced. Field numbers are those of onnx.proto.

// msg is a protobuf message under construction.
type msg []byte

func (m msg) num(field protowire.Number, v int64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), uint64(v))
}

func (m msg) bytes(field protowire.Number, v []byte) msg {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

func (m msg) text(field protowire.Number, v string) msg { return m.bytes(field, []byte(v)) }

// node returns a NodeProto.
func node(op string, in, out []string, attrs ...msg) msg {
	var n msg
	for _, s := range in {
		n = n.text(1, s)
	}
	for _, s := range out {
		n = n.text(2, s)
	}
	n = n.text(4, op)
	for _, a := range attrs {
		n = n.bytes(5, a)
	}
	return n
}

// attr returns an AttributeProto that holds an integer.
func attr(name string, v int64) msg { return msg{}.text(1, name).num(3, v).num(20, 2) }

// weight returns a TensorProto that holds t, or, when file is set, one that refers to t's data in that file.
func weight(name string, t *graph.Tensor, file string) msg {
	var w msg
	for _, d := range t.Dims {
		w = w.num(1, d)
	}
	w = w.num(2, int64(t.DType)).text(8, name)
	if file == "" {
		return w.bytes(9, t.Data)
	}
	for _, kv := range [][2]string{{"location", file}, {"offset", "0"}, {"length", strconv.Itoa(len(t.Data))}} {
		w = w.bytes(13, msg{}.text(1, kv[0]).text(2, kv[1]))
	}
	return w.num(14, 1)
}

// valueInfo returns a ValueInfoProto. Nil dimensions declare no shape, empty ones a scalar, -1 any size.
func valueInfo(p runtime.Port) msg {
	t := msg{}.num(1, int64(p.DType))
	if p.Dims != nil {
		var shape msg
		for _, d := range p.Dims {
			var dim msg
			if d >= 0 {
				dim = dim.num(1, d)
			}
			shape = shape.bytes(1, dim)
		}
		t = t.bytes(2, shape)
	}
	return msg{}.text(1, p.Name).bytes(2, msg{}.bytes(1, t))
}

// model returns a ModelProto of opset 17.
func model(nodes, weights []msg, in, out []runtime.Port) []byte {
	g := msg{}.text(2, "tiny")
	for _, n := range nodes {
		g = g.bytes(1, n)
	}
	for _, w := range weights {
		g = g.bytes(5, w)
	}
	for _, p := range in {
		g = g.bytes(11, valueInfo(p))
	}
	for _, p := range out {
		g = g.bytes(12, valueInfo(p))
	}
	return msg{}.num(1, 8).bytes(7, g).bytes(8, msg{}.num(2, 17))
}

// unary returns a model of one operator from x to y.
func unary(op string, in, out runtime.Port, attrs ...msg) []byte {
	in.Name, out.Name = "x", "y"
	return model([]msg{node(op, []string{"x"}, []string{"y"}, attrs...)}, nil, []runtime.Port{in}, []runtime.Port{out})
}

// chain returns a model that multiplies x [1024,1024] with itself n times. Each product takes some tens of milliseconds on
// a CPU. x is a constant or an input.
func chain(n int, constant bool) []byte {
	var nodes []msg
	last := "x"
	for i := range n {
		next := "y" + strconv.Itoa(i)
		nodes = append(nodes, node("MatMul", []string{last, "x"}, []string{next}))
		last = next
	}
	x := runtime.Port{Name: "x", DType: graph.Float32, Dims: []int64{1024, 1024}}
	out := []runtime.Port{{Name: last, DType: x.DType, Dims: x.Dims}}
	if constant {
		return model(nodes, []msg{weight("x", graph.Zeros(x.DType, x.Dims...), "")}, nil, out)
	}
	return model(nodes, nil, []runtime.Port{x}, out)
}
