package models

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// referring writes a model with 5.5 MB of weights in a data file, which is followed by more bytes, and a copy of the model that
// refers to it. It returns the path of the copy and of the data.
func referring(t *testing.T, more int64, whole bool) (path, data string) {
	t.Helper()
	dir := t.TempDir()
	data = filepath.Join(dir, "w.bin")
	src, at := "graph main {\n in x: float32[1]\n", 0
	for i, d := range [][2]int{{512, 512}, {1024, 512}, {1, 512}, {512, 1024}, {64, 2048}} {
		src += fmt.Sprintf(" const w%d = float32[%d, %d] file \"w.bin\" %d %d\n", i, d[0], d[1], at, 4*d[0]*d[1])
		at += 4 * d[0] * d[1]
	}
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, at)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	if err := os.WriteFile(data, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(data, int64(at)+more); err != nil {
		t.Fatal(err)
	}
	m, err := graph.ParseIn(dir, src+" y = Neg(x)\n out y\n}\nopset \"\" 17")
	if err != nil {
		t.Fatal(err)
	}
	man := NewManifest(&Layout{Layers: 1})
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if man.Data, err = DataOf(t.Context(), m, real, whole); err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	e.SetMeta(ManifestKey, man.Encode())
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "copy.onnx")
	if _, err := graph.Save(t.Context(), m, path, graph.Ref, false); err != nil {
		t.Fatal(err)
	}
	return path, data
}

// opened reads the manifest of a file, which compares samples, and then compares every byte.
func opened(t *testing.T, path string) (sampled []string, sample, whole error) {
	t.Helper()
	m, err := graph.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	_, sample = ReadManifest(m)
	text, _ := m.Meta(ManifestKey)
	var man Manifest
	if err := json.Unmarshal([]byte(text), &man); err != nil {
		t.Fatal(err)
	}
	sampled, whole = man.CheckData(t.Context(), m, true)
	return sampled, sample, whole
}

// Any 4,000 changed bytes of 5.5 MB are found when the file is opened, because a file of that size is read whole.
func TestB07AnyBytesOfSmallFile(t *testing.T) {
	path, data := referring(t, 0, false)
	if sampled, sample, whole := opened(t, path); sample != nil || whole != nil || sampled != nil {
		t.Fatalf("unchanged: %v, %v, only sampled %q", sample, whole, sampled)
	}
	r := rand.New(rand.NewPCG(3, 4))
	st, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		at := r.Int64N(st.Size() - 4000)
		change(t, data, at, 4000)
		if _, sample, whole := opened(t, path); sample == nil || whole == nil || !strings.Contains(sample.Error(), "w.bin have changed since the file was patched") {
			t.Errorf("4,000 bytes at %d changed: %v, %v", at, sample, whole)
		}
		change(t, data, at, 4000)
	}
}

// In a larger file, a changed part of any tensor is found when it is opened, and any 4,000 bytes when every byte is read.
func TestB07AnyBytesOfLargeFile(t *testing.T) {
	path, data := referring(t, 16<<20, true)
	if sampled, sample, whole := opened(t, path); sample != nil || whole != nil || sampled != nil {
		t.Fatalf("unchanged: %v, %v, only sampled %q", sample, whole, sampled)
	}
	r := rand.New(rand.NewPCG(5, 6))
	m, err := graph.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for c, name := range m.Constants() {
		s, _ := c.Span()
		n := max(s.Length/16, min(s.Length, 4096)) // a head of 16, or all of a small tensor
		at := s.Offset + r.Int64N(s.Length/n)*n
		change(t, data, at, n)
		if _, sample, _ := opened(t, path); sample == nil {
			t.Errorf("%d bytes of %s changed: the sample is the same", n, name)
		}
		change(t, data, at, n)
		at = s.Offset + r.Int64N(max(1, s.Length-4000))
		change(t, data, at, min(4000, s.Length))
		if _, _, whole := opened(t, path); whole == nil {
			t.Errorf("4,000 bytes of %s changed: not found by reading every byte", name)
		}
		change(t, data, at, min(4000, s.Length))
	}
	path, _ = referring(t, 16<<20, false)
	if sampled, sample, whole := opened(t, path); sample != nil || whole != nil || len(sampled) != 1 || filepath.Base(sampled[0]) != "w.bin" {
		t.Errorf("without a checksum of every byte: %v, %v, only sampled %q", sample, whole, sampled)
	}
}

// change flips bits of n bytes of a file.
func change(t *testing.T, path string, at, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= 1
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}
