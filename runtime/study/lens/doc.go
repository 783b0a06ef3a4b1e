// Package lens shows what attention heads write, as words: the vector that a head adds to the residual stream at the last
// position of a prompt, taken through the unembedding as if it were the stream itself.
//
// This is the paper's first experiment. For "The Great Barrier Reef is located off the coast of" some head of a middle layer
// writes a vector whose likeliest token is " Australia"; for "The largest coral reef system in the world is located off the
// coast of" no head names the reef. [Lens.Look] shows one or two prompts head by head, with the missing hop (the entity)
// as what is looked for; [Lens.Survey] counts over a file of prompt pairs which heads name the entity for the one-hop and not
// for the two-hop prompt.
//
// # What goes through the unembedding
//
// With r what the head adds to the residual stream (z times its rows of W_O, d_model numbers, without b_O), E the vocab columns of
// W_U, gamma and beta the weights of the final norm, sigma what the final norm divides by, and C(x) = x - mean of x over d_model, the
// logits of a head are, by [Norm]:
//
//	tl      (C(r - b) * gamma + beta) · E, minus its mean over the vocabulary; b is below
//	final   (C(r) / sigma * gamma) · E
//	raw     r · E + b_U
//
// C is there where the final norm is a LayerNorm. An RMSNorm takes no mean away: then C(x) is x, sigma is the root mean square, and
// there is no beta. Gamma is the whole gain, 1 + w in Gemma. What a file multiplies its logits by (Cohere, Granite) is part of E. A soft
// cap on the logits (Gemma 2) is no sum over heads: what is shown is the head's part of what goes into the cap, and under "tl" no mean is
// taken from it, because the cap makes something else of logits that are shifted.
//
// Some families have something between W_O and the stream: a norm (Gemma 2 and 3, OLMo 2) or a multiplier (Granite). There r is z times
// W_O times the multiplier, or times gamma over sigma of that norm at the prompt's last position, so that the heads still add up to
// attn_out without b_O. TransformerLens' result of a head is the vector before that.
//
// "tl" is what the paper's code has: TransformerLens folds the final norm's weights into W_U and b_U, centres what is written
// to the stream, centres W_U over the vocabulary, and moves the constant part of a head's values into b_O (fold_ln,
// center_writing_weights, center_unembed, fold_value_biases), and the paper then unembeds the head with no norm in
// between. That constant is b = (b_V + beta_1 · W_V) · W_O of the head, beta_1 the bias of the layer's first norm: what the head
// writes whatever it reads.
//
// "final" is direct logit attribution, TransformerLens' apply_ln_to_stack: the scale is the one that the final norm has for
// the whole stream at the prompt's last position, so that the logits of all parts of the stream (heads, b_O, MLPs, embeddings)
// add up to those of the model except for the constant beta · E + b_U.
//
// "raw" is the file's own numbers; the sum over heads, plus b_O · E, is attn_out · E.
//
// Probabilities are the softmax of a head's logits. A head is no language model: they show how sharply it points, not what the
// model says.
//
// # Other parts of a prompt
//
// [Parts] selects what else is shown.
//
// The stream is the logit lens: with x the residual stream at a layer and a position, the logits are those that the model would have if
// the layers that follow added nothing, (C(x) / sigma * gamma + beta) · E + b_U, with sigma that of x, and through the soft cap. The row
// after the last layer is the model's own.
//
// The attribution is direct logit attribution. The stream at the last position is a sum: what enters layer 0, each head's r, each b_O,
// each mlp_out, and memories that are stored in the file. C and the multiplication with gamma / sigma are linear for a fixed sigma, so with
// e the answer's column of E, each part adds
//
//	C(part) / sigma * gamma · e
//
// and these numbers plus the constant beta · e + b_U are the logit, before a soft cap. Every run checks that against the file's logits,
// and is refused where something that was not recognised is added to the stream. The numbers do not say what would happen without
// a part: layers that read it would also change.
//
// A pattern is hook_pattern of one head, [query][key].
//
// # How it is computed
//
// One session of the model gives the results of all heads and what the other parts need, and with a switch that silences the stream in front of every
// layer the constants b, in which beta_1, W_V and b_V need not be found: a norm of zeros is its bias. A second session, of one
// product, multiplies the vectors of many heads and prompts with the unembedding in ranges of tokens, as read (and
// dequantised) by package weights, and keeps what is asked for: the likeliest tokens, the sum of exponentials, and how many
// tokens lie above the entity's. The vocabulary's weights are never in memory at once.
package lens
