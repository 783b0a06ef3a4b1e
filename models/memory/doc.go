// Package memory turns a text into the vector that is injected.
//
//   - A memory is a vector of d_model numbers and the text that it came from. It is multiplied by the magnitude tau.
//   - An [Encoding] is the way to make a vector from a text. A [Convention] is the coordinate system of the vector.
//   - An [Encoder] makes vectors from the weights of one model.
//   - [Texts] holds the choices by which texts become tokens.
//
// # Two conventions
//
// The paper (arXiv 2309.05605) adds tau times a vector to attn_out of one layer, at every position. Its code runs in
// TransformerLens 1.x, which changes the published weights: it multiplies W_U by the weight of the final norm, subtracts from
// each row of W_U its mean over the vocabulary, and subtracts from everything that is written to the residual stream its mean
// over d_model (except in a model with RMSNorm, which reads that mean). The model computes the same probabilities, but the
// vectors made from its weights differ. Therefore there are two conventions: "tl-folded" gives the vectors of the paper,
// expressed in the file's own parameters in the comment on [Encoder], and "raw" gives plain sums of the file's parameters.
// The two are not close: W_U of GPT-2 is W_E transposed, so raw "unembed" equals raw "embed", while the paper's two encodings
// differ.
//
// # Tokens
//
// A token that occurs twice in a text counts once, as in the paper's code. The text is encoded as it is: without a
// beginning-of-text token, and without a leading space. The third encoding, "layer", is an activation: attn_out of the layer
// that will be injected, at the last token of a beginning-of-text token followed by the text. It requires a run, which is the
// runtime's task. [LayerVector] converts the result to the convention.
package memory
