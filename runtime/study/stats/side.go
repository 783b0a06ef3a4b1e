package stats

import (
	"math"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// SideEffects is what the cells of a series do to texts that they should not touch.
type SideEffects struct {
	File      string       `json:"file"`      // name of the texts
	Positions string       `json:"positions"` // of the changes in a text; "middle" is the last token of its first half
	Grid      []SideEffect `json:"grid"`      // by layer, head and tau, as Series.Grid
}

// SideEffect is the side effect of the memories at one layer, head and tau, over all texts and positions from the change on.
type SideEffect struct {
	Layer     int          `json:"layer"`
	Head      results.Head `json:"head,omitzero"`
	Tau       float64      `json:"tau"`
	Texts     int          `json:"texts"`      // rows that count here: texts, each with one memory or more
	NonFinite int          `json:"non_finite"` // rows without numbers

	KL              Number `json:"kl"`               // mean KL(clean || changed), nats per position
	CleanPerplexity Number `json:"perplexity_clean"` // of the tokens after the change, without it
	Perplexity      Number `json:"perplexity"`       // with it
}

// At returns the side effect of the cell of an effect; false when it was not measured.
func (s *SideEffects) At(e Effect) (SideEffect, bool) {
	if s != nil {
		for _, x := range s.Grid {
			if x.Layer == e.Layer && x.Head == e.Head && x.Tau == e.Tau {
				return x, true
			}
		}
	}
	return SideEffect{}, false
}

// Where says in which texts, and at which of their tokens, the changes acted.
func (s *SideEffects) Where() string {
	if s.Positions == results.Middle {
		return s.File + ", changed at the last token of a text's first half"
	}
	return s.File + ", changed at positions " + s.Positions
}

// Chosen returns the best cell of a series by the log-odds, and what it does to other texts; false when that was not measured.
func (s *Series) Chosen() (Effect, SideEffect, bool) {
	for _, b := range s.Best {
		if b.Measure == ByLogOdds {
			x, ok := s.SideEffects.At(b.Effect)
			return b.Effect, x, ok
		}
	}
	return Effect{}, SideEffect{}, false
}

// sideEffects averages the side effects of a series, whose grid gives the order. It returns nil when the run has none.
func sideEffects(run *results.Run, source string, site models.PortKind, grid [][]Effect) *SideEffects {
	if run.Manifest == nil || run.Manifest.SideEffects.Texts == 0 {
		return nil
	}
	type point struct {
		layer int
		head  results.Head
		tau   float64
	}
	type sums struct {
		texts, nonFinite, positions, tokens int
		kl, clean, changed                  float64
	}
	by := map[point]*sums{}
	for i := range run.SideEffects {
		s := &run.SideEffects[i]
		if s.Source != source || s.Site != site {
			continue
		}
		p := point{s.Layer, s.Head, s.Tau}
		if by[p] == nil {
			by[p] = &sums{}
		}
		x := by[p]
		if !s.OK() {
			x.nonFinite++
			continue
		}
		x.texts++
		x.positions += s.Positions
		x.tokens += s.Predicted()
		x.kl += s.KL * float64(s.Positions)
		x.clean += s.CleanNLL * float64(s.Predicted())
		x.changed += s.NLL * float64(s.Predicted())
	}
	out := &SideEffects{File: run.Manifest.SideEffects.File.Name, Positions: run.Manifest.SideEffects.Positions, Grid: []SideEffect{}}
	for _, line := range grid {
		for _, e := range line {
			x := by[point{e.Layer, e.Head, e.Tau}]
			if x == nil {
				continue
			}
			tokens := float64(x.tokens) // 0/0 is no number
			out.Grid = append(out.Grid, SideEffect{Layer: e.Layer, Head: e.Head, Tau: e.Tau, Texts: x.texts, NonFinite: x.nonFinite,
				KL: Number(x.kl / float64(x.positions)), CleanPerplexity: Number(math.Exp(x.clean / tokens)), Perplexity: Number(math.Exp(x.changed / tokens))})
		}
	}
	return out
}
