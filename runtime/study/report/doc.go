// Package report presents evaluations: one self-contained HTML file, and its pictures as PNG and SVG.
//
// # Contents
//
// The report shows the runs and their statistics from package stats; it computes no statistics itself. It has these parts,
// in order:
//
//	notices      missing or broken data, before any number
//	findings     texts of the caller, such as the comparison of the paper's headline with the published files
//	best cells   one table for all series, in-sample and held-out, and a chart of it
//	groups       the best cells again, for each value of a column of the data; on request
//	knowledge    the model's answers without a memory: two hops, and one hop as the ceiling
//	comparisons  curated memories against others for the same model, data and encoding, at one cell, paired by prompt
//	series       one section each: a heat map, a curve over layers, the prompts of a cell one by one
//	provenance   the manifests
//
// A series is as defined in package stats: the cells of one run whose memories come from one source. Tables and pictures lead with
// log-odds, in nats, and probabilities. Percentages, which a few prompts dominate, are in folds.
//
// # What scripts add
//
// The file has its pictures and tables as they are without scripts. Scripts draw charts in their place with Observable Plot (package
// webpage): the numbers of what the pointer rests on, the prompts of the cell that a reader chooses, one tau after another. Columns of
// tables sort. All of it works with the keyboard. The data of the scripts is JSON ([data]): effects of all cells, and of each cell the
// log-odds of at most a thousand prompts, in two bytes each. Of more prompts, or of prompts in very many cells, some are in the file,
// spread evenly over the data; the page says how many.
//
// # Pictures
//
// Package gonum/plot draws every picture twice: as PNG and as SVG. The HTML contains the SVG inline. A drawing uses few colours,
// and each has a role (a [role]: ink, paper, a step of the diverging scale). In the HTML, a CSS variable named after the role replaces
// the colour, so one drawing suits light paper, a dark screen and print. A table below the drawing has its numbers.
//
// A colour means the same number in all maps of a report that have the same unit: percent, or log-odds. The scale is
// symmetric around zero and ends at the 95th percentile of all magnitudes, rounded up. Values beyond the end have the last
// colour, and the scale says so. When percentages go far beyond doubling, the steps of the colours grow by a factor, and the
// text says so.
//
// # Guarantees
//
//   - The file is self-contained: it has no external font, picture or link, and its own content policy forbids requests and any
//     script but the report's own.
//   - Texts from models and data are escaped.
//   - The same runs give the same bytes.
package report
