package steer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// patch writes a patched copy of a fixture beside a copy of the original and returns its path.
func patch(t *testing.T, fixture string, req func(*models.Layout) rewrite.Request) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join(testdata, fixture))
	if err != nil {
		t.Fatal(err)
	}
	src, out := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "patched.onnx")
	if err := os.WriteFile(src, data, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := graph.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	l, err := models.Locate(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	man, _, err := rewrite.Apply(m, l, req(l))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rewrite.Save(t.Context(), m, man, out, graph.Auto, false); err != nil {
		t.Fatal(err)
	}
	return out
}

func injectAll(l *models.Layout) rewrite.Request { return rewrite.Request{Inject: all(l).Inject} }

func TestVerifyFixtures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata, "*.onnx"))
	if err != nil || len(files) < 16 {
		t.Fatal(len(files), err)
	}
	requests := map[string]func(*models.Layout) rewrite.Request{
		"ports":   all,
		"inject":  injectAll,
		"prefill": func(l *models.Layout) rewrite.Request { return rewrite.Request{Inject: all(l).Inject, Prefill: true} },
		"last": func(l *models.Layout) rewrite.Request {
			return rewrite.Request{Inject: all(l).Inject, LastLogits: true}
		},
		"baked": func(l *models.Layout) rewrite.Request {
			v := make([]float32, l.DModel)
			v[3] = 1
			return rewrite.Request{Bake: []rewrite.Bake{{Baked: models.Baked{Layer: 1, Tau: 2}, Vector: v}}}
		},
	}
	for _, path := range files {
		name := filepath.Base(path)
		for kind, req := range requests {
			if kind == "prefill" && strings.Contains(name, "with-past") {
				continue // one token at a time: refused, see TestRefusals of package rewrite
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				r, err := Verify(context.Background(), orttest.Host(t), patch(t, name, req), "", runtime.Options{Threads: 1})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range r.Checks {
					if !c.OK {
						t.Errorf("%s (layer %d): got %g, want %s (%s)", c.Name, c.Layer, c.Got, c.Want, c.Note)
					}
					float := !strings.Contains(name, "int8") && !strings.Contains(name, "fp16") && !strings.Contains(name, "q4")
					if float && kind == "inject" && strings.HasPrefix(c.Name, "tau = 0") && c.Note != "bit for bit" {
						t.Errorf("tau = 0 is not bit for bit the original: %+v", c)
					}
				}
				if len(r.Checks) < 1 || !r.OK {
					t.Errorf("%d checks, ok %v", len(r.Checks), r.OK)
				}
			})
		}
	}
}

// A check that cannot fail is none: a wrong original, a heavier weight, a memory that reaches nothing.
func TestVerifyFindsFaults(t *testing.T) {
	ctx, host, o := context.Background(), orttest.Host(t), runtime.Options{Threads: 1}
	out := patch(t, "torchscript-op10.onnx", injectAll)

	other := patch(t, "torchscript-op10.onnx", func(l *models.Layout) rewrite.Request {
		v := make([]float32, l.DModel)
		v[0] = 1
		return rewrite.Request{Bake: []rewrite.Bake{{Baked: models.Baked{Layer: 0, Tau: 1}, Vector: v}}}
	})
	r, err := Verify(ctx, host, out, other, o)
	if err != nil || r.OK || r.Checks[0].OK {
		t.Errorf("against another function: %+v, %v", r, err)
	}

	m, err := graph.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	for _, v := range m.Graph.Inputs() {
		if v.Name() == models.PortTau.Name(1) {
			zero := e.Const(m.Graph, "zero", graph.NewFloat32([]float32{0}, 1, 1, 1))
			for _, u := range v.Uses() {
				e.Redirect(u, zero)
			}
		}
	}
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(filepath.Dir(out), "dead.onnx")
	if _, err := graph.Save(t.Context(), m, dead, graph.Auto, false); err != nil {
		t.Fatal(err)
	}
	if r, err = Verify(ctx, host, dead, "", o); err != nil || r.OK {
		t.Fatalf("a memory without effect: %+v, %v", r, err)
	}
	for _, c := range r.Checks {
		if want := c.Name != "a memory has an effect" || c.Layer != 1; c.OK != want {
			t.Errorf("%s of layer %d: ok %v, want %v", c.Name, c.Layer, c.OK, want)
		}
	}
}

func TestVerifyErrors(t *testing.T) {
	ctx, host, o := context.Background(), orttest.Host(t), runtime.Options{Threads: 1}
	out := patch(t, "torchscript-op10.onnx", injectAll)
	src := filepath.Join(filepath.Dir(out), "model.onnx")
	if _, err := Verify(ctx, host, src, "", o); err == nil || !strings.Contains(err.Error(), "not a patched model: it holds no manifest") {
		t.Errorf("an unpatched file: %v", err)
	}
	m, err := graph.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	man, err := models.ReadManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(filepath.Dir(out), "whole.onnx")
	if _, err := rewrite.Save(t.Context(), m, man, whole, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(src)
	if err := os.WriteFile(src, append(data, 0x92, 0x03, 0), 0o600); err != nil { // one more field
		t.Fatal(err)
	}
	if _, err := Verify(ctx, host, out, "", o); err == nil || !strings.Contains(err.Error(), "model.onnx have changed since the file was patched") {
		t.Errorf("changed weights: %v", err)
	}
	if _, err := Verify(ctx, host, whole, "", o); err == nil || !strings.Contains(err.Error(), "it has changed since") {
		t.Errorf("a changed original: %v", err)
	}
	if err := os.Remove(src); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(ctx, host, out, "", o); err == nil {
		t.Error("a missing original is no error")
	}
}
