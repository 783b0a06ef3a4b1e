package weights

import (
	"github.com/onnx-inject/onnx-inject/graph"
)

// Weight is a constant matrix in whichever form the exporter left it: y[…, Out] = x[…, In] · W. For an embedding table In
// counts the rows and Out is d_model. See params.go for its values and rewrite for its form in a graph.
type Weight struct {
	In, Out    int64
	Store      *graph.Const // [In, Out], or [Out, In] when Transposed; nil for Block
	Transposed bool         // for Block: its rows are the columns of W
	Scale      *graph.Const // quantised values stand for (q - zero) * scale; a scalar, or one element for each index of Axis
	Zero       *graph.Const // like Scale; nil means 0
	Axis       int          // stored axis along which Scale and Zero run
	ScaleBlock int64        // a scale for each so many values along Axis, as DequantizeLinear of opset 21 has them; 0: see Scale
	Block      *Block       // blockwise quantised
	Alpha      float64      // factor on the product, 1 as a rule
	Node       *graph.Node  // the operation that reads the matrix
	Operand    *graph.Value // the value Node reads it as; float where Scale and Block are nil
	OperandT   bool         // Operand is [Out, In] and Node transposes it
	ScaleValue *graph.Value // the values behind Scale and Zero, for rebuilding W in the graph
	ZeroValue  *graph.Value
}

// Block is the layout of com.microsoft.MatMulNBits and GatherBlockQuantized: each row of the stored matrix is cut into blocks of Size
// values, each with a scale and a zero point. Packed is bytes with 8/Bits values, low bits first, a row padded to whole bytes or to
// whole blocks; or it has a type of 4 bits, without padding. A missing zero point is 2^(Bits-1) in bytes, and 0 in a type of 4 bits.
type Block struct {
	Bits, Size            int64
	Packed, Scales, Zeros *graph.Const
}

// MatrixDims returns the two dimensions of a matrix, nil when a constant is none. Ones in front of them change nothing.
func MatrixDims(k *graph.Const) []int64 {
	n := len(k.Dims)
	if n < 2 || k.Len() != k.Dims[n-2]*k.Dims[n-1] {
		return nil
	}
	return k.Dims[n-2:]
}
