package main

import (
	"fmt"
	"math"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// printBest shows the effect of the memories in the best cell of each series, by the log-odds and by the paper's measure. names
// are the names of the series.
func printBest(p *printer, s *stats.Summary, names []string) {
	rows := [][]span{{
		styled(dim, "memory"), styled(dim, "p clean"), styled(dim, "one hop"), styled(dim, "best by"), styled(dim, "layer"), styled(dim, "tau"), styled(dim, "p"),
		styled(dim, "improved"), styled(dim, "median"), styled(dim, "paper's mean"), styled(dim, "log-odds"), styled(dim, "other half"),
	}}
	for n, series := range s.Series {
		for i, b := range series.Best {
			row := []span{text(""), text(""), text("")}
			if i == 0 {
				row = []span{styled(bold, "%s", names[n]), text("%s", probabilityOf(series.TwoHop.MeanP)), text("")}
				if series.OneHop != nil {
					row[2] = text("%s", probabilityOf(series.OneHop.MeanP))
				}
			}
			e := b.Effect
			held := text("")
			if b.Held != nil {
				held = text("%s", signed(b.Held.Other, b.Measure))
			}
			rows = append(rows, append(row,
				styled(dim, "%s", measureName(b.Measure)), text("%s", layerOf(e)), text("%s", tauOf(series, e)), text("%s", probabilityOf(e.MeanP)),
				text("%d of %d", e.Improved, e.N), text("%s", percent(e.MedianChange)), text("%s", percent(e.Rejected)), text("%s", odds(e.LogOdds)), held))
		}
	}
	p.table(rows, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11)
}

// tauOf writes the tau of an effect where the operation has one.
func tauOf(s stats.Series, e stats.Effect) string {
	if s.Op == intervention.Ablate {
		return "–"
	}
	return fmt.Sprint(e.Tau)
}

// layerOf writes the layer of an effect, and its head as in 9.6.
func layerOf(e stats.Effect) string {
	if h, one := e.Head.Index(); one {
		return fmt.Sprintf("%d.%d", e.Layer, h)
	}
	return fmt.Sprint(e.Layer)
}

// measureName returns the title of the measure's column, in the text and on the page.
func measureName(m stats.Measure) string {
	if m == stats.ByRejected {
		return "paper's mean"
	}
	return "log-odds"
}

func signed(e stats.Effect, m stats.Measure) string {
	if m == stats.ByLogOdds {
		return odds(e.LogOdds)
	}
	return percent(e.Rejected)
}

func probabilityOf(n stats.Number) string {
	if !n.OK() {
		return "–"
	}
	return probability(float64(n))
}

// percent writes a fraction as a change: "+53.0 %".
func percent(n stats.Number) string {
	switch {
	case !n.OK():
		return "–"
	case math.Abs(float64(n)) >= 10:
		return fmt.Sprintf("%+.0f %%", 100*float64(n))
	}
	return fmt.Sprintf("%+.1f %%", 100*float64(n))
}

func odds(n stats.Number) string {
	if !n.OK() {
		return "–"
	}
	return fmt.Sprintf("%+.2f", float64(n))
}
