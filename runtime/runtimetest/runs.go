package runtimetest

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// three returns a model with the outputs a = -x, b = |x|, c = 2x.
func three() []byte {
	p := func(name string) runtime.Port {
		return runtime.Port{Name: name, DType: graph.Float32, Dims: []int64{-1}}
	}
	return model([]msg{
		node("Neg", []string{"x"}, []string{"a"}), node("Abs", []string{"x"}, []string{"b"}), node("Add", []string{"x", "x"}, []string{"c"}),
	}, nil, []runtime.Port{p("x")}, []runtime.Port{p("a"), p("b"), p("c")})
}

func (s suite) wantedOutputs(t *testing.T) {
	x := s.open(t, three())
	in := feed{"x": graph.NewFloat32([]float32{-3}, 1)}
	a, b, c := graph.NewFloat32([]float32{3}, 1), graph.NewFloat32([]float32{3}, 1), graph.NewFloat32([]float32{-6}, 1)
	same(t, run(t, x, in), feed{"a": a, "b": b, "c": c})
	same(t, run(t, x, in, "c"), feed{"c": c})
	same(t, run(t, x, in, "c", "a"), feed{"a": a, "c": c})
	refuse(t, x, in, []string{"d"}, `output "d": unknown; the model has "a", "b", "c"`)
	refuse(t, x, in, []string{"a", "a"}, `output "a": requested twice`)
}

func refuse(t *testing.T, x runtime.Session, in feed, want []string, text string) {
	t.Helper()
	out, err := x.Run(t.Context(), in, want...)
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, %v, want an error with %q", out, err, text)
	}
}

func (s suite) refusedFeeds(t *testing.T) {
	x := s.open(t, three())
	ok := graph.NewFloat32([]float32{1}, 1)
	refuse(t, x, nil, nil, `input "x": missing; want float32 [?]`)
	refuse(t, x, feed{"X": ok, "x": ok}, nil, `input "X": unknown; the model has "x"`)
	refuse(t, x, feed{"x": graph.NewInt64([]int64{1}, 1)}, nil, `input "x": want float32, got int64`)
	refuse(t, x, feed{"x": graph.NewFloat32([]float32{1}, 1, 1)}, nil, `input "x": want shape [?], got [1,1]`)
	refuse(t, x, feed{"x": {DType: graph.Float32, Dims: []int64{1 << 40}, Data: make([]byte, 4)}}, nil, `input "x": float32 [1099511627776] takes 4398046511104 bytes, got 4`)
	run(t, x, feed{"x": ok})
}

// failingRun: an error inside the graph is returned, and the session still works.
func (s suite) failingRun(t *testing.T) {
	w := graph.NewFloat32([]float32{10, 11, 12}, 3)
	x := s.open(t, model([]msg{node("Gather", []string{"w", "i"}, []string{"y"})}, []msg{weight("w", w, "")},
		[]runtime.Port{{Name: "i", DType: graph.Int64, Dims: []int64{-1}}}, []runtime.Port{{Name: "y", DType: graph.Float32, Dims: []int64{-1}}}))
	refuse(t, x, feed{"i": graph.NewInt64([]int64{3}, 1)}, nil, "Gather")
	same(t, run(t, x, feed{"i": graph.NewInt64([]int64{2, 0}, 2)}), feed{"y": graph.NewFloat32([]float32{12, 10}, 2)})
}

func (s suite) outOfMemory(t *testing.T) {
	x := s.open(t, unary("ConstantOfShape", port(graph.Int64, 1), port(graph.Float32, -1)))
	_, err := x.Run(t.Context(), feed{"x": graph.NewInt64([]int64{1 << 44}, 1)}) // 64 TiB
	if !errors.Is(err, runtime.ErrMemory) {
		t.Errorf("got %v, want %v", err, runtime.ErrMemory)
	}
	same(t, run(t, x, feed{"x": graph.NewInt64([]int64{2}, 1)}), feed{"y": graph.Zeros(graph.Float32, 2)})
}

// tensorMemory: inputs are not changed, results own their memory, and inputs may have any alignment.
func (s suite) tensorMemory(t *testing.T) {
	x := s.open(t, unary("Identity", port(graph.Float32, -1), port(graph.Float32, -1)))
	in := graph.NewFloat32([]float32{1, 2, 3}, 3)
	first := run(t, x, feed{"x": in})["y"]
	binary.LittleEndian.PutUint32(in.Data, math.Float32bits(9))
	second := run(t, x, feed{"x": in})["y"]
	same(t, feed{"y": first}, feed{"y": graph.NewFloat32([]float32{1, 2, 3}, 3)})
	same(t, feed{"y": second}, feed{"y": in})
	clear(second.Data)
	same(t, feed{"x": in}, feed{"x": graph.NewFloat32([]float32{9, 2, 3}, 3)})

	odd := append(make([]byte, 1, 64), in.Data...)[1:]
	same(t, run(t, x, feed{"x": {DType: graph.Float32, Dims: []int64{3}, Data: odd}}), feed{"y": in})
}
