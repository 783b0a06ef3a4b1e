// Package memory turns a text into the vector that is injected.
//
//   - A memory is a vector of d_model numbers and the text that it came from; tau is what it is multiplied by.
//   - An [Encoding] says where the vector of a text comes from, a [Convention] in whose coordinates it is taken.
//   - An [Encoder] makes vectors from the weights of one model.
//   - [Texts] says how texts become tokens.
//
// # Two conventions
//
// The paper (arXiv 2309.05605) adds tau times a vector to attn_out of one layer, at every position. Its code runs in
// TransformerLens 1.x, which does not keep the weights as they are published: it multiplies W_U by the weight of the final
// norm, takes from each row of W_U its mean over the vocabulary, and from everything that is written to the residual stream
// its mean over d_model (not in a model with RMSNorm, which reads that mean). The model computes the same probabilities; the
// vectors made of its weights are others. So there are two conventions: "tl-folded", the vectors of the paper, written in the
// file's own parameters in the comment on [Encoder]; and "raw", plain sums of the file's parameters. They are not close: W_U of GPT-2 is W_E transposed, so that raw "unembed"
// is raw "embed", while the paper's two encodings differ.
//
// # Tokens
//
// A token that occurs twice in a text counts once, as in the paper's code. The text is encoded as it is: without a
// beginning-of-text token, and without a space in front. The third encoding, "layer", is an activation: attn_out of the layer
// that will be injected, at the last token of a beginning-of-text token and the text. It takes a run, which is the runtime's
// business; [LayerVector] brings the result into the convention.
package memory
