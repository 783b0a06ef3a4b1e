package recognise

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// projections lists the functions that read the matrix of an operation that multiplies activations by a constant matrix.
// They return nil if the operand is not such a matrix. To accept another operation, add a line here and one in the table of
// operators.
var projections = map[string]func(a *analysis, n *graph.Node) *weights.Weight{
	"MatMul":                              readMatMul,
	"Gemm":                                readGemm,
	"com.microsoft.FusedMatMul":           readFusedMatMul,
	"MatMulInteger":                       readMatMulInteger,
	"com.microsoft.DynamicQuantizeMatMul": readQuantized(1, 2, 3),
	"com.microsoft.MatMulIntegerToFloat":  readQuantized(1, 3, 5),
	"com.microsoft.MatMulNBits":           readNBits,
	"com.microsoft.MatMulBnb4":            readBnb4,
}

// readProjection returns the weight of n, or nil if n is not a projection. The weight is shared: callers that change it
// must copy it.
func (a *analysis) readProjection(n *graph.Node) *weights.Weight {
	if !ops.Is(n, ops.Product) {
		return nil
	}
	w, known := a.read[n]
	if known {
		return w
	}
	if read := projections[n.FullOp()]; read != nil {
		if w = read(a, n); w != nil {
			w.Node = n
		}
		if bias := biasOf(n); bias != nil && !a.Is(bias) {
			w = nil
		}
	}
	a.read[n] = w
	return w
}

// biasOf returns the bias input of a projection, or nil if there is none.
func biasOf(n *graph.Node) *graph.Value { return optional(n, ops.Of(n).Bias) }

func readMatMul(a *analysis, n *graph.Node) *weights.Weight {
	if a.Is(n.In(0)) {
		return nil
	}
	return a.matrix(n.In(1))
}

// readGemm reads Y = alpha * A * B + beta * C, with B transposed if transB is set. Conv1D of transformers stores W as [in,
// out].
func readGemm(a *analysis, n *graph.Node) *weights.Weight {
	if n.Int("transA", 0) != 0 || n.In(2) != nil && n.Float("beta", 1) != 1 {
		return nil
	}
	return readScaled(a, n)
}

func readFusedMatMul(a *analysis, n *graph.Node) *weights.Weight {
	if n.Int("transA", 0) != 0 || n.Int("transBatchA", 0) != 0 || n.Int("transBatchB", 0) != 0 {
		return nil
	}
	return readScaled(a, n)
}

// readScaled reads alpha * A * B, with B transposed if transB is set.
func readScaled(a *analysis, n *graph.Node) *weights.Weight {
	w := readMatMul(a, n)
	if w == nil {
		return nil
	}
	w.Alpha = n.Float("alpha", 1)
	if n.Int("transB", 0) != 0 {
		flip(w)
	}
	return w
}

// flip records that the operation transposes its operand.
func flip(w *weights.Weight) {
	w.Transposed, w.OperandT = !w.Transposed, true
	w.In, w.Out = w.Out, w.In
}

// readMatMulInteger reads the operators that dynamic quantisation writes; see scaled.
func readMatMulInteger(a *analysis, n *graph.Node) *weights.Weight {
	w := a.matrix(n.In(1))
	scale := scaled(n)
	if w == nil || w.Scale != nil || scale == nil {
		return nil
	}
	for _, in := range scale.Inputs() {
		for _, s := range in.Producer().Inputs() {
			if s.Const() != nil {
				return quantized(w, s, n.In(3))
			}
		}
	}
	return nil
}

// scaled finds the node that converts the integers of n to floats:
//
//	MatMulInteger(x_q, W_q, x_zero, W_zero) → Cast → Mul(·, x_scale * W_scale)
func scaled(n *graph.Node) *graph.Node {
	if !n.Is("MatMulInteger") {
		return nil
	}
	for _, u := range n.Out(0).Uses() {
		if !u.Node.Is("Cast") {
			continue
		}
		for _, u := range u.Node.Out(0).Uses() {
			if u.Node.Is("Mul") && u.Node.In(1-u.Slot).Producer().Is("Mul") {
				return u.Node
			}
		}
	}
	return nil
}

func readQuantized(weight, scale, zero int) func(*analysis, *graph.Node) *weights.Weight {
	return func(a *analysis, n *graph.Node) *weights.Weight {
		w := a.matrix(n.In(weight))
		if w == nil || w.Scale != nil || n.In(scale).Const() == nil {
			return nil
		}
		return quantized(w, n.In(scale), n.In(zero))
	}
}

// quantized sets scale and zero point. They apply to columns if they have more than one element.
func quantized(w *weights.Weight, scale, zero *graph.Value) *weights.Weight {
	if zero != nil && zero.Const() == nil {
		return nil
	}
	w.Scale, w.Zero = scale.Const(), zero.Const()
	w.ScaleValue, w.ZeroValue = scale, zero
	w.Axis = 1
	if w.Transposed {
		w.Axis = 0
	}
	return w
}

func readNBits(a *analysis, n *graph.Node) *weights.Weight {
	b := &weights.Block{Bits: n.Int("bits", 4), Size: n.Int("block_size", 0), Packed: n.In(1).Const(), Scales: n.In(2).Const(), Zeros: n.In(3).Const()}
	if b.Packed == nil || b.Scales == nil || n.In(3) != nil && b.Zeros == nil || b.Size <= 0 {
		return nil
	}
	return &weights.Weight{In: n.Int("K", 0), Out: n.Int("N", 0), Transposed: true, Alpha: 1, Block: b}
}

// readBnb4 reads only the shape of the matrix. Its 4-bit floats can be read only by the operator.
func readBnb4(a *analysis, n *graph.Node) *weights.Weight {
	if !a.Is(n.In(1)) || !a.Is(n.In(2)) {
		return nil
	}
	return &weights.Weight{In: n.Int("K", 0), Out: n.Int("N", 0), Alpha: 1}
}

// matrix finds the constant of a two-dimensional operand, through Identity, Cast, Transpose and DequantizeLinear.
func (a *analysis) matrix(v *graph.Value) *weights.Weight {
	w := &weights.Weight{Alpha: 1, Operand: v}
	for v != nil {
		if k := v.Const(); k != nil {
			dims := weights.MatrixDims(k)
			if dims == nil || len(k.Dims) > 2 && w.Scale != nil {
				return nil
			}
			w.Store = k
			w.In, w.Out = dims[0], dims[1]
			if w.Transposed {
				w.In, w.Out = w.Out, w.In
			}
			return w
		}
		n := v.Producer()
		switch {
		case n.Is("Identity", "Cast"):
		case n.Is("Transpose"):
			if perm := n.Ints("perm"); perm != nil && !slices.Equal(perm, []int64{1, 0}) {
				return nil
			}
			w.Transposed = !w.Transposed
			if w.Scale != nil { // the axis refers to the order before this Transpose
				w.Axis = 1 - w.Axis
			}
		case n.Is("DequantizeLinear") && n.In(0).Producer().Is("QuantizeLinear"): // floats in the file, rounded during a run
			n = n.In(0).Producer()
		case n.Is("DequantizeLinear", "com.microsoft.DequantizeLinear"):
			if w.Scale != nil {
				return nil
			}
			w.Scale, w.Zero = n.In(1).Const(), n.In(2).Const()
			w.Axis = int(n.Int("axis", 1)+2) % 2
			w.ScaleBlock = n.Int("block_size", 0)
			if w.Scale == nil || n.In(2) != nil && w.Zero == nil {
				return nil
			}
		default:
			return nil
		}
		v = n.In(0)
	}
	return nil
}
