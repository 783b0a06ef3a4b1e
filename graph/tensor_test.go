package graph

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestByteSize(t *testing.T) {
	tests := []struct {
		d    DType
		dims []int64
		want int64 // -1: refused
	}{
		{Float32, nil, 4}, {Float32, []int64{2, 3}, 24}, {Bool, []int64{3}, 3}, {Float16, []int64{3}, 6}, {Complex128, []int64{2}, 32},
		{Int4, []int64{3}, 2}, {Uint4, []int64{4}, 2}, {25, []int64{5}, 2}, {27, []int64{4}, 3},
		{Float32, []int64{0, 1 << 62, 1 << 62}, 0}, {Float32, []int64{0, -1}, -1}, {Float32, []int64{-1}, -1},
		{Float32, []int64{1 << 40, 1 << 40}, -1}, {Float64, []int64{1 << 60}, -1}, {Int8, []int64{1 << 60}, -1}, {Int8, []int64{1 << 59}, 1 << 59},
		{String, []int64{1}, -1}, {99, []int64{1}, -1}, {Undefined, nil, -1},
	}
	for _, tt := range tests {
		got, err := ByteSize(tt.d, tt.dims)
		if err != nil {
			got = -1
		}
		if got != tt.want {
			t.Errorf("%v%v: got %d, want %d (%v)", tt.d, tt.dims, got, tt.want, err)
		}
	}
}

func TestDTypeNames(t *testing.T) {
	for d := range dtypes {
		if got, ok := parseDType(d.String()); !ok || got != d {
			t.Errorf("%v is read as %v", d, got)
		}
	}
	if _, ok := parseDType("float31"); ok || DType(99).String() != "dtype(99)" {
		t.Error("an unknown type has a name")
	}
	if !BFloat16.IsFloat() || Int64.IsFloat() || Float8E5M2.IsFloat() {
		t.Error("wrong float types")
	}
}

func TestFloat32s(t *testing.T) {
	tests := []struct {
		name string
		x    *Tensor
		want []float32
	}{
		{"float32", NewFloat32([]float32{1, -2}, 2), []float32{1, -2}},
		{"float32, odd address", &Tensor{Float32, []int64{1}, append([]byte{0}, float32Bytes(3)...)[1:]}, []float32{3}},
		{"nothing", NewFloat32(nil, 0, 4), nil},
		{"float16", &Tensor{Float16, []int64{5}, []byte{0, 0x3c, 0, 0xc1, 1, 0, 0, 0x7c, 1, 0x80}}, []float32{1, -2.5, 1.0 / (1 << 24), float32(math.Inf(1)), -1.0 / (1 << 24)}},
		{"bfloat16", &Tensor{BFloat16, []int64{2}, []byte{0x80, 0x3f, 0x20, 0xc0}}, []float32{1, -2.5}},
		{"float64", &Tensor{Float64, []int64{1}, []byte{0, 0, 0, 0, 0, 0, 4, 0xc0}}, []float32{-2.5}},
	}
	for _, tt := range tests {
		got, err := tt.x.Float32s()
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v (%v)", tt.name, got, tt.want, err)
		}
	}
	if _, err := Zeros(Int64, 2).Float32s(); err == nil || !strings.Contains(err.Error(), "want a float tensor, got int64") {
		t.Errorf("got %v", err)
	}
	if _, err := Zeros(Float32, 2).Int64s(); err == nil || !strings.Contains(err.Error(), "want an integer tensor, got float32") {
		t.Errorf("got %v", err)
	}
	if got, err := NewInt32([]int32{-1, 2}, 2).Int64s(); err != nil || !cmp.Equal(got, []int64{-1, 2}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []func(){func() { NewFloat32([]float32{1}, 2) }, func() { Zeros(String, 1) }, func() { TensorType(Float32, 1.5) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a wrong call does not panic")
				}
			}()
			bad()
		}()
	}
}

// TestConst reads constants whole and by rows, in memory and on disk, and refuses rows that do not exist.
func TestConst(t *testing.T) {
	big := make([]float32, 512*2)
	for i := range big {
		big[i] = float32(i)
	}
	m := parse(t, "graph g { const s = string[1] {\"a\"} const i = int4[4] base64 \"IUM=\" out s }")
	e := m.Edit()
	e.Const(m.Graph, "big", NewFloat32(big, 512, 2))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	inMemory := find(t, m, "big").Const()
	m = resave(t, m)
	onDisk := find(t, m, "big").Const()
	if _, ok := inMemory.Span(); ok {
		t.Error("a new constant is on disk")
	}
	if s, ok := onDisk.Span(); !ok || s.Length != 4096 || onDisk.ByteSize() != 4096 || onDisk.Len() != 1024 || !strings.Contains(s.String(), ":+4096]") {
		t.Errorf("span %v", s)
	}
	for _, c := range []*Const{inMemory, onDisk} {
		x, err := c.Rows(510, 2)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := x.Float32s(); !cmp.Equal(got, []float32{1020, 1021, 1022, 1023}) || !cmp.Equal(x.Dims, []int64{2, 2}) {
			t.Errorf("rows %v%v", got, x.Dims)
		}
		for _, r := range [][2]int64{{-1, 1}, {0, -1}, {511, 2}, {513, 0}, {math.MaxInt64, math.MaxInt64}} {
			if _, err := c.Rows(r[0], r[1]); err == nil {
				t.Errorf("rows %v of 512", r)
			}
		}
	}
	if _, err := find(t, m, "i").Const().Rows(0, 1); err == nil {
		t.Error("rows of half bytes")
	}
	if _, err := find(t, m, "s").Const().Load(); err == nil || !strings.Contains(err.Error(), "a tensor of string has no readable data") {
		t.Errorf("a string tensor: %v", err)
	}
	if find(t, m, "s").Const().ByteSize() != 0 {
		t.Error("strings have a size")
	}
	if _, err := onDisk.span.ReadAt(make([]byte, 8), 4090); err == nil {
		t.Error("read past the span")
	}
	m.Close()
	if _, err := onDisk.Load(); err == nil || !strings.Contains(err.Error(), "read ") {
		t.Errorf("a closed file: %v", err)
	}
}

func TestModelAccessors(t *testing.T) {
	m := parse(t, `ir 8 opset 17 opset a.b 2 meta "k" "v" graph g { in x out x }`)
	if v, ok := m.Meta("k"); v != "v" || !ok {
		t.Errorf("meta %q", v)
	}
	if _, ok := m.Meta("none"); ok {
		t.Error("metadata that does not exist")
	}
	if m.Opset("") != 17 || m.Opset("ai.onnx") != 17 || m.Opset("a.b") != 2 || m.Opset("none") != 0 || m.IRVersion() != 8 || m.Path() != "" || m.inlined {
		t.Error("misread")
	}
	for _, tt := range []struct {
		w    Weights
		path string
		want Weights
	}{{Ref, "x", Ref}, {Auto, "x", Embed}, {Auto, filepath.Join("no", "folder", "x"), Embed}} {
		if got := WeightsFor(m, tt.path, tt.w); got != tt.want {
			t.Errorf("%s for %s: %s, want %s", tt.w, tt.path, got, tt.want)
		}
	}
}
