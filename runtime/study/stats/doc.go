// Package stats says what an evaluation shows, in numbers that are hard to misread.
//
// # What is counted
//
// A [Series] is the cells of one run whose memories come from one source: "curated" and "random:nouns.txt" are two
// series, and so are two encodings. At one layer and tau, a prompt has one or several memories, and counts once: by the
// mean over its memories of its probability, relative change, log-odds change, surprisal and rank. So the prompt is the
// unit of every mean, median, count and interval, and forty random words do not make forty observations of a prompt.
// A cell without a number is left out and counted; a prompt without a clean number is left out of every cell.
//
// # The measures
//
// With p the answer's probability with the memory and p0 without one, of the same prompt:
//
//	change     (p-p0)/p0; 0.5 is "50 % more". Its mean is ruled by the prompts with the smallest p0.
//	rejected   the paper's number: the mean of the changes that are strictly below their 99th percentile, as
//	           reject_outliers of the paper's utils.py has it. With several memories: one such mean for the first
//	           memory of all prompts, one for the second, …, and the mean of these, which is how the published
//	           random-word figures come about.
//	ratio      mean(p)/mean(p0) - 1; ruled by the prompts with the largest p0.
//	log-odds   ln(p/(1-p)) - ln(p0/(1-p0)), the mean over prompts. It gives a halving and a doubling the same weight,
//	           and no single prompt rules it: it is the measure to trust.
//	surprisal  -ln(p), in nats.
//
// They may disagree in sign. The cell of the paper's headline has a rejected mean of +247 %, a median change of -14 %
// and a ratio of -10 %.
//
// # Intervals and choices
//
// An [Interval] is the 95 % percentile interval of a bootstrap over prompts (Efron and Tibshirani, An Introduction to the
// Bootstrap, 1993, chapter 13), [Resamples] times with a fixed seed: the same run gives the same bytes. It holds for a cell
// that was chosen beforehand. The best of 180 cells is better than it should be by the luck of the choice, and its interval
// does not know that; [Held] does: a cell chosen on one half of the prompts, reported on the other.
package stats
