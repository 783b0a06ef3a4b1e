// Package study is the folder of what an experiment needs beyond one run: the batch evaluation, its results, and what is made
// of them. It has no code of its own.
//
//	eval       runs a grid of layers and taus over prompts
//	capture    saves what the model computes inside for every prompt
//	contrast   makes steering vectors from pairs of texts
//	outdir     the lock and the manifest of a folder that grows
//	results    the folder of an evaluation: manifest, prompts, cells
//	stats      differences, intervals and comparisons of cells
//	report     pictures and pages; the one package that draws
//	lens       reads heads through the unembedding
//	probe      sorts two-hop prompts by what the model gets right
//	published  reads the result files of the paper's authors as runs
//	paper      the three experiments of the paper, one after the other
//
// Nothing outside of it and of cmd needs a study: a program that steers a model imports runtime and runtime/steer.
package study
