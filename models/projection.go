package models

import (
	"github.com/onnx-inject/onnx-inject/graph"
)

// projection is an operation that multiplies activations by a constant matrix. To accept another one, add a line.
type projection struct {
	op   string
	read func(c *consts, n *graph.Node) *Weight // nil: the operand is no constant matrix
}

var projections = []projection{
	{"MatMul", readMatMul},
	{"Gemm", readGemm},
	{"com.microsoft.FusedMatMul", readFusedMatMul},
	{"com.microsoft.GemmFastGelu", readMatMul},
	{"MatMulInteger", readMatMulInteger},
	{"com.microsoft.DynamicQuantizeMatMul", readQuantized(1, 2, 3)},
	{"com.microsoft.MatMulIntegerToFloat", readQuantized(1, 3, 5)},
	{"com.microsoft.MatMulNBits", readNBits},
}

// readProjection returns the weight of n, nil when n is no projection.
func (c *consts) readProjection(n *graph.Node) *Weight {
	for _, p := range projections {
		if n.Is(p.op) {
			if w := p.read(c, n); w != nil {
				w.Node = n
				return w
			}
			return nil
		}
	}
	return nil
}

func readMatMul(c *consts, n *graph.Node) *Weight {
	if c.is(n.In(0)) {
		return nil
	}
	return c.matrix(n.In(1))
}

// readGemm: Y = alpha * A * B + beta * C, B transposed when transB. Conv1D of transformers leaves W as [in, out].
func readGemm(c *consts, n *graph.Node) *Weight {
	if n.Int("transA", 0) != 0 {
		return nil
	}
	w := readMatMul(c, n)
	if w == nil {
		return nil
	}
	w.Alpha = n.Float("alpha", 1)
	if n.Int("transB", 0) != 0 {
		w.flip()
	}
	return w
}

func readFusedMatMul(c *consts, n *graph.Node) *Weight {
	if n.Int("transA", 0) != 0 || n.Int("transBatchA", 0) != 0 || n.Int("transBatchB", 0) != 0 {
		return nil
	}
	w := readMatMul(c, n)
	if w == nil {
		return nil
	}
	w.Alpha = n.Float("alpha", 1)
	if n.Int("transB", 0) != 0 {
		w.flip()
	}
	return w
}

// flip notes that the operation transposes its operand.
func (w *Weight) flip() {
	w.Transposed, w.OperandT = !w.Transposed, true
	w.In, w.Out = w.Out, w.In
}

// readMatMulInteger reads the chain that dynamic quantisation leaves:
//
//	MatMulInteger(x_q, W_q, x_zero, W_zero) → Cast → Mul(·, x_scale * W_scale)
func readMatMulInteger(c *consts, n *graph.Node) *Weight {
	w := c.matrix(n.In(1))
	if w == nil || w.Scale != nil {
		return nil
	}
	for _, u := range n.Out(0).Uses() {
		if !u.Node.Is("Cast") {
			continue
		}
		for _, u := range u.Node.Out(0).Uses() {
			scales := u.Node.In(1 - u.Slot).Producer()
			if !u.Node.Is("Mul") || !scales.Is("Mul") {
				continue
			}
			for _, s := range scales.Inputs() {
				if s.Const() != nil {
					return w.quantized(s, n.In(3))
				}
			}
		}
	}
	return nil
}

func readQuantized(weight, scale, zero int) func(*consts, *graph.Node) *Weight {
	return func(c *consts, n *graph.Node) *Weight {
		w := c.matrix(n.In(weight))
		if w == nil || w.Scale != nil || n.In(scale).Const() == nil {
			return nil
		}
		return w.quantized(n.In(scale), n.In(zero))
	}
}

// quantized attaches scale and zero point; they run over the columns when they have more than one element.
func (w *Weight) quantized(scale, zero *graph.Value) *Weight {
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

func readNBits(c *consts, n *graph.Node) *Weight {
	b := &Block{Bits: n.Int("bits", 4), Size: n.Int("block_size", 0), Packed: n.In(1).Const(), Scales: n.In(2).Const(), Zeros: n.In(3).Const()}
	if b.Packed == nil || b.Scales == nil || n.In(3) != nil && b.Zeros == nil || b.Size <= 0 {
		return nil
	}
	return &Weight{In: n.Int("K", 0), Out: n.Int("N", 0), Alpha: 1, Block: b}
}
