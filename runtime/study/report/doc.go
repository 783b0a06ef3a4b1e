// Package report presents evaluations: one self-contained HTML file, and its pictures as PNG and SVG.
//
// # Contents
//
// The report shows the runs and their statistics from package stats; it computes no statistics itself. It has these parts,
// in order:
//
//	notices      missing or broken data, before any number
//	findings     texts of the caller, such as the comparison of the paper's headline with the published files
//	best cells   one table for all series, in-sample and held-out, and a picture of it
//	knowledge    the model's answers without a memory: two hops, and one hop as the ceiling
//	comparisons  curated memories against others for the same model, data and encoding, at one cell, paired by prompt
//	series       one section each: heat maps, curves over layers, the prompts at the best cell one by one
//	provenance   the manifests
//
// A series is as defined in package stats: the cells of one run whose memories come from one source.
//
// # Pictures
//
// Package gonum/plot draws every picture twice: as PNG and as SVG. The HTML contains the SVG inline, with two additions that
// gonum does not support:
//
//   - Colours: a drawing uses few colours, and each has a role (a [role]: ink, paper, a step of the diverging scale). In the
//     HTML, a CSS variable named after the role replaces the colour, so one drawing suits light paper, a dark screen and
//     print.
//   - Spots: an invisible rectangle covers each cell or point. Its title is the number, which the browser shows when the
//     pointer rests on it. A table below the drawing shows the same numbers to readers without a pointer.
//
// A colour means the same number in all maps of a report that have the same unit: percent, or log-odds. The scale is
// symmetric around zero and ends at the 95th percentile of all magnitudes, rounded up. Values beyond the end have the last
// colour, and the scale says so. When percentages go far beyond doubling, the steps of the colours grow by a factor, and the
// text says so.
//
// # Guarantees
//
//   - The file is self-contained: it has no script, no external font or picture and no external link, and its own content
//     policy forbids them.
//   - Texts from models and data are escaped.
//   - The same runs give the same bytes.
package report
