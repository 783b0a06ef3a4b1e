// Package stats computes the statistics of an evaluation, with measures that are hard to misread.
//
// # The unit of observation
//
// A [Series] is the cells of one run whose memories come from one source: "curated" and "random:nouns.txt" are two
// series, and so are two encodings. At one layer and tau, a prompt has one or several memories and counts once: by the
// mean over its memories of its probability, relative change, log-odds change, surprisal and rank. The prompt is
// therefore the unit of every mean, median, count and interval, and forty random words do not make forty observations
// of a prompt. A cell without a number is left out and counted. A prompt without a clean number is left out of every
// cell.
//
// # The measures
//
// With p the answer's probability with the memory and p0 the probability without one, for the same prompt:
//
//	change     (p-p0)/p0; 0.5 is "50 % more". Prompts with the smallest p0 dominate its mean.
//	rejected   the paper's measure: the mean of the changes that are strictly below their 99th percentile, as in
//	           reject_outliers of the paper's utils.py. With several memories: one such mean for the first memory of
//	           all prompts, one for the second, …, and the mean of these means. The published random-word figures are
//	           computed in this way.
//	ratio      mean(p)/mean(p0) - 1; dominated by the prompts with the largest p0.
//	log-odds   ln(p/(1-p)) - ln(p0/(1-p0)), the mean over prompts. It gives a halving and a doubling the same weight,
//	           and no single prompt dominates it. It is the most reliable of these measures.
//	surprisal  -ln(p), in nats.
//
// The measures may disagree in sign. The cell of the paper's headline has a rejected mean of +247 %, a median change of
// -14 % and a ratio of -10 %.
//
// # Intervals and choices
//
// An [Interval] is the 95 % percentile interval of a bootstrap over prompts (Efron and Tibshirani, An Introduction to the
// Bootstrap, 1993, chapter 13), with [Resamples] samples and a fixed seed: the same run gives the same bytes. It is valid
// for a cell that was chosen in advance. The best of 180 cells is partly best by chance, and its interval does not account
// for that choice. [Held] does: it reports a cell chosen on one half of the prompts on the other half. The groups of
// [Series.GroupBy] have both of these cells, so no group chooses its own; the largest of many groups is partly chance as well.
package stats
