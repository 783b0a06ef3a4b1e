// Package generate continues texts with a decoder, with and without interventions.
//
// # Steps
//
// A continuation is a sequence of steps. The first step runs the prompt, and each later step runs the token that the one before
// it chose. What attention needs of earlier positions, their keys and values, is the cache. Files have it in several forms:
//
//   - inputs past and outputs present for each layer, or stacked: an output of a step is an input of the next one. It stays on
//     the host as a [runtime.Value].
//   - the same, where the operator can write into the memory of the past (GroupQueryAttention): one tensor of the final size,
//     of which lengths or a mask say how much is filled.
//   - a merged file, whose If runs one branch without a cache and another one with it.
//   - a file that takes one token at a time: the prompt takes as many steps as it has tokens.
//   - no cache: every step runs the whole text again.
//
// Package inputs finds the form. [Model.Continue] gives the same tokens for all of them.
//
// # Interventions
//
// An [intervention.Plan] gives the tensors of the added ports of a step, for the positions that run: those of the prompt first, and
// then those of new tokens one by one.
//
// # Choosing a token
//
// [Sampling] follows the definitions of Hugging Face's transformers, in its order: the repetition penalty, the temperature,
// top-k, top-p, min-p. A temperature of 0 takes the most likely token, the first of equals.
//
// # Text
//
// Tokens are bytes, and a character or a stop text can consist of several tokens. [Text] returns text as soon as it can no
// longer change.
package generate
