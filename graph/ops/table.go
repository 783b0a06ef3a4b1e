package ops

import "slices"

const ms = "com.microsoft."

// table has one line for each operator. Shapes and types are those of the first output; shape.go and types.go define the
// rules.
var table = slices.Concat([]Op{
	{Name: "Identity", Class: Convert, Type: from(0), Shape: like(0), Ints: sameInts},
	{Name: "Cast", Class: Convert, Type: attribute("to"), Shape: like(0), Ints: sameInts},
	{Name: "CastLike", Class: Convert, Data: 1, Type: from(1), Shape: like(0)},
	{Name: "Dropout", Class: Convert, Data: 1, Type: from(0), Shape: like(0)},
	{Name: "QuantizeLinear", Class: Convert, Data: 1, Type: from(2), Shape: like(0)},
	{Name: "DequantizeLinear", Class: Convert, Data: 1, Type: from(1), Shape: like(0)},
	{Name: ms + "DequantizeLinear", Class: Convert, Data: 1, Type: from(1), Shape: like(0)},
	{Name: ms + "QuantizeLinear", Class: Convert, Data: 1, Type: from(2), Shape: like(0)},
	{Name: "DynamicQuantizeLinear", Class: Convert, Data: 1, Shape: like(0), Whole: true},

	{Name: "Reshape", Class: Reshape, Data: 1, Type: from(0), Shape: target, Ints: flatInts},
	{Name: "Squeeze", Class: Reshape, Data: 1, Type: from(0), Shape: squeezed, Ints: sameInts},
	{Name: "Unsqueeze", Class: Reshape, Data: 1, Type: from(0), Shape: unsqueezed, Ints: oneInt},
	{Name: "Flatten", Class: Reshape, Type: from(0), Shape: ranked(2), Ints: sameInts},
	{Name: "Transpose", Class: Permute, Type: from(0), Shape: permuted},

	{Name: "Slice", Class: Pick, Data: 1, Type: from(0), Shape: sliced, Ints: slicedInts},
	{Name: "Split", Class: Pick, Data: 1, Type: from(0), Shape: split},
	{Name: "SplitToSequence", Class: Pick, Data: 1},
	{Name: "SequenceAt", Class: Pick, Data: 1},
	{Name: "Gather", Class: Pick, Data: 1, Type: from(0), Shape: gathered, Ints: gatheredInts},
	{Name: "GatherND", Class: Pick, Data: 1, Type: from(0), Shape: gatheredND},
	{Name: "GatherElements", Class: Pick, Data: 1, Type: from(0), Shape: like(1)},
	{Name: ms + "GatherBlockQuantized", Class: Pick, Data: 1, Type: from(2), Shape: gatheredBlocks},
	{Name: "Trilu", Class: Pick, Data: 1, Type: from(0), Shape: like(0)},
	{Name: "Expand", Class: Repeat, Data: 1, Type: from(0), Shape: expanded},
	{Name: "Tile", Class: Repeat, Data: 1, Type: from(0), Shape: sameRank},
	{Name: "Concat", Class: Join, Type: from(0, 1), Shape: joined, Ints: joinedInts},

	{Name: "Where", Class: Pointwise, Skip: 1, Type: from(1, 2), Shape: broadcast, Ints: chosenInts},
	{Name: "Clip", Class: Pointwise, Data: 1, Type: from(0), Shape: like(0)},
	{Name: ms + "BiasGelu", Class: Pointwise, Type: from(0, 1), Shape: like(0)},
	{Name: ms + "FastGelu", Class: Pointwise, Type: from(0, 1), Shape: like(0)},

	{Name: "ReduceMean", Class: Reduce, Data: 1, Type: from(0), Shape: reduced},
	{Name: "ReduceSum", Class: Reduce, Data: 1, Type: from(0), Shape: reduced},
	{Name: "ReduceMax", Class: Reduce, Data: 1, Type: from(0), Shape: reduced},
	{Name: "ReduceSumSquare", Class: Reduce, Data: 1, Type: from(0), Shape: reduced},
	{Name: "ReduceL2", Class: Reduce, Data: 1, Type: from(0), Shape: reduced},
	{Name: "GlobalAveragePool", Class: Reduce, Type: from(0), Shape: sameRank},
	{Name: "Softmax", Class: Along, Type: from(0), Shape: like(0)},

	{Name: "LayerNormalization", Class: Normalise, Data: 1, Type: from(1, 0), Shape: like(0), Norm: &NormSlots{Gamma: 1, Beta: 2, Epsilon: 1e-5}},
	{Name: "RMSNormalization", Class: Normalise, Data: 1, Type: from(1, 0), Shape: like(0), Norm: &NormSlots{Gamma: 1, Root: true, Epsilon: 1e-5}},
	{Name: "SimplifiedLayerNormalization", Class: Normalise, Data: 1, Type: from(1, 0), Shape: like(0), Norm: &NormSlots{Gamma: 1, Root: true, Epsilon: 1e-5}},
	{Name: "LpNormalization", Class: Normalise, Type: from(0), Shape: like(0)},
	{Name: ms + "SkipLayerNormalization", Class: Normalise, Data: 2, Type: from(2), Shape: like(0),
		Norm: &NormSlots{Gamma: 2, Beta: 3, Skip: true, Bias: 4, Sum: 3, Epsilon: 1e-12}},
	{Name: ms + "SkipSimplifiedLayerNormalization", Class: Normalise, Data: 2, Type: from(2), Shape: like(0),
		Norm: &NormSlots{Gamma: 2, Skip: true, Bias: 3, Sum: 3, Root: true, Epsilon: 1e-12}},
	{Name: ms + "EmbedLayerNormalization", Type: from(2), Norm: &NormSlots{Gamma: 5, Beta: 6, Sum: 2, Epsilon: 1e-12}},

	{Name: "RotaryEmbedding", Class: Rotate, Data: 1, Type: from(0), Shape: like(0), Rows: []RowSlot{{1, 3}, {2, 3}, {3, 2}}},
	{Name: ms + "RotaryEmbedding", Class: Rotate, Data: 1, Type: from(0), Shape: like(0), Rows: []RowSlot{{1, 2}}},

	{Name: "MatMul", Class: Product, Type: from(1, 0), Shape: product},
	{Name: "Gemm", Class: Product, Data: 2, Type: from(1, 0), Shape: gemm, Bias: 2},
	{Name: ms + "FusedMatMul", Class: Product, Type: from(1, 0), Shape: product},
	{Name: ms + "FusedGemm", Class: Product, Data: 2, Type: from(1, 0), Shape: gemm, Bias: 2},
	{Name: "MatMulInteger", Class: Product, Data: 2, Type: always(int32s), Shape: product},
	{Name: ms + "DynamicQuantizeMatMul", Class: Product, Data: 2, Type: from(2), Shape: product, Bias: 4, Whole: true},
	{Name: ms + "MatMulIntegerToFloat", Class: Product, Data: 2, Type: from(3), Shape: product, Bias: 6},
	{Name: ms + "MatMulNBits", Class: Product, Data: 1, Type: from(2), Shape: attributeN, Bias: 5},
	{Name: ms + "MatMulBnb4", Class: Product, Data: 1, Type: from(2), Shape: attributeN},

	{Name: ms + "MoE", Data: 2, Type: from(0), Shape: like(0)},
	{Name: ms + "QMoE", Data: 2, Type: from(0), Shape: like(0)},

	{Name: "Attention", Class: Attention, Data: 3, Type: from(0), Shape: attended, Attn: &AttnSlots{Q: 0, K: 1, V: 2, Heads: "q_num_heads", KVHeads: "kv_num_heads",
		Causal: "is_causal", Mask: 3, Past: []int{4, 5}, Rows: []int{6}, Mode: "qk_matmul_output_mode", Value: 3, Pattern: 3}},
	{Name: ms + "Attention", Class: Attention, Data: 1, Type: from(0), Shape: flat, Attn: &AttnSlots{Packed: true, Heads: "num_heads", Causal: "unidirectional",
		Past: []int{4}, Rows: []int{3}, Earlier: 6}},
	{Name: ms + "QAttention", Class: Attention, Data: 1, Type: from(3), Shape: flat, Attn: &AttnSlots{Packed: true, Heads: "num_heads", Causal: "unidirectional",
		Past: []int{8}, Rows: []int{5}}},
	{Name: ms + "MultiHeadAttention", Class: Attention, Data: 3, Type: from(0), Shape: flat, Attn: &AttnSlots{Q: 0, K: 1, V: 2, Heads: "num_heads", Causal: "unidirectional",
		Mask: 5, Past: []int{6, 7}, Rows: []int{4, 8}, Earlier: 8}},
	{Name: ms + "GroupQueryAttention", Class: Attention, Data: 3, Type: from(0), Shape: grouped, Attn: &AttnSlots{Q: 0, K: 1, V: 2, Heads: "num_heads", KVHeads: "kv_num_heads",
		Mask: 10, Past: []int{3, 4}, InPlace: true, OneAfter: true, LastKeys: 5, Keys: 6, Positions: 9, Mode: "qk_output", Value: 2, Pattern: 3},
		Rows: []RowSlot{{5, 0}, {9, 0}}},
	{Name: ms + "DecoderMaskedSelfAttention", Class: Attention, Data: 1, Type: from(0), Attn: &AttnSlots{Packed: true, Heads: "num_heads",
		Past: []int{4}, Single: true}},
	{Name: ms + "DecoderMaskedMultiHeadAttention", Class: Attention, Data: 3, Type: from(0), Attn: &AttnSlots{Q: 0, K: 1, V: 2, Heads: "num_heads",
		Mask: 4, Past: []int{5, 6}, Single: true}},

	{Name: "Shape", Type: always(int64s), Shape: ranked(1), Ints: shapeInts},
	{Name: "Size", Type: always(int64s), Shape: ranked(0)},
	{Name: "Range", Type: from(0), Shape: ranked(1)},
	{Name: "ConstantOfShape", Type: fill, Shape: filled, Ints: filledInts},
	{Name: "Equal", Class: Pointwise, Type: always(bools), Shape: broadcast, Ints: equalInts},
	{Name: "Less", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "LessOrEqual", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "Greater", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "GreaterOrEqual", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "And", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "Or", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "Xor", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "Not", Class: Pointwise, Type: always(bools), Shape: broadcast},
	{Name: "IsNaN", Class: Pointwise, Type: always(bools), Shape: like(0)},
}, pointwise("Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum", "Mod"), // operators with several operands
	pointwise("Pow", "Sqrt", "Reciprocal", "Neg", "Abs", "Exp", "Log", "Tanh", "Erf", "Sigmoid", "Relu", "LeakyRelu", "Elu", "Gelu", "Silu", "Swish",
		"HardSigmoid", "HardSwish", "Softplus", "Softsign", "Sin", "Cos", "Sign", "Floor", "Ceil", "Round", "ThresholdedRelu", "Mish",
		ms+"Gelu", ms+"QuickGelu"))

// pointwise makes lines for operators that compute each number from the numbers at the same place.
func pointwise(names ...string) []Op {
	out := make([]Op, len(names))
	for i, n := range names {
		out[i] = Op{Name: n, Class: Pointwise, Type: from(0, 1), Shape: broadcast, Ints: integer[n], Unary: unary[n], Binary: binary[n]}
	}
	return out
}
