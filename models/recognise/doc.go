// Package recognise finds a decoder like GPT-2 in a graph. It goes by structure, types and constants, never by names: tests
// rename everything, shuffle the nodes and swap operands, and demand the same answer.
//
//   - A form is one way in which files write attention, such as a Softmax between two products, or one fused operator. It
//     begins at an anchor, a node that may be part of attention, and gives a core: the attention computation itself.
//   - A projection is an operation that multiplies activations by a constant matrix.
//   - From the core the walk goes forward through W_O to the join, the addition that brings in another part of the residual
//     stream. Which layer it is follows from how many other cores it depends on.
//   - A family is a kind of decoder: gpt2, gpt-neo, gpt-j. They differ in where q, k and v come from, in positions, and in
//     whether attention and MLP follow each other or are computed side by side.
//   - An exporter is who wrote the file. One model has a dozen forms, from six small nodes for a norm to one fused operator
//     for a whole block. Exporters matter to people; nothing is decided by them.
//
// [Locate] returns the layout. A graph that is nearly such a decoder is refused with a [Refusal]; [Why] reports for every form
// how far it got. [ConstInts] and [Rank] answer what is known about a value before the model runs.
package recognise
