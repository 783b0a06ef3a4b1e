package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/published"
	pages "github.com/onnx-inject/onnx-inject/runtime/study/report" // in this package, report prints errors
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// headline returns the paper's claim and the result of its published files as a section of the page.
func headline(c *published.Claim) pages.Finding {
	e := c.Effect
	f := pages.Finding{
		Title: fmt.Sprintf("The paper's headline, up to %.0f %%, and its cell in the published files", 100*c.Claimed),
		Text:  c.Why,
		Facts: [][2]string{
			{"the paper's claim", percent(stats.Number(c.Claimed))},
			{"the published file, by the paper's rule", percent(e.Rejected)},
			{"median", percent(e.MedianChange)},
			{"prompts that gain", fmt.Sprintf("%d of %d", e.Improved, e.N)},
			{"ratio of mean probabilities", percent(e.Ratio)},
			{"mean change of the log-odds", odds(e.LogOdds)},
		},
	}
	for k, v := range c.Without[:min(3, len(c.Without))] {
		name := "mean of all changes"
		if k > 0 {
			name = fmt.Sprintf("mean without the largest %d", k)
		}
		f.Facts = append(f.Facts, [2]string{name, percent(stats.Number(v))})
	}
	for i := range f.Facts {
		f.Facts[i][1] = strings.Replace(f.Facts[i][1], "-", "\u2212", 1)
	}
	return f
}

// showReport shows the best cells, the headline if it was checked, and the files that were written.
func showReport(p *printer, w *reportFiles, r *pages.Report, runs []*results.Run, claim *published.Claim, percents bool) {
	printBest(p, r.Summary, named{r.Names(), foldersOf(r.Summary, runs)}, percents)
	printSideEffects(p, r.Summary, r.Names())
	if r.Grouped != nil {
		p.line()
		printGroups(p, r.Grouped)
	} else if columns := pages.Groupable(runs); columns != nil {
		p.line(styled(dim, "  --by groups the prompts by a column of the data: %s", pages.Some(columns)))
	}
	p.line()
	if claim != nil {
		e := claim.Effect
		p.line(styled(bold, "headline"), text("  the paper claims %s; its published file gives %s by the paper's rule, median %s, %d of %d prompts gain",
			percent(stats.Number(claim.Claimed)), percent(e.Rejected), percent(e.MedianChange), e.Improved, e.N))
		p.line()
	}
	p.line(styled(bold, "%s", w.Page), text(": open it in a browser"))
	if n := len(w.Pictures); n > 0 {
		p.line(text("%d pictures, PNG and SVG, as %s …", n/2, w.Pictures[0]))
	}
	if w.Parquet != "" {
		p.line(text("%s: the cells", w.Parquet))
	}
}

// printGroups shows the effect for each value of a column, at the best cell of each series.
func printGroups(p *printer, g *pages.Grouped) {
	rows := [][]span{{styled(dim, "memory"), styled(dim, "%s", pages.ShownValue(g.Column)), styled(dim, "prompts"), styled(dim, "p clean"), styled(dim, "p"),
		styled(dim, "log-odds"), styled(dim, "95 %%"), styled(dim, "improved"), styled(dim, "other half")}}
	for _, series := range g.Series {
		name := series.Name
		for _, x := range series.Groups {
			e, other := x.Effect, ""
			if x.Other != nil {
				other = odds(x.Other.LogOdds)
			}
			rows = append(rows, []span{styled(bold, "%s", name), text("%s", pages.ShownValue(x.Value)), text("%d", x.Prompts), text("%s", probabilityOf(x.MeanP0)),
				text("%s", probabilityOf(e.MeanP)), text("%s", odds(e.LogOdds)), text("%s", interval(e.LogOddsInterval)), text("%d of %d", e.Improved, e.N), text("%s", other)})
			name = ""
		}
	}
	p.table(rows, 2, 3, 4, 5, 6, 7, 8)
	p.line(styled(dim, "  each memory at its best cell of all prompts; of many groups, the largest effect is partly chance"))
	few := func(x stats.Group) bool { return x.Effect.N < pages.Few }
	if slices.ContainsFunc(g.Series, func(s pages.GroupedSeries) bool { return slices.ContainsFunc(s.Groups, few) }) {
		p.line(styled(dim, "  the intervals of groups with fewer than %d prompts are narrower than they should be", pages.Few))
	}
}

// interval writes the ends of a 95 % interval of log-odds.
func interval(i stats.Interval) string {
	if !i.Low.OK() || !i.High.OK() {
		return "–"
	}
	return odds(i.Low) + " to " + odds(i.High)
}

type reportResult struct {
	*reportFiles
	Notices  []string         `json:"notices"`
	Headline *published.Claim `json:"headline,omitempty"`
	Columns  []string         `json:"columns"` // that --by can group by usefully
	By       *pages.Grouped   `json:"by,omitempty"`
	Summary  *stats.Summary   `json:"summary"`
}

func reportJSON(w *reportFiles, r *pages.Report, runs []*results.Run, claim *published.Claim) reportResult {
	return reportResult{w, append([]string{}, r.Notices()...), claim, append([]string{}, pages.Groupable(runs)...), r.Grouped, r.Summary}
}
