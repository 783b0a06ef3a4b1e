// Package eval is the batch evaluation: every cell of prompts x layers x taus x memories, computed once, written where a kill
// loses at most one prompt.
//
// # What is computed
//
// A prompt of two hops ("The largest coral reef system in the world is located off the coast of") is run clean, and with a
// memory of the missing hop ("The Great Barrier Reef") added to the attention output of one layer, times tau. A cell is
// what the model then thinks of the answer: log-probability and rank of the first token of " " + answer at the last
// position. The same question with the missing hop spelled out, the one-hop prompt, is run clean as well: it is the
// ceiling.
//
// # Where memories come from
//
// A source gives memories for each cell: the curated one of the data, none at all, words drawn at random as the paper draws
// them, the memory of another prompt, a column, a file of texts or vectors. [Sources] is the list.
//
// # How it is computed
//
// A plan computes the cells of one prompt. [Plans] is the list: points runs each cell alone and is the oracle; rows makes
// the cells of a layer rows of one batch; fanout computes the whole grid of a prompt in one run, sharing everything below
// the injected layer. All give the same numbers. Auto takes fanout, and falls back where the model or its numbers do not
// allow it, with the reason.
//
// Results go to a folder of package results.
package eval
