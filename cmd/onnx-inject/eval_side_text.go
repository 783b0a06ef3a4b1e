package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// printSideEffects shows what the best cell of each series, by the log-odds, does to texts that it should not touch.
func printSideEffects(p *printer, s *stats.Summary, names []string) {
	rows := [][]span{{
		styled(dim, "side effects"), styled(dim, "layer"), styled(dim, "tau"), styled(dim, "KL, nats per token"), styled(dim, "perplexity clean"), styled(dim, "changed"), styled(dim, "texts"),
	}}
	var at []string
	for n, series := range s.Series {
		best, x, ok := series.Chosen()
		if !ok {
			continue
		}
		rows = append(rows, []span{styled(bold, "%s", names[n]), text("%s", layerOf(best)), text("%s", tauOf(series, best)), text("%s", fourDigits(x.KL)),
			text("%s", fourDigits(x.CleanPerplexity)), text("%s", fourDigits(x.Perplexity)), text("%d", x.Texts)})
		if where := series.SideEffects.Where(); !slices.Contains(at, where) {
			at = append(at, where)
		}
	}
	if len(at) == 0 {
		return
	}
	p.line()
	p.table(rows, 1, 2, 3, 4, 5, 6)
	p.line(styled(dim, "  %s", strings.Join(at, "; ")))
}

func fourDigits(n stats.Number) string {
	if !n.OK() {
		return "–"
	}
	return fmt.Sprintf("%.4g", float64(n))
}
