package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// percentFlag adds the paper's measure to the tables of eval and report. Without it they have log-odds and probabilities: a mean of
// relative changes is as large as the smallest probability is small.
func percentFlag() cli.Flag {
	return boolFlag("percent", "also show the paper's measure, the mean change of the probability in percent, with its best cell and the median")
}

// named are the names of the series of a summary, and the folders of their results if these are several.
type named struct{ names, folders []string }

// printBest shows the effect of the memories in the best cell of each series: by the log-odds and, with percent, by the paper's measure.
func printBest(p *printer, s *stats.Summary, n named, percents bool) {
	type column struct {
		title string
		shown bool
		of    func(series stats.Series, b stats.Best) string
	}
	columns := []column{
		{"best by", percents, func(_ stats.Series, b stats.Best) string { return measureName(b.Measure) }},
		{"layer", true, func(_ stats.Series, b stats.Best) string { return layerOf(b.Effect) }},
		{"tau", true, func(series stats.Series, b stats.Best) string { return tauOf(series, b.Effect) }},
		{"log-odds", true, func(_ stats.Series, b stats.Best) string { return odds(b.Effect.LogOdds) }},
		{"p", true, func(_ stats.Series, b stats.Best) string { return probabilityOf(b.Effect.MeanP) }},
		{"improved", true, func(_ stats.Series, b stats.Best) string {
			return fmt.Sprintf("%d of %d", b.Effect.Improved, b.Effect.N)
		}},
		{"median", percents, func(_ stats.Series, b stats.Best) string { return percent(b.Effect.MedianChange) }},
		{"paper's mean", percents, func(_ stats.Series, b stats.Best) string { return percent(b.Effect.Rejected) }},
		{"other half", true, func(_ stats.Series, b stats.Best) string {
			if b.Held == nil {
				return ""
			}
			return signed(b.Held.Other, b.Measure)
		}},
	}
	columns = slices.DeleteFunc(columns, func(c column) bool { return !c.shown })
	head := []span{styled(dim, "memory")}
	if n.folders != nil {
		head = append(head, styled(dim, "folder"))
	}
	head = append(head, styled(dim, "p clean"), styled(dim, "one hop"))
	first := len(head) - 2
	for _, c := range columns {
		head = append(head, styled(dim, "%s", c.title))
	}
	rows := [][]span{head}
	for i, series := range s.Series {
		lead := []span{styled(bold, "%s", n.names[i])}
		if n.folders != nil {
			lead = append(lead, text("%s", n.folders[i]))
		}
		lead = append(lead, text("%s", probabilityOf(series.TwoHop.MeanP)), text(""))
		if series.OneHop != nil {
			lead[len(lead)-1] = text("%s", probabilityOf(series.OneHop.MeanP))
		}
		for _, b := range series.Best {
			if b.Measure != stats.ByLogOdds && !percents {
				continue
			}
			row := slices.Clone(lead)
			for _, c := range columns {
				row = append(row, text("%s", c.of(series, b)))
			}
			rows = append(rows, row)
			lead = make([]span, len(lead))
		}
	}
	var right []int
	for i := first; i < len(head); i++ {
		if head[i].text != "best by" {
			right = append(right, i)
		}
	}
	p.table(rows, right...)
	p.line(styled(dim, "  log-odds: the mean change of ln(p / (1 - p)), in nats"))
	printUsual(p, s, n.names)
	printUnknown(p, s)
}

// printUsual shows the effect of memories at phrases in the layer that run takes: unlike the best cell, it was not chosen by its effect.
func printUsual(p *printer, s *stats.Summary, names []string) {
	for i, series := range s.Series {
		if e := series.Usual; e != nil && len(series.Layers) > 1 {
			p.line(styled(dim, "  %s at layer %d, the default of run: %s, p %s, %d of %d improved", names[i], e.Layer, odds(e.LogOdds), probabilityOf(e.MeanP), e.Improved, e.N))
		}
	}
}

// printUnknown says for how many prompts the model lacks the second hop.
func printUnknown(p *printer, s *stats.Summary) {
	var said []string
	for _, series := range s.Series {
		one := series.OneHop
		if one == nil || one.Unknown == 0 {
			continue
		}
		line := fmt.Sprintf("  %d of %d prompts: the model does not know the answer when the hop is spelled out either (rank %d or more); no memory will help there",
			one.Unknown, one.Ranked, stats.UnknownRank)
		if !slices.Contains(said, line) { // several series have the same prompts
			said = append(said, line)
			p.line(styled(dim, "%s", line))
		}
	}
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
