package paper

import (
	"context"
	"fmt"

	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// The sources of the second and third experiment, in addition to random words, which are "random:" and their file.
const (
	Curated = "curated"
	Wrong   = "wrong"
	random  = "random:"
)

// Taus are magnitudes for small models. Relative to the residual stream, the memories of small models are longer than the
// paper's memories.
var Taus = []float64{0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8}

// Config describes the inputs of the experiments.
type Config struct {
	eval.Config        // of the second experiment; Memories is set by Run
	Words       string // file of words for random memories
	Among       int    // a head names a token that is among its Among most likely tokens
}

// Result is the outcome of the three experiments.
type Result struct {
	Survey *lens.Survey
	Run    *results.Run // cells of the three sources
	Report *eval.Report

	// The best cell of the curated memories by log-odds, and the effects of the sources there.
	Layer                  int
	Tau                    float64
	Curated, Wrong, Random stats.Effect
}

// Run runs the experiments. It reports progress of the first one with step, and of the others with Config.Progress.
func Run(ctx context.Context, host runtime.Host, c Config, step func(done, all int)) (*Result, error) {
	r := &Result{}
	var err error
	if r.Survey, err = survey(ctx, host, c, step); err != nil {
		return nil, fmt.Errorf("heads: %w", err)
	}
	c.Memories = []string{Curated, Wrong, random + c.Words}
	if r.Report, err = eval.Run(ctx, host, c.Config); err != nil {
		return nil, err
	}
	if r.Run, err = results.Load(ctx, c.Dir); err != nil {
		return nil, err
	}
	return r, r.compare()
}

func survey(ctx context.Context, host runtime.Host, c Config, step func(done, all int)) (*lens.Survey, error) {
	data, err := eval.ReadData(c.Data)
	if err != nil {
		return nil, err
	}
	var pairs []lens.Pair
	for _, row := range data.Rows {
		pairs = append(pairs, lens.Pair{OneHop: row.OneHop, TwoHop: row.TwoHop, Entity: row.ExplicitEntity})
	}
	l, err := lens.Open(ctx, host, c.Model, lens.Options{Norm: lens.NormFinal, Texts: c.Texts, Runtime: c.Options})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Survey(ctx, pairs, c.Among, step)
}

// compare finds the best cell and computes the effect of every source there.
func (r *Result) compare() error {
	for _, s := range r.Report.Summary.Series {
		if s.Source != Curated {
			continue
		}
		for _, b := range s.Best {
			if b.Measure == stats.ByLogOdds {
				r.Layer, r.Tau = b.Effect.Layer, b.Effect.Tau
			}
		}
	}
	for i, to := range []*stats.Effect{&r.Curated, &r.Wrong, &r.Random} {
		e, err := stats.At{Run: r.Run, Point: results.Point{Source: r.Run.Manifest.Memories[i].Name, Layer: r.Layer, Tau: r.Tau}}.Effect()
		if err != nil {
			return err
		}
		*to = e
	}
	return nil
}

// MostGained is the prompt whose answer gains the most from the curated memory at the best cell.
func (r *Result) MostGained() (results.Prompt, error) {
	changes, err := stats.Changes(stats.At{Run: r.Run, Point: results.Point{Source: Curated, Layer: r.Layer, Tau: r.Tau}})
	if err != nil {
		return results.Prompt{}, err
	}
	best, gain := 0, -1.0
	for _, c := range changes {
		if d := c.After - c.Before; d > gain {
			best, gain = c.Prompt, d
		}
	}
	for _, p := range r.Run.Prompts {
		if p.Index == best {
			return p, nil
		}
	}
	return results.Prompt{}, fmt.Errorf("no prompt %d", best)
}

// Grid is the mean probability of the answer with the curated memory, [layer][tau] in the manifest's order.
func (r *Result) Grid() [][]float64 {
	for _, s := range r.Report.Summary.Series {
		if s.Source == Curated {
			grid := make([][]float64, len(s.Grid))
			for l, row := range s.Grid {
				for _, e := range row {
					grid[l] = append(grid[l], float64(e.MeanP))
				}
			}
			return grid
		}
	}
	return nil
}

// Levels are the mean probabilities of the answer without a memory.
func (r *Result) Levels() (oneHop, twoHop float64) {
	s := r.Report.Summary.Series[0]
	return float64(s.OneHop.MeanP), float64(s.TwoHop.MeanP)
}
