// Package eval is the batch evaluation: it computes every cell of prompts x sites x layers x heads x taus x memories once, and
// writes the results so that a killed process loses at most one prompt.
//
// # What is computed
//
// A two-hop prompt ("The largest coral reef system in the world is located off the coast of") is run clean, and with a
// memory of the missing hop ("The Great Barrier Reef"), times tau, added to the attention output of one layer. A cell
// holds the model's score of the answer: log-probability and rank of the first token of " " + answer at the last
// position. The one-hop prompt, the same question with the missing hop spelled out, is run clean as well. Its score is
// the ceiling.
//
// That is the paper's experiment. A cell can make another change of the value x of a site: an operation of package
// intervention (add, replace, scale, ablate), at one of several sites, for one head or for a layer as a whole, at all
// positions, at some, or at the phrase that stands for the entity. Changes that are the same in all cells can act beside it.
//
// # Where memories come from
//
// A source returns memories for each cell. A memory is a text to encode (the curated memory of the data, words drawn at
// random as in the paper, a column), a vector of a file, or a value that the model itself computes:
//
//	captured    for the one-hop prompt or another text, at the last token: activation patching. It contains the answer
//	entity      for the name of the entity alone, put in place of the phrase for it
//	mean        for all tokens of many texts: mean ablation
//	backpatch   for the prompt itself, after a later layer
//
// The control of each is the memory of another prompt: wrong. [Sources] lists all of them.
//
// A prompt of several hops, or about several entities, has an entity for each of its phrases: see [ReadData] for the columns. A cell of
// source entity changes all phrases in one run, at the same layer. In the control, each phrase has a memory of one other prompt, none
// of which it has itself. A prompt that lacks one of its phrases has cells without a score; phrases that overlap are refused.
//
// # Side effects
//
// A change that helps a prompt may spoil other texts. Side effects are measured for each cell on texts that it should not touch: the
// mean of KL(clean || changed) over the positions from the first changed one on, in nats, and the perplexity of the tokens after it,
// without and with the change. Each text is run once for each cell, and the clean run has the same session, so that tau 0 gives exactly 0.
//
// A text has no answer, no phrase and no memory, so it needs three decisions:
//
//   - The first half of a text is its prompt; the second half follows it, as a generated text would. Changes at all positions act on both
//     halves, changes at given positions on the first.
//   - A change at the last token, or at a phrase, acts on the last token of the first half: as though the prompt, or the phrase, ended
//     there. A text without the phrase would otherwise not change at all, and the number would be 0 by construction. So the number
//     says what the memory does where it acts, not how often it acts. Several memories act on the last tokens of the first half.
//   - Of n prompts and k texts, text i has the memories of prompt i*n/k. The state and the lengths that a cell takes from its own prompt
//     are those of the first half of the text.
//
// # How it is computed
//
// A plan computes the cells of one prompt. [Plans] lists them: points runs each cell alone and is the oracle; rows runs
// cells as rows of batches, and the positions before the first change once, where the file has a cache; fanout changes
// the residual stream and computes the whole grid of a prompt in one run, which also shares the computation below the changed
// layer. All plans compute the same numbers. Auto uses the fastest plan that is made for the evaluation. When the model or its
// numbers do not allow it, auto falls back to the next one and records the reason.
//
// Package results stores the results in a folder, with all columns of the data that the prompts do not have.
package eval
