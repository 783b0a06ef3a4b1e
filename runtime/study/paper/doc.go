// Package paper runs the three experiments of "Memory Injections" (arXiv 2309.05605) in sequence on a model and a file of
// prompts:
//
//  1. Find the heads that name the missing hop for a one-hop prompt but not for the two-hop prompt (package lens).
//  2. Inject the missing hop as a memory at every layer and tau, to find the best cell (package eval).
//  3. At that cell, compare the memory with a wrong one and with random words.
//
// The second and third experiment are one evaluation with three sources, so its folder works with every report.
package paper
