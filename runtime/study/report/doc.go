// Package report shows what evaluations found: one HTML file that needs nothing else, and its pictures as PNG and SVG.
//
// # What is in it
//
// The report takes the runs that it is given and their statistics from package stats; it computes no statistic of its own. In
// this order it has
//
//	notices      what is missing or broken, before any number
//	findings     what the caller has to say: the paper's headline beside the published files, for example
//	best cells   one table for all series, in-sample and held-out, and a picture of it
//	knowledge    what the model says without a memory: two hops, and one hop as the ceiling
//	comparisons  curated memories against the others of the same model, data and encoding, at one cell, paired by prompt
//	series       one section each: heat-maps, curves over layers, the prompts at the best cell one by one
//	provenance   the manifests
//
// A series is what package stats calls so: the cells of one run whose memories come from one source.
//
// # Pictures
//
// gonum/plot draws. A drawing is drawn twice: as PNG, and as SVG. In the HTML the SVG stands inline, with two changes that
// gonum has no word for. Its colours are few and each has a role (a [role]: ink, paper, a step of the diverging scale); there
// the colour is replaced by a CSS variable of that name, so that one drawing is right on light paper, on a dark screen and in
// print. And over each cell or point lies an invisible rectangle, a spot, whose title is the number: the browser shows it when
// the pointer rests there. The numbers stand in a table below, too, for those who have no pointer.
//
// Colours of a map mean the same number in all maps of a report that have the same unit: percent, or log-odds. The scale is
// symmetric around zero and ends at the 95th percentile of all sizes, rounded up; what lies beyond has the last colour, and
// the scale says so. Where percentages go far beyond doubling, the steps of the colours grow by a factor, and that is said.
//
// # What always holds
//
//   - The file asks for nothing: no script, no font, no picture, no link leads outside, and its own content policy forbids it.
//   - Texts from models and data are escaped.
//   - The same runs give the same bytes.
package report
