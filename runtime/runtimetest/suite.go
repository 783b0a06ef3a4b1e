package runtimetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// Suite puts a host through everything that a host must do. The options are used for every session.
func Suite(t *testing.T, h runtime.Host, o runtime.Options) {
	if h.Name() == "" {
		t.Error("the host has no name")
	}
	s := suite{h, o}
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"ports", s.ports}, {"dynamic shapes", s.dynamicShapes}, {"element types", s.elementTypes}, {"float16", s.float16},
		{"scalars", s.scalars}, {"undeclared shape", s.undeclaredShape}, {"empty cache", s.emptyCache}, {"no inputs", s.noInputs},
		{"wanted outputs", s.wantedOutputs}, {"refused feeds", s.refusedFeeds}, {"failing run", s.failingRun}, {"out of memory", s.outOfMemory}, {"tensor memory", s.tensorMemory},
		{"concurrent runs", s.concurrentRuns}, {"cancelled run", s.cancelledRun}, {"cancelled open", s.cancelledOpen}, {"close", s.close}, {"model files", s.modelFiles},
		{"external data", s.externalData}, {"levels", s.levels},
	} {
		t.Run(c.name, c.run)
	}
}

type suite struct {
	host runtime.Host
	opts runtime.Options
}

func (s suite) open(t *testing.T, model []byte) runtime.Session {
	t.Helper()
	x, err := s.host.Open(t.Context(), runtime.Model{Bytes: model}, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

type feed = map[string]*graph.Tensor

func run(t *testing.T, x runtime.Session, in feed, want ...string) feed {
	t.Helper()
	out, err := x.Run(t.Context(), in, want...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, got feed, want feed) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func port(d graph.DType, dims ...int64) runtime.Port {
	if dims == nil {
		dims = []int64{} // a scalar, not an undeclared shape
	}
	return runtime.Port{DType: d, Dims: dims}
}

// add is a model x + x of one element type over any [?,?].
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

// undeclaredShape: the output's shape follows from the data alone and is declared nowhere.
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

// emptyCache: the first step of a decoder, whose past has no positions.
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

// three has outputs a = -x, b = |x|, c = 2x.
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
	refuse(t, x, in, []string{"a", "a"}, `output "a": asked for twice`)
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

// failingRun: an error inside the graph is returned, and the session goes on working.
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

// tensorMemory: inputs stay as they were, results own their memory, and any address will do.
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

func (s suite) concurrentRuns(t *testing.T) {
	x := s.open(t, three())
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				n := 1 + (g+i)%5
				v := make([]float32, n)
				want := make([]float32, n)
				for j := range v {
					v[j], want[j] = float32(g*100+i+j), -float32(g*100+i+j)
				}
				out, err := x.Run(t.Context(), feed{"x": graph.NewFloat32(v, int64(n))}, "a")
				if err != nil {
					t.Error(err)
					return
				}
				same(t, out, feed{"a": graph.NewFloat32(want, int64(n))})
			}
		})
	}
	wg.Wait()
}

func (s suite) cancelledRun(t *testing.T) {
	x := s.open(t, chain(400, false))
	in := feed{"x": graph.Zeros(graph.Float32, 1024, 1024)}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Run(gone, in); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: got %v", err)
	}
	const limit = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	start := time.Now()
	_, err := x.Run(ctx, in)
	took := time.Since(start)
	if err == nil && took < limit {
		t.Logf("done after %v, before it could be cancelled", took) // a GPU
	} else if !errors.Is(err, context.DeadlineExceeded) || took > 2*time.Second {
		t.Errorf("got %v after %v, want the context's error within 2 s", err, took)
	}
}

// cancelledOpen opens a model that a host may fold into a constant for seconds.
func (s suite) cancelledOpen(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	x, err := s.host.Open(ctx, runtime.Model{Bytes: chain(60, true)}, s.opts)
	took := time.Since(start)
	if err == nil { // a host that loads this fast has nothing to cancel
		x.Close()
	} else if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	if took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func (s suite) close(t *testing.T) {
	x := s.open(t, three())
	in := feed{"x": graph.NewFloat32([]float32{1}, 1)}
	var wg sync.WaitGroup
	for range 4 { // runs that meet Close either finish or are refused
		wg.Go(func() {
			for range 100 {
				if _, err := x.Run(t.Context(), in); err != nil && !strings.Contains(err.Error(), "the session is closed") {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	refuse(t, x, in, nil, "the session is closed")
}

func (s suite) modelFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	good := file("ünicode näme.onnx", three())
	x, err := s.host.Open(t.Context(), runtime.Model{Path: good}, s.opts)
	if err != nil {
		t.Fatal(err)
	}
	run(t, x, feed{"x": graph.NewFloat32([]float32{1}, 1)})
	if err := x.Close(); err != nil {
		t.Error(err)
	}

	for _, c := range []struct {
		name string
		m    runtime.Model
		is   error
		text string
	}{
		{"missing file", runtime.Model{Path: filepath.Join(dir, "none.onnx")}, fs.ErrNotExist, `"none.onnx"`},
		{"folder", runtime.Model{Path: dir}, nil, "is a folder"},
		{"empty file", runtime.Model{Path: file("empty.onnx", nil)}, nil, "empty"},
		{"no bytes", runtime.Model{Bytes: []byte{}}, nil, "empty"},
		{"garbage", runtime.Model{Bytes: []byte("this is not a model"), Path: "m.onnx"}, nil, `"m.onnx"`},
		{"unknown operator", runtime.Model{Bytes: unary("NoSuchOperator", port(graph.Float32, 1), port(graph.Float32, 1))}, nil, "NoSuchOperator"},
	} {
		x, err := s.host.Open(t.Context(), c.m, s.opts)
		if err == nil {
			x.Close()
			t.Errorf("%s: opened", c.name)
		} else if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.text)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if x, err := s.host.Open(ctx, runtime.Model{Path: good}, s.opts); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is over: got %v, %v", x, err)
	}
}

// externalData: weights in a file of their own, found beside the model or in the folder given with its bytes.
func (s suite) externalData(t *testing.T) {
	dir := t.TempDir()
	w := graph.NewFloat32([]float32{1, 2, 3, 4}, 2, 2)
	p := func(name string) runtime.Port {
		return runtime.Port{Name: name, DType: graph.Float32, Dims: []int64{-1, 2}}
	}
	m := model([]msg{node("MatMul", []string{"x", "w"}, []string{"y"})}, []msg{weight("w", w, "weights.bin")}, []runtime.Port{p("x")}, []runtime.Port{p("y")})
	for name, data := range map[string][]byte{"weights.bin": w.Data, "model.onnx": m} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []runtime.Model{{Path: filepath.Join(dir, "model.onnx")}, {Bytes: m, Dir: dir}} {
		x, err := s.host.Open(t.Context(), from, s.opts)
		if err != nil {
			t.Errorf("bytes %v: %v", from.Bytes != nil, err)
			continue
		}
		same(t, run(t, x, feed{"x": graph.NewFloat32([]float32{1, 10}, 1, 2)}), feed{"y": graph.NewFloat32([]float32{31, 42}, 1, 2)})
		x.Close()
	}
	if x, err := s.host.Open(t.Context(), runtime.Model{Bytes: m, Dir: t.TempDir()}, s.opts); err == nil {
		x.Close()
		t.Error("opened without its weights")
	}
}

func (s suite) levels(t *testing.T) {
	for _, o := range []runtime.Options{{Level: runtime.Optimized}, {Level: runtime.Basic}, {Level: runtime.Unmodified}, {Threads: 1}, {Threads: 2, Yield: true}} {
		o.Device = s.opts.Device
		x, err := s.host.Open(t.Context(), runtime.Model{Bytes: three()}, o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		same(t, run(t, x, feed{"x": graph.NewFloat32([]float32{1}, 1)}, "c"), feed{"c": graph.NewFloat32([]float32{2}, 1)})
		x.Close()
	}
	for _, o := range []runtime.Options{{Level: 99}, {Threads: -1}} {
		if x, err := s.host.Open(t.Context(), runtime.Model{Bytes: three()}, o); err == nil {
			x.Close()
			t.Errorf("%s: opened", fmt.Sprintf("%+v", o))
		}
	}
}
