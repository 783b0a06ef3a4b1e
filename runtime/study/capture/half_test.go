package capture

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// widen reads a float16 with the reader of package graph, which was written independently.
func widen(t *testing.T, h uint16) float64 {
	t.Helper()
	x, err := (&graph.Tensor{DType: graph.Float16, Dims: []int64{1}, Data: binary.LittleEndian.AppendUint16(nil, h)}).Float32s()
	if err != nil {
		t.Fatal(err)
	}
	return float64(x[0])
}

// Every float16 is its own nearest float16. Between two of them the middle goes to the even one, and everything else to the nearer.
func TestHalf(t *testing.T) {
	for h := uint16(0); h <= 0x7c00; h++ {
		x := widen(t, h)
		for _, sign := range []float64{1, -1} {
			want := h
			if sign < 0 {
				want |= 0x8000
			}
			if got := half(float32(math.Copysign(x, sign))); got != want {
				t.Fatalf("half(%v) = %#x, want %#x", sign*x, got, want)
			}
		}
		if h == 0x7c00 {
			break
		}
		next := widen(t, h+1)
		if h+1 == 0x7c00 {
			next = 65536 // as if the exponents went on
		}
		middle := float32((x + next) / 2) // exact: one bit more than a float16
		even := h + h&1
		if got := half(middle); got != even {
			t.Fatalf("half(%v) = %#x, want the even %#x", middle, got, even)
		}
		if got := half(math.Nextafter32(middle, 0)); got != h {
			t.Fatalf("half below the middle of %v and %v = %#x, want %#x", x, next, got, h)
		}
		if got := half(math.Nextafter32(middle, math.MaxFloat32)); got != h+1 {
			t.Fatalf("half above the middle of %v and %v = %#x, want %#x", x, next, got, h+1)
		}
	}
	for _, x := range []float64{65520, 1e9, math.Inf(1)} {
		if got := half(float32(x)); got != 0x7c00 {
			t.Errorf("half(%v) = %#x, want infinity", x, got)
		}
	}
	if got := half(float32(math.NaN())); got&0x7c00 != 0x7c00 || got&0x3ff == 0 {
		t.Errorf("half(NaN) = %#x", got)
	}
}
