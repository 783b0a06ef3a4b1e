// Package recognise finds a decoder in a graph. It decides by structure, types and constants, never by names: tests rename
// everything, shuffle the nodes and swap operands, and require the same result. It works in these steps:
//
//	anchor ─▶ core ─▶ W_O ─▶ [norm | factor] ─▶ join ─▶ layer ─▶ stack of layers ─▶ embeddings, final norm, unembedding
//
// The terms are:
//
//   - A form is one way in which files write attention, such as a Softmax between two products, or one fused operator. It
//     begins at an anchor, a node that may be part of attention, and gives a core: the attention computation itself.
//   - A projection is an operation that multiplies activations by a constant matrix, in any format of the matrix.
//   - A branch is the part after a core: the projection through W_O, an optional norm (Gemma 2, OLMo 2) or factor (Granite),
//     and the join. The join is the operand of the addition that brings in another part of the residual stream.
//   - A block is sequential if the MLP reads the sum of the stream and attention, and parallel if both read the same stream.
//     Files write parallel blocks in three ways; see block.go. The layer number of a block is the number of other cores that
//     it depends on.
//   - The number of query heads and their width come from every place in the file that gives them. All must agree with each
//     other and with the rows of W_O.
//   - A family is a kind of decoder, such as llama. An exporter is the program that wrote the file. Both are information for
//     people, and nothing is decided by them.
//
// [Locate] returns the layout. A graph that is nearly a decoder is refused with a [Refusal] that names the difference. [Why]
// reports for every form how far it got. All walks over one graph share a budget of steps (package ops), so that the time is
// bounded by the size of the graph.
package recognise
