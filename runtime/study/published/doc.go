// Package published reads the result files that the authors of "Memory Injections" (arXiv 2309.05605) published, and returns
// them as runs. The statistics and the report of this project's evaluations therefore also work on the published files.
//
// # The files
//
// The authors' scripts wrote three kinds of CSV files with one row per prompt. In all of them, answer_prob_obs is the
// answer's probability after the two-hop ("obscure") prompt and answer_prob_exp after the one-hop ("explicit") prompt:
//
//	tweak_TAU.csv                                     one column per layer, in a folder named after the encoding's
//	                                                  hook; curated memories, the explicit_entity of the row
//	MODEL_DATA_fake_inject_layerL_tweakTAU_LIST.csv   one column per word of the list, each for every prompt
//	MODEL_DATA_pos_inject_tweakFactor_TAU.csv         one column per layer, and one with the word drawn for the row
//
// A [Set] is the files of one run: all taus of one hook, all lists of one cell, or all taus of one draw. [Find] lists the
// sets below a folder and [Set.Read] reads one; [Open] does both. In a checkout of the authors' repository, select from the
// list of Find: all sets together have about six million cells.
//
// # Limits of the files
//
// The files contain no ranks, no id of the answer's token and no top tokens without a memory: ranks and ids are -1, lists
// are empty. Probabilities have the precision of float32. The clean probabilities of a set are those of its first file; in
// the sets that were examined, all files have the same ones. Model and data come from the names of files and folders,
// which may be wrong: the repository has a file of 106 handwritten prompts that is named 2wmh.
package published
