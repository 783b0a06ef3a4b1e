package recognise

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// projection is an operation that multiplies activations by a constant matrix. To accept another one, add a line.
type projection struct {
	op   string
	read func(c *consts, n *graph.Node) *weights.Weight // nil: the operand is no constant matrix
	bias int                                            // the input that is added to the product, 0 where there is none
}

var projections = []projection{
	{"MatMul", readMatMul, 0},
	{"Gemm", readGemm, 2},
	{"com.microsoft.FusedMatMul", readFusedMatMul, 0},
	{"MatMulInteger", readMatMulInteger, 0},
	{"com.microsoft.DynamicQuantizeMatMul", readQuantized(1, 2, 3), 4},
	{"com.microsoft.MatMulIntegerToFloat", readQuantized(1, 3, 5), 6},
	{"com.microsoft.MatMulNBits", readNBits, 5},
	{"com.microsoft.MatMulBnb4", readBnb4, 0},
}

// readProjection returns the weight of n, nil when n is no projection.
func (c *consts) readProjection(n *graph.Node) *weights.Weight {
	for _, p := range projections {
		if n.Is(p.op) {
			w := p.read(c, n)
			if bias := biasOf(n); w == nil || bias != nil && !c.is(bias) {
				return nil
			}
			w.Node = n
			return w
		}
	}
	return nil
}

// biasOf returns what a projection adds to its product, nil for nothing.
func biasOf(n *graph.Node) *graph.Value {
	for _, p := range projections {
		if n.Is(p.op) && p.bias > 0 {
			return n.In(p.bias)
		}
	}
	return nil
}

func readMatMul(c *consts, n *graph.Node) *weights.Weight {
	if c.is(n.In(0)) {
		return nil
	}
	return c.matrix(n.In(1))
}

// readGemm: Y = alpha * A * B + beta * C, B transposed when transB. Conv1D of transformers leaves W as [in, out].
func readGemm(c *consts, n *graph.Node) *weights.Weight {
	if n.Int("transA", 0) != 0 || n.In(2) != nil && n.Float("beta", 1) != 1 {
		return nil
	}
	w := readMatMul(c, n)
	if w == nil {
		return nil
	}
	w.Alpha = n.Float("alpha", 1)
	if n.Int("transB", 0) != 0 {
		flip(w)
	}
	return w
}

func readFusedMatMul(c *consts, n *graph.Node) *weights.Weight {
	if n.Int("transA", 0) != 0 || n.Int("transBatchA", 0) != 0 || n.Int("transBatchB", 0) != 0 {
		return nil
	}
	w := readMatMul(c, n)
	if w == nil {
		return nil
	}
	w.Alpha = n.Float("alpha", 1)
	if n.Int("transB", 0) != 0 {
		flip(w)
	}
	return w
}

// flip notes that the operation transposes its operand.
func flip(w *weights.Weight) {
	w.Transposed, w.OperandT = !w.Transposed, true
	w.In, w.Out = w.Out, w.In
}

// readMatMulInteger reads the chain that dynamic quantisation leaves; see scaled.
func readMatMulInteger(c *consts, n *graph.Node) *weights.Weight {
	w := c.matrix(n.In(1))
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

// scaled finds the node that turns the integers of n into floats:
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

func readQuantized(weight, scale, zero int) func(*consts, *graph.Node) *weights.Weight {
	return func(c *consts, n *graph.Node) *weights.Weight {
		w := c.matrix(n.In(weight))
		if w == nil || w.Scale != nil || n.In(scale).Const() == nil {
			return nil
		}
		return quantized(w, n.In(scale), n.In(zero))
	}
}

// quantized attaches scale and zero point; they run over the columns when they have more than one element.
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

func readNBits(c *consts, n *graph.Node) *weights.Weight {
	b := &weights.Block{Bits: n.Int("bits", 4), Size: n.Int("block_size", 0), Packed: n.In(1).Const(), Scales: n.In(2).Const(), Zeros: n.In(3).Const()}
	if b.Packed == nil || b.Scales == nil || n.In(3) != nil && b.Zeros == nil || b.Size <= 0 {
		return nil
	}
	return &weights.Weight{In: n.Int("K", 0), Out: n.Int("N", 0), Alpha: 1, Block: b}
}

// readBnb4 knows the shape of the matrix only: its 4-bit floats are left to the operator.
func readBnb4(c *consts, n *graph.Node) *weights.Weight {
	if !c.is(n.In(1)) || !c.is(n.In(2)) {
		return nil
	}
	return &weights.Weight{In: n.Int("K", 0), Out: n.Int("N", 0), Alpha: 1}
}
