// Package recognise finds a decoder in a graph. It decides by structure, types and constants, never by names: tests rename
// everything, shuffle the nodes and swap operands, and require the same answer.
//
//		anchor ─▶ core ─▶ W_O ─▶ [norm | factor] ─▶ join ─▶ layer ─▶ stack of layers ─▶ embeddings, final norm, unembedding
//
//	  - A form is one way in which files write attention, such as a Softmax between two products, or one fused operator. It
//	    begins at an anchor, a node that may be part of attention, and gives a core: the attention computation itself.
//	  - A projection is an operation that multiplies activations by a constant matrix, whatever the format of the matrix.
//	  - A branch is what follows a core: the projection through W_O, perhaps a norm (Gemma 2, OLMo 2) or a factor (Granite), and the
//	    join, the operand of the addition that brings in another part of the residual stream.
//	  - A block is sequential, if the MLP reads the sum of the stream and attention, or parallel, if both read the same stream. Files
//	    write parallel blocks in three ways; see block.go. The layer number of a block is the number of other cores it depends on.
//	  - The number of query heads and their width come from every place that gives them, and all must agree with the rows of W_O.
//	  - A family is a kind of decoder, such as llama. An exporter is the program that wrote the file. Both are for people: nothing is
//	    decided by them.
//
// [Locate] returns the layout. A graph that is nearly a decoder is refused with a [Refusal] that says where it differs; [Why]
// reports for every form how far it got. All walks over one graph share a budget of steps (package ops), so that no graph takes
// longer than its size explains.
package recognise
