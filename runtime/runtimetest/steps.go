package runtimetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// growing returns a model with the outputs present = past followed by now, and last = -now.
func growing(d graph.DType) []byte {
	p := func(name string) runtime.Port { return runtime.Port{Name: name, DType: d, Dims: []int64{1, -1}} }
	return model([]msg{node("Concat", []string{"past", "now"}, []string{"present"}, attr("axis", 1)), node("Neg", []string{"now"}, []string{"last"})},
		nil, []runtime.Port{p("past"), p("now")}, []runtime.Port{p("present"), p("last")})
}

func step(t *testing.T, x runtime.Session, s runtime.Step) *runtime.Result {
	t.Helper()
	r, err := x.Step(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Kept {
		t.Cleanup(func() { v.Close() })
	}
	return r
}

func held(t *testing.T, v runtime.Value, want *graph.Tensor) {
	t.Helper()
	got, err := v.Tensor()
	if err != nil {
		t.Error(err)
		return
	}
	if d := cmp.Diff(want, got); d != "" || v.DType() != want.DType || !cmp.Equal(v.Dims(), want.Dims) {
		t.Errorf("%v%v: %s", v.DType(), v.Dims(), d)
	}
}

// keptOutputs: an output that stays on the host is an input of the next step, with a shape that grows.
func (s suite) keptOutputs(t *testing.T) {
	x := s.open(t, growing(graph.Float32))
	row := func(v ...float32) *graph.Tensor { return graph.NewFloat32(v, 1, int64(len(v))) }
	first := step(t, x, runtime.Step{In: feed{"past": graph.Zeros(graph.Float32, 1, 0), "now": row(1, 2)}, Want: []string{"last"}, Keep: []string{"present"}})
	same(t, first.Out, feed{"last": row(-1, -2)})
	past := first.Kept["present"]
	second := step(t, x, runtime.Step{In: feed{"now": row(3)}, Held: map[string]runtime.Value{"past": past}, Want: []string{"last"}, Keep: []string{"present"}})
	same(t, second.Out, feed{"last": row(-3)})
	held(t, second.Kept["present"], row(1, 2, 3))
	held(t, past, row(1, 2)) // a step does not change its inputs
	if len(first.Out) != 1 || len(first.Kept) != 1 {
		t.Errorf("got outputs %v and values %v", first.Out, first.Kept)
	}
	// One value can be several inputs, and all outputs can stay.
	both := step(t, x, runtime.Step{Held: map[string]runtime.Value{"past": past, "now": past}, Keep: []string{"last", "present"}})
	held(t, both.Kept["present"], row(1, 2, 1, 2))
	held(t, both.Kept["last"], row(-1, -2))
}

// writtenValues: outputs are written into values that exist, so that a loop allocates nothing.
func (s suite) writtenValues(t *testing.T) {
	x := s.open(t, growing(graph.Float32))
	row := func(v ...float32) *graph.Tensor { return graph.NewFloat32(v, 1, int64(len(v))) }
	zeros := graph.Zeros(graph.Float32, 1, 3)
	into, err := x.Hold(zeros)
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close()
	clear(zeros.Data) // Hold has copied it
	for i := range 3 {
		f := float32(i)
		r := step(t, x, runtime.Step{In: feed{"past": row(f, f+1), "now": row(f + 2)}, Want: []string{"last"}, Into: map[string]runtime.Value{"present": into}})
		same(t, r.Out, feed{"last": row(-f - 2)})
		held(t, into, row(f, f+1, f+2))
	}
	_, err = x.Step(t.Context(), runtime.Step{In: feed{"past": row(1), "now": row(2)}, Into: map[string]runtime.Value{"present": into}})
	if err == nil {
		t.Error("an output [1,2] was written into a value [1,3]")
	}
}

// valueTypes: every element type can be held, as an empty tensor too.
func (s suite) valueTypes(t *testing.T) {
	x := s.open(t, three())
	for _, d := range []graph.DType{graph.Bool, graph.Int32, graph.Int64, graph.Float16, graph.BFloat16, graph.Float32, graph.Float64} {
		for _, dims := range [][]int64{{2, 3}, {1, 0}, {}} {
			in := graph.Zeros(d, append([]int64{}, dims...)...)
			for i := range in.Data {
				in.Data[i] = byte(i % 2)
			}
			v, err := x.Hold(in)
			if err != nil {
				t.Fatal(err)
			}
			held(t, v, in)
			v.Close()
		}
	}
	if v, err := x.Hold(&graph.Tensor{DType: graph.Float32, Dims: []int64{3}, Data: make([]byte, 4)}); err == nil {
		v.Close()
		t.Error("held a tensor whose data does not fill its shape")
	}
}

// valueLife: a value outlives its session, another session can read it, and it can be closed while a run uses it.
func (s suite) valueLife(t *testing.T) {
	open := func() runtime.Session {
		x, err := s.host.Open(t.Context(), runtime.Model{Bytes: three()}, s.opts)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	first := open()
	in := graph.NewFloat32([]float32{1, -2}, 2)
	v := step(t, first, runtime.Step{In: feed{"x": in}, Keep: []string{"c"}}).Kept["c"]
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	held(t, v, graph.NewFloat32([]float32{2, -4}, 2))
	x := open()
	defer x.Close()
	use := runtime.Step{Held: map[string]runtime.Value{"x": v}, Want: []string{"a"}}
	same(t, step(t, x, use).Out, feed{"a": graph.NewFloat32([]float32{-2, 4}, 2)})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := x.Step(t.Context(), use); err != nil && !strings.Contains(err.Error(), "the value is closed") {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	refuseStep(t, x, use, "the value is closed")
	if _, err := v.Tensor(); err == nil {
		t.Error("a closed value was read")
	}
}

func refuseStep(t *testing.T, x runtime.Session, s runtime.Step, text string) {
	t.Helper()
	if _, err := x.Step(t.Context(), s); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want an error with %q", err, text)
	}
}

func (s suite) refusedSteps(t *testing.T) {
	x := s.open(t, three())
	row := graph.NewFloat32([]float32{1}, 1)
	hold := func(in *graph.Tensor) runtime.Value {
		v, err := x.Hold(in)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { v.Close() })
		return v
	}
	good, other, square := hold(row), hold(graph.NewInt64([]int64{1}, 1)), hold(graph.Zeros(graph.Float32, 1, 1))
	held := func(v runtime.Value) map[string]runtime.Value { return map[string]runtime.Value{"x": v} }
	for _, c := range []struct {
		step runtime.Step
		want string
	}{
		{runtime.Step{In: feed{"x": row}}, "no outputs are requested"},
		{runtime.Step{Want: []string{"a"}}, `input "x": missing`},
		{runtime.Step{In: feed{"x": row}, Held: held(good), Want: []string{"a"}}, `input "x": is fed twice`},
		{runtime.Step{Held: held(other), Want: []string{"a"}}, `input "x": want float32, got int64`},
		{runtime.Step{Held: held(square), Want: []string{"a"}}, `input "x": want shape [?], got [1,1]`},
		{runtime.Step{Held: map[string]runtime.Value{"x": good, "y": good}, Want: []string{"a"}}, `input "y": unknown`},
		{runtime.Step{In: feed{"x": row}, Want: []string{"a"}, Keep: []string{"a"}}, `output "a": requested twice`},
		{runtime.Step{In: feed{"x": row}, Keep: []string{"d"}}, `output "d": unknown`},
		{runtime.Step{In: feed{"x": row}, Into: map[string]runtime.Value{"a": other}}, `output "a": want float32, got int64`},
	} {
		refuseStep(t, x, c.step, c.want)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Step(gone, runtime.Step{Held: held(good), Want: []string{"a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: got %v", err)
	}
	same(t, step(t, x, runtime.Step{Held: held(good), Want: []string{"a"}}).Out, feed{"a": graph.NewFloat32([]float32{-1}, 1)})
}
