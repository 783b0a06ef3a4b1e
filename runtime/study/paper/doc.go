// Package paper runs the three experiments of "Memory Injections" (arXiv 2309.05605) one after the other on a model and a
// file of prompts:
//
//  1. which heads name the missing hop for a one-hop prompt and not for the two-hop one (package lens);
//  2. the missing hop as a memory at every layer and tau, to find the best cell (package eval);
//  3. at that cell, the memory against a wrong one and against random words.
//
// The second and third are one evaluation with three sources, so that its folder can be reported on like any other.
package paper
