package weights

import (
	"github.com/onnx-inject/onnx-inject/graph"
)

// Weight is a constant matrix in any form that exporters write: y[…, Out] = x[…, In] · W. For an embedding table, In is the
// number of rows and Out is d_model. params.go reads its values, and package rewrite rebuilds it in a graph.
type Weight struct {
	In, Out    int64
	Store      *graph.Const // [In, Out], or [Out, In] when Transposed; nil for Block
	Transposed bool         // for Block: its rows are the columns of W
	Scale      *graph.Const // quantised values represent (q - zero) * scale; a scalar, or one element for each index of Axis
	Zero       *graph.Const // like Scale; nil means 0
	Axis       int          // stored axis along which Scale and Zero vary
	ScaleBlock int64        // number of values along Axis that share a scale, as in DequantizeLinear of opset 21; 0: see Scale
	Block      *Block       // blockwise quantised
	Alpha      float64      // factor on the product, usually 1
	Node       *graph.Node  // the operation that reads the matrix
	Operand    *graph.Value // the value of the matrix as read by Node; float if Scale and Block are nil
	OperandT   bool         // Operand is [Out, In] and Node transposes it
	ScaleValue *graph.Value // ScaleValue and ZeroValue are the values of Scale and Zero, for rebuilding W in the graph
	ZeroValue  *graph.Value
}

// Block is the layout of com.microsoft.MatMulNBits and GatherBlockQuantized: each row of the stored matrix is cut into
// blocks of Size values, each with a scale and a zero point. Packed either holds bytes with 8/Bits values each, low bits
// first, with rows padded to whole bytes or whole blocks, or it has a 4-bit type without padding. A missing zero point is
// 2^(Bits-1) for bytes, and 0 for a 4-bit type.
type Block struct {
	Bits, Size            int64
	Packed, Scales, Zeros *graph.Const
}

// MatrixDims returns the two dimensions of a matrix, or nil if the constant is not a matrix. Leading dimensions of 1 are
// ignored.
func MatrixDims(k *graph.Const) []int64 {
	n := len(k.Dims)
	if n < 2 || k.Len() != k.Dims[n-2]*k.Dims[n-1] {
		return nil
	}
	return k.Dims[n-2:]
}
