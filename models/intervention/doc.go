// Package intervention describes changes of a decoder while it runs, and turns them into feeds for the ports of a patched model.
//
// # One formula
//
// At a site of a layer, with x the model's own value there:
//
//	x' = keep * x + tau * memory          off: keep = 1, tau = 0
//
// Every operation is a choice of keep, tau and memory:
//
//	add      keep 1, tau and a memory     memory injection, a steering vector
//	replace  keep 0, tau 1 and a memory   activation patching, mean ablation, back-patching
//	scale    keep k, no memory            a component made stronger or weaker
//	ablate   keep 0, no memory            knock-out
//
// # From a file to feeds
//
// An [Entry] is one element of an interventions file: names and texts, as a user writes them. A [Change] is the same for one
// layer with its numbers. A [Plan] is the changes of one run, in order: several changes of one value are made one after the
// other. [Plan.Feeds] gives the tensors of the ports for some positions of the text, so that a text can be run in steps.
//
// # Positions
//
// [Positions] selects tokens of the prompt. [When] says whether a change acts on the prompt, on generated tokens, or on both.
// Positions other than all are positions of the prompt, so such a change never acts on generated tokens.
package intervention
