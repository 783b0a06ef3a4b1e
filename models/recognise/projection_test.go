package recognise

import (
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// A product is a projection only if this package can read its matrix. Each case is one product, y; want is the shape of W, or
// 0 x 0.
func TestProjections(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		in, out    int64
		scale      bool
		axis       int
	}{
		{"MatMul", "y = MatMul(x, w)", 4, 2, false, 0},
		{"MatMul of a constant", "y = MatMul(w, x)", 0, 0, false, 0},
		{"MatMul of two constants", "y = MatMul(u, w)", 0, 0, false, 0},
		{"MatMul by an activation", "y = MatMul(x, z)", 0, 0, false, 0},
		{"MatMul by a vector", "y = MatMul(x, line)", 0, 0, false, 0},
		{"moved", "k = Transpose(u) {perm: [1, 0]} c = Cast(k) {to: 1} i = Identity(c) y = MatMul(x, i)", 4, 2, false, 0},
		{"moved in another way", "k = Transpose(w) {perm: [0, 1]} y = MatMul(x, k)", 0, 0, false, 0},
		{"computed", "k = Neg(w) y = MatMul(x, k)", 0, 0, false, 0},
		{"Gemm", "y = Gemm(x, u, line) {transB: 1}", 4, 2, false, 0},
		{"Gemm of a transposed activation", "y = Gemm(x, w) {transA: 1}", 0, 0, false, 0},
		{"Gemm with a scaled bias", "y = Gemm(x, w, line) {beta: 0.5}", 0, 0, false, 0},
		{"Gemm with a computed bias", "y = Gemm(x, w, z)", 0, 0, false, 0},
		{"FusedMatMul", "y = com.microsoft.FusedMatMul(x, u) {transB: 1, alpha: 2.0}", 4, 2, false, 0},
		{"FusedMatMul of a transposed activation", "y = com.microsoft.FusedMatMul(x, w) {transA: 1}", 0, 0, false, 0},
		{"FusedMatMul with another order of batches", "y = com.microsoft.FusedMatMul(x, w) {transBatchB: 1}", 0, 0, false, 0},

		{"dequantised", "k = DequantizeLinear(q, s2, z2) y = MatMul(x, k)", 4, 2, true, 1},
		{"dequantised twice", "k = DequantizeLinear(q, s, z) l = DequantizeLinear(k, s, z) y = MatMul(x, l)", 0, 0, false, 0},
		{"dequantised by a computed scale", "k = DequantizeLinear(q, z, z8) y = MatMul(x, k)", 0, 0, false, 0},
		{"dequantised around a computed zero", "k = DequantizeLinear(q, s, b8) y = MatMul(x, k)", 0, 0, false, 0},
		{"dequantised in batches", "k = DequantizeLinear(q3, s, z8) y = MatMul(x, k)", 0, 0, false, 0},

		{"MatMulInteger", "i = MatMulInteger(a, q, az, z8) c = Cast(i) {to: 1} f = Mul(as, s2) y = Mul(c, f)", 4, 2, true, 1},
		{"MatMulInteger, moved", "qt = Transpose(q2) {perm: [1, 0]} i = MatMulInteger(a, qt, az, z8) c = Cast(i) {to: 1} f = Mul(as, s2) y = Mul(c, f)", 4, 2, true, 0},
		{"MatMulInteger without a scale", "i = MatMulInteger(a, q, az, z8) y = Neg(i)", 0, 0, false, 0},
		{"MatMulInteger scaled by activations", "i = MatMulInteger(a, q, az, z8) c = Cast(i) {to: 1} f = Mul(as, as) y = Mul(c, f)", 0, 0, false, 0},
		{"MatMulInteger around a computed zero", "i = MatMulInteger(a, q, az, b8) c = Cast(i) {to: 1} f = Mul(as, s2) y = Mul(c, f)", 0, 0, false, 0},
		{"MatMulIntegerToFloat", "y = com.microsoft.MatMulIntegerToFloat(a, q, as, s2, az, z2)", 4, 2, true, 1},
		{"MatMulIntegerToFloat by a computed scale", "y = com.microsoft.MatMulIntegerToFloat(a, q, as, as, az, z2)", 0, 0, false, 0},
		{"DynamicQuantizeMatMul", "y = com.microsoft.DynamicQuantizeMatMul(x, q, s2, z2)", 4, 2, true, 1},
		{"DynamicQuantizeMatMul with a computed bias", "y = com.microsoft.DynamicQuantizeMatMul(x, q, s2, z2, z)", 0, 0, false, 0},

		{"MatMulNBits", "y = com.microsoft.MatMulNBits(x, p, s2) {K: 4, N: 2, bits: 4, block_size: 16}", 4, 2, false, 0},
		{"MatMulNBits without a size", "y = com.microsoft.MatMulNBits(x, p, s2) {K: 4, N: 2}", 0, 0, false, 0},
		{"MatMulNBits of computed bytes", "y = com.microsoft.MatMulNBits(x, b8, s2) {K: 4, N: 2, block_size: 16}", 0, 0, false, 0},
		{"MatMulNBits by computed scales", "y = com.microsoft.MatMulNBits(x, p, z) {K: 4, N: 2, block_size: 16}", 0, 0, false, 0},
		{"MatMulNBits around computed zeros", "y = com.microsoft.MatMulNBits(x, p, s2, b8) {K: 4, N: 2, block_size: 16}", 0, 0, false, 0},
		{"MatMulBnb4", "y = com.microsoft.MatMulBnb4(x, p, s2) {K: 4, N: 2}", 4, 2, false, 0},
		{"MatMulBnb4 of computed bytes", "y = com.microsoft.MatMulBnb4(x, b8, s2) {K: 4, N: 2}", 0, 0, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := graph.Parse(`ir 10
opset 21
opset com.microsoft 1
graph main {
  in x: float32[b, n, 4]
  in z: float32[4, 2]
  in b8: uint8[4, 2]
  const w = float32[4, 2] {1, 2, 3, 4, 5, 6, 7, 8}
  const u = float32[2, 4] {1, 2, 3, 4, 5, 6, 7, 8}
  const line = float32[2] {1, 2}
  const q = int8[4, 2] {1, 2, 3, 4, 5, 6, 7, 8}
  const q2 = int8[2, 4] {1, 2, 3, 4, 5, 6, 7, 8}
  const q3 = int8[1, 4, 2] {1, 2, 3, 4, 5, 6, 7, 8}
  const p = uint8[2, 1, 8] {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}
  const s = float32[] {0.5}
  const s2 = float32[2] {0.5, 0.25}
  const z2 = int8[2] {0, 0}
  const z8 = int8[] {0}
  a, as, az = DynamicQuantizeLinear(x)
  ` + tt.text + `
  end = Identity(y)
  out end
}`)
			if err != nil {
				t.Fatal(err)
			}
			a := look(m)
			n := m.Graph.Lookup("y").Producer()
			for _, other := range m.Graph.Nodes() {
				if other.Is("MatMulInteger") {
					n = other
				}
			}
			w := a.readProjection(n)
			if w == nil {
				if tt.in != 0 {
					t.Fatalf("not read, want a matrix [%d %d]", tt.in, tt.out)
				}
				return
			}
			if w.In != tt.in || w.Out != tt.out || (w.Scale != nil) != tt.scale || w.Scale != nil && w.Axis != tt.axis {
				t.Errorf("got a matrix [%d %d], scale %v along axis %d, want [%d %d], %v, %d", w.In, w.Out, w.Scale != nil, w.Axis, tt.in, tt.out, tt.scale, tt.axis)
			}
			if w.Node != n {
				t.Errorf("its node is %v, want %v", w.Node, n)
			}
		})
	}
}
