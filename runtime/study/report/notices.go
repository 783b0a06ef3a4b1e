package report

import (
	"fmt"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Few is the number of prompts below which intervals are unreliable.
const Few = 20

// notices lists what a reader must know before any number.
func notices(runs []*results.Run, labels []string, all []*series, by string) []string {
	var out []string
	for i, r := range runs {
		if missing := r.Manifest.Prompts - len(r.Prompts); missing > 0 {
			out = append(out, fmt.Sprintf("%s: %d of %s missing. The evaluation is not finished, or the folder of a shard is missing. All numbers are for the remaining %d.",
				labels[i], missing, count(r.Manifest.Prompts, "prompt is", "prompts are"), len(r.Prompts)))
		}
		if len(r.Cells) == 0 {
			out = append(out, labels[i]+": the results have no cell, so there is nothing to show.")
		}
		if _, ok := r.Column(by); by != "" && !ok {
			out = append(out, fmt.Sprintf("%s: the results have no column %s, so they are not in the table by %s.", labels[i], by, by))
		}
		if r.Unsealed {
			out = append(out, labels[i]+": an earlier version wrote the results without checksums. Whether they were changed since cannot be told.")
		}
		if why := r.Manifest.Plan.Reason; why != "" {
			out = append(out, fmt.Sprintf("%s: computed by the plan %s: %s", labels[i], r.Manifest.Plan.Used, why))
		}
	}
	for _, s := range all {
		if strings.HasPrefix(s.Source, "captured") {
			out = append(out, fmt.Sprintf("%s: the memory is a value that the model computes for another text. That of a one-hop prompt contains the answer: it is an upper bound for the effect of a memory, and not a memory.", s.Label))
		}
		if s.NonFinite > 0 {
			out = append(out, fmt.Sprintf("%s: %d of %d cells have no number, because the model computed none. They are left out.", s.Label, s.NonFinite, s.Cells))
		}
		if s.Skipped > 0 {
			out = append(out, fmt.Sprintf("%s: %d of %d cells belong to prompts without a phrase for the memory. They are left out.", s.Label, s.Skipped, s.Cells))
		}
		if s.NoClean > 0 {
			out = append(out, fmt.Sprintf("%s: %s no number without a memory. All statistics leave them out.", s.Label, count(s.NoClean, "prompt has", "prompts have")))
		}
		if n := s.Prompts - s.NoClean; n > 0 && n < Few {
			out = append(out, fmt.Sprintf("%s: only %s: the intervals are narrower than they should be.", s.Label, count(n, "prompt", "prompts")))
		}
	}
	return out
}

// remarks lists the cautions for a best cell.
func (s *series) remarks(b stats.Best) []string {
	var out []string
	e := b.Effect
	if n := len(s.Taus); n > 1 && !s.Harm && e.Tau == s.Taus[n-1] && e.Value(b.Measure) > 0.01 {
		out = append(out, "the largest tau that was tried: a larger one may have more effect")
	}
	if e.Value(b.Measure) > 0 && e.MedianChange.OK() && e.MedianChange < 0 {
		out = append(out, "most prompts lose here: a few prompts dominate the mean")
	}
	if b.Held != nil && s.half(b.Held) != s.cellOf(e) {
		out = append(out, fmt.Sprintf("half of the prompts choose %v", s.half(b.Held)))
	}
	if e.NonFinite > 0 {
		out = append(out, fmt.Sprintf("%s without a number", count(e.NonFinite, "cell", "cells")))
	}
	if u := s.Usual; u != nil && s.cellOf(*u) != s.cellOf(e) {
		out = append(out, fmt.Sprintf("at layer %d, the default of run: %s, %d of %d prompts gain", u.Layer, ofNumber(logOdds)(u.LogOdds), u.Improved, u.N))
	}
	return out
}
