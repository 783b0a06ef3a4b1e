// Package models knows what a GPT-2 is. It finds one in a graph, reads its parameters, and turns a text into the vector that
// is injected. It never runs a graph and never changes one.
//
// # What a decoder looks like
//
// A text is a row of tokens. Each becomes a row of W_E, to which a row of W_pos is added (gpt-j turns its queries and keys
// instead). This vector of d_model numbers, one for each position, is the residual stream; every layer reads it through a
// norm and adds to it:
//
//	resid_pre ──┬─ norm ─ attention ── attn_out ──(+)── resid_mid ──┬─ norm ─ MLP ── mlp_out ──(+)── resid_post
//	            └──────────────────────────────────┘                └──────────────────────────┘
//
// The last resid_post goes through the final norm and W_U, and is then the logits. Within attention each head makes z, d_head
// numbers, and the head's rows of W_O turn z into what the head writes: result. Their sum plus the bias b_O is attn_out.
//
// # The words
//
//   - A family is a kind of decoder: gpt2, gpt-neo, gpt-j. They differ in where q, k and v come from, in positions, and in
//     whether attention and MLP follow each other or stand side by side.
//   - An exporter is who wrote the file. One model has a dozen forms, from six small nodes for a norm to one fused operator
//     for a whole block. Exporters matter to people; nothing is decided by them.
//   - A [Layout] is what [Locate] recognised: the sizes, the layers in the order of the residual stream, and pointers to the
//     values and constants of the graph. It is found by structure, types and constants, never by names. [Why] tells how far
//     the recogniser got in a graph that it refused.
//   - A body is a graph that holds the decoder. A merged file has two, the branches of an If.
//   - A [Site] is a place in a layer, such as attn_out, given as the sum of the values that make it up: fused operators keep
//     some sums to themselves.
//   - A join is the operand through which attention enters the residual stream. A memory is added there and nowhere else, so
//     that attn_out itself, should someone read it, is what it was.
//   - A [Weight] is a constant matrix in whichever form the file has it: floats of four kinds, either way round, bytes with
//     scales, blocks of 4 bits. Its rows, columns and means are read from the file when asked for.
//   - A port is an input or output that a rewrite adds. [PortKind] is the table of their names and shapes.
//   - The [Manifest] is the file's own account of its ports, in its metadata.
//   - A memory is a vector of d_model numbers and the text that it came from; tau is what it is multiplied by.
//   - An [Encoding] says where the vector of a text comes from, a [Convention] in whose coordinates it is taken; see below.
//   - A [Folder] is a model with its config.json and tokenizer.
//   - [Inputs] tells what each graph input is for, and feeds them.
//
// # Memories
//
// The paper (arXiv 2309.05605) adds tau times a vector to attn_out of one layer, at every position. Its code runs in
// TransformerLens 1.x, which does not keep the weights as they are published: it multiplies W_U by the weight of the final
// norm, takes from each row of W_U its mean over the vocabulary, and from everything that is written to the residual stream
// its mean over d_model. The model computes the same probabilities; the vectors made of its weights are others. So there are
// two conventions: "tl-folded", the vectors of the paper, written in the file's own parameters in the comment on [Encoder];
// and "raw", plain sums of the file's parameters. They are not close: W_U of GPT-2 is W_E transposed, so that raw "unembed"
// is raw "embed", while the paper's two encodings differ.
//
// A token that occurs twice in a text counts once, as in the paper's code. The text is encoded as it is: without a
// beginning-of-text token, and without a space in front. The third encoding, "layer", is an activation: attn_out of the layer
// that will be injected, at the last token of the text behind a beginning-of-text token. It takes a run, which is the
// runtime's business; [LayerVector] brings the result into the convention.
//
// # What always holds
//
//   - Layers count from 0 in the order of the residual stream.
//   - A Layout belongs to the graph it was found in. After an edit, locate again.
//   - No weight is held in memory longer than it is looked at, and only [Weight.Dense] ever holds a whole one.
//   - Sums over weights are taken in float64.
package models
