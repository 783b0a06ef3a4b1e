package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// model is a graph under construction: encoded nodes, and descriptions of weights.
type model struct {
	nodes   []byte
	weights []weight
	inputs  []byte
	outputs []byte
	seen    map[string]int // names in use, to number the next name as torch does

	ir         int64
	opsets     []opset
	producer   string
	dataSuffix string            // the external data file is named like the model, with this suffix
	beside     map[string][]byte // files that belong in the same folder
}

// opset is a set of operators that the model uses, with its version.
type opset struct {
	domain  string
	version int64
}

// microsoft is the domain of ONNX Runtime's own operators.
const microsoft = "com.microsoft"

func (m *model) input(name string, dtype int64, dims ...any) {
	m.inputs = msg(m.inputs).sub(11, valueInfo(name, dtype, dims...))
}

func (m *model) output(name string, dtype int64, dims ...any) {
	m.outputs = msg(m.outputs).sub(12, valueInfo(name, dtype, dims...))
}

// attr is one attribute of a node: an int64, a float32, an []int64, or an encoded TensorProto (msg).
type attr struct {
	name  string
	value any
}

func (a attr) encode() msg {
	m := msg(nil).str(1, a.name)
	switch v := a.value.(type) {
	case int:
		return m.num(3, int64(v)).num(20, 2)
	case float32:
		return m.fixed32(2, math.Float32bits(v)).num(20, 1)
	case []int64:
		for _, i := range v {
			m = m.num(8, i)
		}
		return m.num(20, 7)
	case msg:
		return m.sub(5, v).num(20, 4)
	}
	panic(fmt.Sprintf("gen: attribute %s of type %T", a.name, a.value))
}

// scope builds nodes under a module name, such as "/transformer/h.0/attn".
type scope struct {
	m    *model
	name string
}

func (s scope) in(name string) scope { return scope{s.m, s.name + "/" + name} }

// label returns a new name in the model: scope/op, scope/op_1, …
func (s scope) label(op string) string {
	base := s.name + "/" + op
	n := s.m.seen[base]
	s.m.seen[base]++
	if n == 0 {
		return base
	}
	return fmt.Sprintf("%s_%d", base, n)
}

// op adds a node with one output and returns the output's name.
func (s scope) op(op string, in []string, attrs ...attr) string {
	return s.ops(op, 1, in, attrs...)[0]
}

// ops adds a node with n outputs.
func (s scope) ops(op string, n int, in []string, attrs ...attr) []string {
	label := s.label(op)
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s_output_%d", label, i)
	}
	s.m.node(op, label, in, out, attrs...)
	return out
}

// node adds a node; op may begin with a domain, and "" in the lists is an input or output that is left out.
func (m *model) node(op, label string, in, out []string, attrs ...attr) {
	var n msg
	for _, v := range in {
		n = n.str(1, v)
	}
	for _, v := range out {
		n = n.str(2, v)
	}
	n = n.str(3, label)
	if name, ok := strings.CutPrefix(op, microsoft+"."); ok {
		n = n.str(4, name).str(7, microsoft)
	} else {
		n = n.str(4, op)
	}
	for _, a := range attrs {
		n = n.sub(5, a.encode())
	}
	m.nodes = msg(m.nodes).sub(1, n)
}

// ints adds a Constant of type int64 and shape [len(v)].
func (s scope) ints(v ...int64) string {
	return s.constant(int64Type, []int64{int64(len(v))}, int64Bytes(v))
}

// index adds an int64 scalar Constant.
func (s scope) index(v int64) string { return s.constant(int64Type, nil, int64Bytes([]int64{v})) }

// scalar adds a float32 scalar Constant.
func (s scope) scalar(v float32) string {
	return s.constant(float32Type, nil, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
}

func (s scope) constant(dtype int64, dims []int64, raw []byte) string {
	return s.op("Constant", nil, attr{"value", tensorHead(dtype, "", dims).sub(9, raw)})
}

func int64Bytes(v []int64) []byte {
	var b []byte
	for _, i := range v {
		b = binary.LittleEndian.AppendUint64(b, uint64(i))
	}
	return b
}

// dim returns dimension axis of x's shape, as a scalar.
func (s scope) dim(x string, axis int64) string {
	return s.op("Gather", []string{s.op("Shape", []string{x}), s.index(axis)}, attr{"axis", 0})
}

// dimFromEnd does the same for a negative axis, which torch slices and squeezes.
func (s scope) dimFromEnd(x string, axis int64) string {
	end := int64(math.MaxInt64)
	if axis != -1 {
		end = axis + 1
	}
	shape := s.op("Shape", []string{x})
	return s.op("Squeeze", []string{s.op("Slice", []string{shape, s.ints(axis), s.ints(end), s.ints(0)}), s.ints(0)})
}

// reshape reshapes x; a part of the target shape is a number or the name of a scalar.
func (s scope) reshape(x string, parts ...any) string {
	target := make([]string, len(parts))
	for i, p := range parts {
		switch p := p.(type) {
		case int64:
			target[i] = s.ints(p)
		case int:
			target[i] = s.ints(int64(p))
		case string:
			target[i] = s.op("Unsqueeze", []string{p, s.ints(0)})
		}
	}
	return s.op("Reshape", []string{x, s.op("Concat", target, attr{"axis", 0})}, attr{"allowzero", 0})
}

// transpose permutes the axes of x.
func (s scope) transpose(x string, perm ...int64) string {
	return s.op("Transpose", []string{x}, attr{"perm", perm})
}

// weight adds a tensor of random values, mean + noise, and returns its name.
func (m *model) weight(name string, mean, noise float32, dims ...int64) string {
	seed := seedOf(name)
	m.weights = append(m.weights, weight{name, float32Type, dims, func(i int64) float32 { return mean + noise*uniform(seed, i) }})
	return name
}
