package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
)

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
		t.Errorf("a context that has ended: got %v", err)
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

// cancelledOpen opens a model whose constant folding can take a host several seconds.
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
	for range 4 { // runs concurrent with Close either finish or are refused
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
		t.Errorf("a context that has ended: got %v, %v", x, err)
	}
}

// externalData: the weights are in a separate file, next to the model or in the folder given with the model's bytes.
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
