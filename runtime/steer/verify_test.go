package steer

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// patch writes a patched copy of a fixture beside a copy of the original, and of what else is in a folder of its own, and returns
// its path.
func patch(t *testing.T, fixture string, req func(*models.Layout) rewrite.Request) string {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join(testdata, filepath.Dir(fixture))
	if filepath.Base(fixture) == "model.onnx" {
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	} else {
		data, err := os.ReadFile(filepath.Join(testdata, fixture))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "model.onnx"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, l := loaded(t, filepath.Join(dir, "model.onnx"))
	man, _, err := rewrite.Apply(t.Context(), m, l, req(l))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "patched.onnx")
	if _, err := rewrite.Save(t.Context(), m, man, out, graph.Auto, false); err != nil {
		t.Fatal(err)
	}
	return out
}

// verified is Verify on a file.
func verified(t *testing.T, host runtime.Host, patched, original string, o runtime.Options) (*Report, error) {
	t.Helper()
	return verifiedAll(t, host, patched, original, false, o)
}

func verifiedAll(t *testing.T, host runtime.Host, patched, original string, full bool, o runtime.Options) (*Report, error) {
	t.Helper()
	d, err := decoder.Open(patched)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return Verify(t.Context(), host, d, original, full, o)
}

func injectAll(l *models.Layout) rewrite.Request { return rewrite.Request{Inject: all(l).Inject} }

func TestVerifyFixtures(t *testing.T) {
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
	for _, c := range fixtures(t) {
		name := c.File
		for kind, req := range requests {
			if kind == "prefill" && c.First {
				continue // one token at a time: refused, see TestRefusals of package rewrite
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				r, err := verified(t, orttest.Host(t), patch(t, name, req), "", runtime.Options{Threads: 1})
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

// What the heads add up to is W_O's output: attn_out, except where a norm or a number comes between.
func TestE05VerifyHeads(t *testing.T) {
	for name, want := range map[string]string{
		"families/optimum-llama.onnx": "heads add up to attn_out", "families/optimum-gemma2.onnx": "heads add up to out", "families/genai09-granite.onnx": "heads add up to out",
	} {
		r, err := verified(t, orttest.Host(t), patch(t, name, injectAll), "", runtime.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, c := range r.Checks {
			if c.Name == want && c.OK && c.Want == "<= 1e-05" {
				found++
			}
		}
		if found != 2 {
			t.Errorf("%s: %d layers of %q: %+v", name, found, want, r.Checks)
		}
	}
}

// counting is a host that opens a number of models and then no more, counts those that are still open, and keeps what it was given.
type counting struct {
	runtime.Host
	left, open int
	asked      []runtime.Model
}

func (h *counting) Open(ctx context.Context, m runtime.Model, o runtime.Options) (runtime.Session, error) {
	h.asked = append(h.asked, m)
	if h.left--; h.left < 0 {
		return nil, errors.New("no more")
	}
	s, err := h.Host.Open(ctx, m, o)
	if err == nil {
		h.open++
	}
	return &counted{s, h}, err
}

type counted struct {
	runtime.Session
	h *counting
}

func (s *counted) Close() error {
	s.h.open--
	return s.Session.Close()
}

// Whether it ends well or in an error, Verify leaves no model open.
func TestVerifyCloses(t *testing.T) {
	out := patch(t, "torchscript-op10.onnx", injectAll)
	for left := range 4 {
		h := &counting{Host: orttest.Host(t), left: left}
		_, err := verified(t, h, out, "", runtime.Options{Threads: 1})
		if (err == nil) != (left == 3) || h.open != 0 {
			t.Errorf("a host that opens %d models: %d are open, %v", left, h.open, err)
		}
	}
}

// The host reads the two files itself: what this program made of them could hide what it gets wrong. Only the laws run on a graph
// in memory.
func TestVerifyOpensTheFiles(t *testing.T) {
	out := patch(t, "torchscript-op10.onnx", injectAll)
	h := &counting{Host: orttest.Host(t), left: 3}
	if _, err := verified(t, h, out, "", runtime.Options{Threads: 1}); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, m := range h.asked {
		if m.Bytes == nil {
			paths = append(paths, m.Path)
		}
	}
	if want := []string{filepath.Join(filepath.Dir(out), "model.onnx"), out}; !slices.Equal(paths, want) || len(h.asked) != 3 {
		t.Errorf("%d models were opened, from files %q, want %q", len(h.asked), paths, want)
	}
}

// A file that the host does not take as it is on disk is an error, whatever this program could make of it.
func TestVerifyRefusesFiles(t *testing.T) {
	for _, which := range []string{"model.onnx", "patched.onnx"} {
		out := patch(t, "torchscript-op10.onnx", injectAll)
		h := picky{orttest.Host(t), which}
		_, err := verified(t, h, out, "", runtime.Options{Threads: 1})
		if err == nil || !strings.Contains(err.Error(), "as it is on disk: not "+which) {
			t.Errorf("%s: %v", which, err)
		}
	}
}

// picky is a host that takes a file in memory alone.
type picky struct {
	runtime.Host
	not string
}

func (h picky) Open(ctx context.Context, m runtime.Model, o runtime.Options) (runtime.Session, error) {
	if m.Bytes == nil && filepath.Base(m.Path) == h.not {
		return nil, errors.New("not " + h.not)
	}
	return h.Host.Open(ctx, m, o)
}

// A check that cannot fail is none: a wrong original, a heavier weight, a memory that reaches nothing.
func TestVerifyFindsFaults(t *testing.T) {
	host, o := orttest.Host(t), runtime.Options{Threads: 1}
	out := patch(t, "torchscript-op10.onnx", injectAll)

	other := patch(t, "torchscript-op10.onnx", func(l *models.Layout) rewrite.Request {
		v := make([]float32, l.DModel)
		v[0] = 1
		return rewrite.Request{Bake: []rewrite.Bake{{Baked: models.Baked{Layer: 0, Tau: 1}, Vector: v}}}
	})
	r, err := verified(t, host, out, other, o)
	if err != nil || r.OK || r.Checks[0].OK {
		t.Errorf("against another function: %+v, %v", r, err)
	}

	dead := fixedTau(t, out, 1, 0)
	if r, err = verified(t, host, dead, "", o); err != nil || r.OK {
		t.Fatalf("a memory without effect: %+v, %v", r, err)
	}
	for _, c := range r.Checks {
		if want := c.Name != "a memory has an effect" || c.Layer != 1; c.OK != want {
			t.Errorf("%s of layer %d: ok %v, want %v", c.Name, c.Layer, c.OK, want)
		}
	}
}

// fixedTau writes a copy of a patched file that computes with a tau of its own at a layer, whatever it is fed.
func fixedTau(t *testing.T, patched string, layer int, tau float32) string {
	t.Helper()
	m, err := graph.Load(patched)
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	for _, v := range m.Graph.Inputs() {
		if v.Name() == models.PortAttnOut.Input(models.PortTau).Name(layer) {
			fixed := e.Const(m.Graph, "fixed", graph.NewFloat32([]float32{tau}, 1, 1, 1))
			for _, u := range v.Uses() {
				e.Redirect(u, fixed)
			}
		}
	}
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(filepath.Dir(patched), "fixed.onnx")
	if _, err := graph.Save(t.Context(), m, out, graph.Auto, false); err != nil {
		t.Fatal(err)
	}
	return out
}

// The worst a check can find is no number in JSON, and the document is one all the same.
func TestVerifyNotFinite(t *testing.T) {
	patched := fixedTau(t, patch(t, "torchscript-op10.onnx", injectAll), 1, float32(math.Inf(1))) // times a memory of zeros
	r, err := verified(t, orttest.Host(t), patched, "", runtime.Options{Threads: 1})
	if err != nil || r.OK || !math.IsInf(r.Checks[0].Got, 1) {
		t.Fatalf("%+v, %v", r, err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Checks []map[string]any
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for i, c := range r.Checks {
		got, ok := doc.Checks[i]["got"]
		if want := any(c.Got); math.IsInf(c.Got, 0) || math.IsNaN(c.Got) {
			if !ok || got != nil {
				t.Errorf("%s: %v is %v in JSON, want null", c.Name, c.Got, got)
			}
		} else if got != want {
			t.Errorf("%s: %v is %v in JSON", c.Name, want, got)
		}
		if doc.Checks[i]["name"] != c.Name || doc.Checks[i]["ok"] != c.OK {
			t.Errorf("%+v is %v in JSON", c, doc.Checks[i])
		}
	}
}

// What is the same differs by nothing, whatever it is.
func TestWorstDifference(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, tt := range []struct {
		a, b []float32
		want float64
	}{
		{[]float32{1, inf, -inf, nan, 2}, []float32{1, inf, -inf, nan, 2.5}, 0.5},
		{[]float32{inf}, []float32{-inf}, math.Inf(1)},
		{[]float32{nan, 0}, []float32{0, 0}, math.Inf(1)},
		{[]float32{0}, []float32{inf}, math.Inf(1)},
	} {
		n := int64(len(tt.a))
		if got, err := worstDifference(graph.NewFloat32(tt.a, n), graph.NewFloat32(tt.b, n)); got != tt.want || err != nil {
			t.Errorf("%v and %v: %v, %v; want %v", tt.a, tt.b, got, err, tt.want)
		}
	}
}

// A copy whose weights are not the original's fails, even where the prompt does not use them: all of W_E's rows of other tokens,
// for example. A sample finds a changed tensor; --full finds 4,000 changed bytes.
func TestVerifyWeights(t *testing.T) {
	host, o := orttest.Host(t), runtime.Options{Threads: 1}
	out := patch(t, "torchscript-op17-mask.onnx", injectAll)
	original := filepath.Join(filepath.Dir(out), "model.onnx")
	m, err := graph.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	man, err := models.ReadManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "whole.onnx")
	if _, err := rewrite.Save(t.Context(), m, man, whole, graph.Copy, false); err != nil {
		t.Fatal(err)
	}
	weights := func(full bool) Check {
		t.Helper()
		r, err := verifiedAll(t, host, whole, original, full, o)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == "weights equal the original's" })
		if i < 0 {
			t.Fatal("no check of the weights")
		}
		if r.OK && !r.Checks[i].OK {
			t.Error("a failed check, and the report is OK")
		}
		return r.Checks[i]
	}
	for _, full := range []bool{false, true} {
		if c := weights(full); !c.OK || c.Got != 0 {
			t.Errorf("full %v: %+v, want no difference", full, c)
		}
	}
	copied, err := graph.Load(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	tables := map[string]bool{} // W_E and the positions, whose rows are not all used by a prompt
	for k, name := range copied.Constants() {
		s, large := k.Span()
		if !large || len(k.Dims) != 2 || s.Length < 5000 {
			continue
		}
		tables[name] = true
		data, err := os.ReadFile(s.File.Path)
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(data)
		for i := range min(4000, s.Length) {
			changed[s.Offset+s.Length-1-i] ^= 1 // the last bit of numbers, at the end of the tensor
		}
		if err := os.WriteFile(s.File.Path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if c := weights(true); c.OK || c.Got < 1 || !strings.Contains(c.Note, name) {
			t.Errorf("4,000 bytes of %s changed: %+v", name, c)
		}
		if err := os.WriteFile(s.File.Path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if len(tables) == 4 {
			break
		}
	}
	if len(tables) < 4 {
		t.Errorf("only %d tensors were changed", len(tables))
	}
}

func TestVerifyErrors(t *testing.T) {
	host, o := orttest.Host(t), runtime.Options{Threads: 1}
	out := patch(t, "torchscript-op10.onnx", injectAll)
	src := filepath.Join(filepath.Dir(out), "model.onnx")
	if _, err := verified(t, host, src, "", o); err == nil || !strings.Contains(err.Error(), "not a patched model: it holds no manifest") {
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
	if _, err := verified(t, host, out, "", o); err == nil || !strings.Contains(err.Error(), "model.onnx have changed since the file was patched") {
		t.Errorf("changed weights: %v", err)
	}
	if _, err := verified(t, host, whole, "", o); err == nil || !strings.Contains(err.Error(), "it has changed since") {
		t.Errorf("a changed original: %v", err)
	}
	if err := os.Remove(src); err != nil {
		t.Fatal(err)
	}
	if _, err := verified(t, host, out, "", o); err == nil {
		t.Error("a missing original is no error")
	}
}
