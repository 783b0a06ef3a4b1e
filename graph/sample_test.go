package graph

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A sample of a matrix has a stretch within each head's part of it, whether the heads are rows or columns, and within each of
// 32 blocks of rows.
func TestPlacesReachEveryHead(t *testing.T) {
	for _, tt := range []struct{ heads, dHead, dModel, size int64 }{
		{12, 64, 768, 4}, {16, 64, 1024, 4}, {25, 64, 1600, 4}, {32, 128, 4096, 2}, {64, 128, 8192, 2}, {20, 80, 2560, 2}, {12, 128, 1536, 4}, {128, 128, 16384, 2},
	} {
		rows, columns := tt.heads*tt.dHead, tt.dModel
		for _, transposed := range []bool{false, true} {
			if transposed {
				rows, columns = columns, rows
			}
			width := columns * tt.size
			met := map[int64]bool{}
			blocks := map[int64]bool{}
			for at := range places(rows*width, rows) {
				blocks[at/width*32/rows] = true
				if !transposed {
					met[at/width/tt.dHead] = true
					continue
				}
				for _, b := range []int64{at, at + sampleSize - 1} {
					met[b%width/tt.size/tt.dHead] = true
				}
			}
			if int64(len(met)) != tt.heads {
				t.Errorf("%+v, transposed %v: %d heads sampled", tt, transposed, len(met))
			}
			if len(blocks) != 32 {
				t.Errorf("%+v, transposed %v: %d of 32 blocks of rows sampled", tt, transposed, len(blocks))
			}
		}
	}
}

// Places are within the tensor, each once, for any shape.
func TestPlacesAreInside(t *testing.T) {
	for _, length := range []int64{1, 63, 64, 65, 1024, 4095, 4096, 4097, 100_003, 1 << 20, 300 << 20, 1 << 33} {
		for _, rows := range []int64{1, 2, 3, 7, 64, 1000, 50257, length} {
			if rows > length {
				continue
			}
			n := 0
			for at := range places(length, rows) {
				if n++; at < 0 || at+min(sampleSize, length) > length {
					t.Fatalf("%d bytes in %d rows: place %d", length, rows, at)
				}
			}
			if n < 1 || n > 256 || n&(n-1) != 0 {
				t.Errorf("%d bytes in %d rows: %d places", length, rows, n)
			}
		}
	}
}

// withData writes a model whose tensors, w0 and so on, fill a data file of random bytes followed by more bytes, and returns its
// path and that of the data.
func withData(t *testing.T, more int64, dims ...[]int64) (model, data string) {
	t.Helper()
	dir := t.TempDir()
	src, at := "graph main {\n in x: float32[1]\n", int64(0)
	for i, d := range dims {
		n, _ := numElements(d)
		src += fmt.Sprintf(" const w%d = float32%s file \"w.bin\" %d %d\n", i, strings.ReplaceAll(fmt.Sprint(d), " ", ", "), at, 4*n)
		at += 4 * n
	}
	data = filepath.Join(dir, "w.bin")
	if err := os.WriteFile(data, randomBytes(int(at)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(data, at+more); err != nil {
		t.Fatal(err)
	}
	m, err := ParseIn(dir, src+" y = Neg(x)\n out y\n}\nopset \"\" 17")
	if err != nil {
		t.Fatal(err)
	}
	model = filepath.Join(dir, "m.onnx")
	if _, err := Save(t.Context(), m, model, Ref, false); err != nil {
		t.Fatal(err)
	}
	return model, data
}

// flip changes n bytes of a file.
func flip(t *testing.T, path string, at, n int64) {
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
		b[i] ^= 0x55
	}
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// A changed head of W_O changes the sample of a large file, and so does any tensor; 4,000 changed bytes change the checksum of the
// whole file.
func TestB05ChangedData(t *testing.T) {
	const heads = 8
	path, data := withData(t, smallFile, []int64{3}, []int64{256, 512}, []int64{512, 256}, []int64{1000}, []int64{heads, 32, 256})
	m, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var f *DataFile
	for _, s := range m.Sources() {
		if filepath.Base(s.Path) == "w.bin" {
			f = s
		}
	}
	if f.Small() {
		t.Fatal("the file is read whole anyway")
	}
	sums := func() (sample, whole string) {
		t.Helper()
		sample, err := m.SampleTensors(f)
		if err == nil {
			whole, err = f.SHA256(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return sample, whole
	}
	sample, whole := sums()
	for c, name := range m.Constants() {
		s, _ := c.Span()
		parts := int64(1)
		if len(c.Dims) > 1 {
			parts = heads
		}
		for part := range parts {
			at, n := s.Offset+part*s.Length/parts, s.Length/parts
			flip(t, data, at, n)
			if got, _ := sums(); got == sample {
				t.Errorf("part %d of %s changed: the same sample", part, name)
			}
			flip(t, data, at, n)
			at += n / 2
			flip(t, data, at, min(n/2, 4000))
			if _, got := sums(); got == whole {
				t.Errorf("4,000 bytes of %s changed: the same checksum", name)
			}
			flip(t, data, at, min(n/2, 4000))
		}
	}
	if again, w := sums(); again != sample || w != whole {
		t.Error("the same bytes have other checksums")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.SHA256(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled checksum: %v", err)
	}
}

// Tensors are compared by type, shape and bytes: by a sample, or by every byte.
func TestConstEqual(t *testing.T) {
	load := func(model string) map[string]*Const {
		m, err := Load(model)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		out := map[string]*Const{}
		for c, name := range m.Constants() {
			out[name] = c
		}
		return out
	}
	model, data := withData(t, 0, []int64{256, 512}, []int64{512, 256}, []int64{300})
	a := load(model)
	copied := filepath.Join(t.TempDir(), "copy.onnx")
	m, err := Load(model)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := Save(t.Context(), m, copied, Copy, false); err != nil {
		t.Fatal(err)
	}
	b := load(copied)
	equal := func(c, d *Const, whole bool) bool {
		t.Helper()
		same, err := c.Equal(t.Context(), d, whole)
		if err != nil {
			t.Fatal(err)
		}
		return same
	}
	for name := range a {
		for _, whole := range []bool{false, true} {
			if !equal(a[name], b[name], whole) || !equal(a[name], a[name], whole) {
				t.Errorf("%s differs from its copy", name)
			}
		}
	}
	if equal(a["w0"], a["w1"], true) {
		t.Error("tensors of other shapes are equal")
	}
	flip(t, data, 200, 20) // between two places of the sample
	if !equal(a["w0"], b["w0"], false) || equal(a["w0"], b["w0"], true) {
		t.Error("20 changed bytes: want a difference with every byte, none in the sample")
	}
	flip(t, data, 0, 8192)
	if equal(a["w0"], b["w0"], false) {
		t.Error("two changed rows are not in the sample")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a["w0"].Equal(stopped, b["w0"], true); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled comparison: %v", err)
	}
	small := parse(t, `graph g { in x: float32[1] const s = string[2] {"a", "b"} const q = string[2] {"a", "c"} const f = float32[1] {1} const g = float32[1] {2} y = Neg(x) out y }`)
	c := map[string]*Const{}
	for k, name := range small.Constants() {
		c[name] = k
	}
	if !equal(c["s"], c["s"], true) || equal(c["s"], c["q"], true) || equal(c["f"], c["g"], false) || equal(c["f"], c["s"], true) {
		t.Error("small tensors and strings are not compared by their elements")
	}
}

// A declared checksum of a large file is checked on request, and a warning says so until then.
func TestB05ChecksumOfLargeFile(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "w.bin")
	if err := os.WriteFile(data, []byte(strings.Repeat("1", 16)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(data, smallFile+1); err != nil {
		t.Fatal(err)
	}
	bytes, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "m.onnx")
	for sum, want := range map[string]string{fmt.Sprintf("%x", sha1.Sum(bytes)): "", strings.Repeat("ab", 20): "want the checksum (SHA-1) abab"} {
		if err := os.WriteFile(path, external(entry("location", "w.bin"), entry("checksum", sum)), 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if w := m.Warnings(); len(w) != 1 || !strings.Contains(w[0], "verify --full") {
			t.Errorf("warnings %q", w)
		}
		covered, err := m.CheckData(t.Context())
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			continue
		}
		if err != nil || covered != smallFile+1 || len(m.Warnings()) != 0 {
			t.Errorf("%d bytes covered, %v, warnings %q", covered, err, m.Warnings())
		}
	}
}
