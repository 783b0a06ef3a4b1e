package main

import (
	"bytes"
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// The folder opens like one of the builder, with the dimensions that were asked for, and runs.
func TestLlama(t *testing.T) {
	dir := t.TempDir()
	if err := run([]string{"-size", "llama-tiny", "-external", "-o", filepath.Join(dir, "model.onnx")}); err != nil {
		t.Fatal(err)
	}
	written := read(t, filepath.Join(dir, "model.onnx"))
	if written.ir != 10 || written.opset != 22 {
		t.Errorf("IR %d, opset %d: want IR 10, opset 22", written.ir, written.opset)
	}
	count := map[string]int{}
	for _, op := range written.ops {
		count[op]++
	}
	for op, want := range map[string]int{"GroupQueryAttention": 2, "SimplifiedLayerNormalization": 1, "SkipSimplifiedLayerNormalization": 4, "MatMul": 2*5 + 1, "Transpose": 1} {
		if count[op] != want {
			t.Errorf("%d %s nodes, want %d", count[op], op, want)
		}
	}

	f, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Load(f.Model)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	l, err := recognise.Locate(context.Background(), m, f.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := sizes["llama-tiny"]
	got := []int64{int64(l.Layers), int64(l.Heads), int64(l.KVHeads), int64(l.DHead), int64(l.DModel), int64(l.Vocab)}
	if d := cmp.Diff([]int64{s.layers, s.heads, s.kv, s.embd / s.heads, s.embd, s.vocab}, got); d != "" {
		t.Errorf("layers, heads, kv heads, d_head, d_model, vocabulary (-want +got):\n%s", d)
	}
	if l.PositionKind != models.RotaryPositions || l.Exporter != "onnxruntime-genai, with cache" {
		t.Errorf("%s positions, exporter %q: want rotary positions, onnxruntime-genai with a cache", l.PositionKind, l.Exporter)
	}

	in, err := inputs.Read(m, l)
	if err != nil {
		t.Fatal(err)
	}
	session, err := runtime.OpenGraph(context.Background(), orttest.Host(t), m, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	feeds, err := in.Feeds([][]int64{{3, 1, 4, 1, 5}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.Run(context.Background(), feeds, "logits")
	if err != nil {
		t.Fatal(err)
	}
	logits, err := out["logits"].Float32s()
	if err != nil || len(logits) != 5*int(s.vocab) {
		t.Fatalf("%d logits, %v: want %d", len(logits), err, 5*s.vocab)
	}
	if slices.ContainsFunc(logits, func(x float32) bool { return math.IsNaN(float64(x)) }) {
		t.Error("logits: got NaN")
	}
	if v := int(s.vocab); cmp.Equal(logits[v:2*v], logits[3*v:4*v]) {
		t.Error("the same token at positions 1 and 3 has equal logits: positions have no effect")
	}
}

func TestSparseLlamaHasNoWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := run([]string{"-size", "llama-tiny", "-external", "-sparse", "-o", path}); err != nil {
		t.Fatal(err)
	}
	for name, d := range read(t, path).data { // the ranges are inside the file
		if zero := len(bytes.TrimLeft(d, "\x00")) == 0; zero != (len(d) >= externalFrom) {
			t.Errorf("initializer %q of %d bytes: all zero is %v", name, len(d), zero)
		}
	}
}

func TestRotary(t *testing.T) {
	s := size{heads: 2, embd: 16, positions: 5} // 4 pairs in each head
	w := rotary("cos_cache", s, math.Cos)
	if d := cmp.Diff([]int64{5, 4}, w.dims); d != "" {
		t.Errorf("dimensions (-want +got):\n%s", d)
	}
	for _, c := range []struct {
		position, pair int64
		angle          float64
	}{{0, 0, 0}, {0, 3, 0}, {1, 0, 1}, {4, 0, 4}, {4, 2, 4 / math.Sqrt(rotaryBase)}} {
		if got, want := w.at(c.position*4+c.pair), float32(math.Cos(c.angle)); math.Abs(float64(got-want)) > 1e-6 {
			t.Errorf("position %d, pair %d: %g, want %g", c.position, c.pair, got, want)
		}
	}
}
