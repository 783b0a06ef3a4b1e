// Package eval is the batch evaluation: it computes every cell of prompts x layers x taus x memories once, and writes the
// results so that a killed process loses at most one prompt.
//
// # What is computed
//
// A two-hop prompt ("The largest coral reef system in the world is located off the coast of") is run clean, and with a
// memory of the missing hop ("The Great Barrier Reef"), times tau, added to the attention output of one layer. A cell
// holds the model's score of the answer: log-probability and rank of the first token of " " + answer at the last
// position. The one-hop prompt, the same question with the missing hop spelled out, is run clean as well. Its score is
// the ceiling.
//
// # Where memories come from
//
// A source returns memories for each cell: the curated memory of the data, no memory, words drawn at random as in the
// paper, the memory of another prompt, a column, or a file of texts or vectors. [Sources] lists them.
//
// # How it is computed
//
// A plan computes the cells of one prompt. [Plans] lists them: points runs each cell alone and is the oracle; rows runs
// the cells of a layer as rows of one batch; fanout computes the whole grid of a prompt in one run and shares the
// computation below the injected layer. All plans compute the same numbers. Auto uses fanout. When the model or its
// numbers do not allow that, it falls back to another plan and records the reason.
//
// Package results stores the results in a folder.
package eval
