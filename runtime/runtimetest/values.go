package runtimetest

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

func port(d graph.DType, dims ...int64) runtime.Port {
	if dims == nil {
		dims = []int64{} // a scalar, not an undeclared shape
	}
	return runtime.Port{DType: d, Dims: dims}
}

// add returns a model that computes x + x for one element type and any shape [?,?].
func add(d graph.DType) []byte {
	p := port(d, -1, -1)
	in, out := p, p
	in.Name, out.Name = "x", "y"
	return model([]msg{node("Add", []string{"x", "x"}, []string{"y"})}, nil, []runtime.Port{in}, []runtime.Port{out})
}

func (s suite) ports(t *testing.T) {
	in := []runtime.Port{
		{Name: "b", DType: graph.Int64, Dims: []int64{-1, -1}}, {Name: "a", DType: graph.Float16, Dims: []int64{2, -1, 8}},
		{Name: "flag", DType: graph.Bool, Dims: []int64{1}}, {Name: "s", DType: graph.Float32, Dims: []int64{}},
	}
	out := []runtime.Port{{Name: "z", DType: graph.Int64, Dims: []int64{-1, -1}}, {Name: "a2", DType: graph.Float16, Dims: []int64{2, -1, 8}}}
	x := s.open(t, model([]msg{node("Identity", []string{"a"}, []string{"a2"}), node("Identity", []string{"b"}, []string{"z"})}, nil, in, out))
	if d := cmp.Diff(in, x.Inputs()); d != "" {
		t.Errorf("inputs: %s", d)
	}
	if d := cmp.Diff(out, x.Outputs()); d != "" {
		t.Errorf("outputs: %s", d)
	}
}

func (s suite) dynamicShapes(t *testing.T) {
	x := s.open(t, add(graph.Float32))
	for _, dims := range [][]int64{{1, 3}, {2, 5}, {1, 3}, {7, 1}, {0, 4}, {3, 0}, {64, 1000}} {
		n := dims[0] * dims[1]
		in, want := make([]float32, n), make([]float32, n)
		for i := range in {
			in[i], want[i] = float32(i)-1.5, 2*float32(i)-3
		}
		out := run(t, x, feed{"x": graph.NewFloat32(in, dims...)})
		y := out["y"]
		got, err := y.Float32s()
		if err != nil || len(out) != 1 {
			t.Fatalf("%v: outputs %v, %v", dims, out, err)
		}
		if d := cmp.Diff(dims, y.Dims) + cmp.Diff(append([]float32{}, want...), append([]float32{}, got...)); d != "" {
			t.Errorf("%v: %s", dims, d)
		}
	}
}

func (s suite) elementTypes(t *testing.T) {
	for _, d := range []graph.DType{
		graph.Bool, graph.Int8, graph.Uint8, graph.Int16, graph.Uint16, graph.Int32, graph.Uint32, graph.Int64, graph.Uint64,
		graph.Float16, graph.BFloat16, graph.Float32, graph.Float64,
	} {
		x := s.open(t, unary("Identity", port(d, -1, -1), port(d, -1, -1)))
		for _, dims := range [][]int64{{2, 3}, {1, 0}, {1, 1}} {
			in := graph.Zeros(d, dims...)
			for i := range in.Data {
				in.Data[i] = byte(7 * i)
				if d == graph.Bool {
					in.Data[i] = byte(i % 2)
				}
			}
			same(t, run(t, x, feed{"x": in}), feed{"y": in})
		}
	}
}

func half(v ...uint16) []byte {
	var b []byte
	for _, h := range v {
		b = binary.LittleEndian.AppendUint16(b, h)
	}
	return b
}

func (s suite) float16(t *testing.T) {
	x := s.open(t, add(graph.Float16))
	for _, c := range []struct {
		dims     []int64
		in, want []byte
	}{
		{[]int64{1, 3}, half(0x3c00, 0xc000, 0x0001), half(0x4000, 0xc400, 0x0002)}, // 1, -2, 2^-24
		{[]int64{2, 1}, half(0x7bff, 0x8000), half(0x7c00, 0x8000)},                 // 65504 (overflows to +Inf), -0
		{[]int64{2, 0}, []byte{}, []byte{}},
	} {
		same(t, run(t, x, feed{"x": {DType: graph.Float16, Dims: c.dims, Data: c.in}}), feed{"y": {DType: graph.Float16, Dims: c.dims, Data: c.want}})
	}
}

func (s suite) scalars(t *testing.T) {
	sum := s.open(t, unary("ReduceSum", port(graph.Float32, -1, -1), port(graph.Float32), attr("keepdims", 0)))
	same(t, run(t, sum, feed{"x": graph.NewFloat32([]float32{1, 2, 3.5, -1}, 2, 2)}), feed{"y": graph.NewFloat32([]float32{5.5}, []int64{}...)})
	same(t, run(t, sum, feed{"x": graph.Zeros(graph.Float32, 0, 2)}), feed{"y": graph.NewFloat32([]float32{0}, []int64{}...)})
	for _, d := range []graph.DType{graph.Float32, graph.Float16, graph.Int64, graph.Bool} {
		x := s.open(t, unary("Identity", port(d), port(d)))
		in := &graph.Tensor{DType: d, Dims: []int64{}, Data: bytes.Repeat([]byte{1}, int(d.Bits()/8))}
		same(t, run(t, x, feed{"x": in}), feed{"y": in})
	}
}

// undeclaredShape: the shape of the output depends on the data and is not declared.
func (s suite) undeclaredShape(t *testing.T) {
	for _, d := range []graph.DType{graph.Float32, graph.Float16} {
		x := s.open(t, unary("NonZero", port(d, -1, -1), runtime.Port{DType: graph.Int64}))
		in := graph.Zeros(d, 2, 2)
		in.Data[len(in.Data)-1] = 0x40
		same(t, run(t, x, feed{"x": in}), feed{"y": graph.NewInt64([]int64{1, 1}, 2, 1)})
		in.Data[0] = 0x40
		same(t, run(t, x, feed{"x": in}), feed{"y": graph.NewInt64([]int64{0, 1, 0, 1}, 2, 2)})
		same(t, run(t, x, feed{"x": graph.Zeros(d, 1, 1)}), feed{"y": graph.Zeros(graph.Int64, 2, 0)})
	}
}

// emptyCache: the first step of a decoder, whose cache of past positions is empty.
func (s suite) emptyCache(t *testing.T) {
	for _, d := range []graph.DType{graph.Float32, graph.Float16} {
		dims := []int64{-1, 2, -1, 4}
		x := s.open(t, model([]msg{node("Concat", []string{"past", "now"}, []string{"present"}, attr("axis", 2))}, nil,
			[]runtime.Port{{Name: "past", DType: d, Dims: dims}, {Name: "now", DType: d, Dims: dims}},
			[]runtime.Port{{Name: "present", DType: d, Dims: dims}}))
		now := graph.Zeros(d, 1, 2, 3, 4)
		for i := range now.Data {
			now.Data[i] = byte(i % 64)
		}
		same(t, run(t, x, feed{"past": graph.Zeros(d, 1, 2, 0, 4), "now": now}), feed{"present": now})
		same(t, run(t, x, feed{"past": graph.Zeros(d, 1, 2, 0, 4), "now": graph.Zeros(d, 1, 2, 0, 4)}), feed{"present": graph.Zeros(d, 1, 2, 0, 4)})
		if got := run(t, x, feed{"past": now, "now": now})["present"].Dims; !cmp.Equal(got, []int64{1, 2, 6, 4}) {
			t.Errorf("present is %v", got)
		}
	}
}

func (s suite) noInputs(t *testing.T) {
	w := graph.NewFloat32([]float32{1, 2}, 2)
	x := s.open(t, model([]msg{node("Neg", []string{"w"}, []string{"y"})}, []msg{weight("w", w, "")}, nil, []runtime.Port{{Name: "y", DType: graph.Float32, Dims: []int64{2}}}))
	if len(x.Inputs()) != 0 {
		t.Errorf("inputs %v", x.Inputs())
	}
	same(t, run(t, x, nil), feed{"y": graph.NewFloat32([]float32{-1, -2}, 2)})
}
