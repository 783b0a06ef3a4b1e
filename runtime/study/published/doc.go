// Package published reads the result files that the authors of "Memory Injections" (arXiv 2309.05605) published as runs, so
// that the statistics and the report of our own evaluations work on theirs.
//
// # The files
//
// Their scripts left three kinds of CSV, one row a prompt, in all of which answer_prob_obs is the answer's probability
// after the two-hop ("obscure") prompt and answer_prob_exp after the one-hop ("explicit") prompt:
//
//	tweak_TAU.csv                                     a column a layer, in a folder named for the encoding's hook:
//	                                                  curated memories, which are the explicit_entity of the row
//	MODEL_DATA_fake_inject_layerL_tweakTAU_LIST.csv   a column a word of the list, each for every prompt
//	MODEL_DATA_pos_inject_tweakFactor_TAU.csv         a column a layer, and another with the word that was drawn for the row
//
// A [Set] is the files that make up one run: all taus of one hook, all lists of one cell, all taus of one draw. [Find] lists
// the sets below a folder and [Set.Read] reads one; [Open] does both. In a checkout of the authors' repository, pick from what
// Find lists: all of it are some six million cells.
//
// # What the files do not say
//
// Ranks, the token that an answer counts by, and the top tokens without a memory: ranks and tokens are -1, lists empty.
// Probabilities have the precision of float32. The clean probabilities of a set are those of its first file; they are the
// same in every file of the sets that were looked at. Model and data are what names of files and folders say, which may
// be wrong: the repository has a file of 106 handwritten prompts that is named 2wmh.
package published
