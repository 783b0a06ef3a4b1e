package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// plan is one way to compute the cells of a prompt. To add one, write its open function and a line in plans.
type plan struct {
	name   string
	doc    string
	open   func(ctx context.Context, b bench) (runner, error)
	covers func(b bench) error // why the plan is not made for an evaluation; nil for all
}

// plans lists the plans, fastest first. The last one is the oracle.
var plans = []plan{
	{"fanout", "the whole grid of a prompt in one run; what comes before a change (layers, cached positions) runs once", openFanOut, onStream},
	{"rows", "cells as rows of batches; with a cache, what comes before the first change runs once", openRows, anything},
	{"points", "each cell in a separate run: slow, and the reference for the other plans", openPoints, anything},
}

// Auto selects the fastest plan that computes the same numbers as points.
const Auto = "auto"

// Plans lists the names that [Config] accepts, each with a description.
func Plans() [][2]string {
	out := [][2]string{{Auto, "the fastest plan that agrees with points on the first prompt"}}
	for _, p := range plans {
		out = append(out, [2]string{p.name, p.doc})
	}
	return out
}

// bench is the input of all plans.
type bench struct {
	model   *steer.Model
	host    runtime.Host
	options runtime.Options
	op      intervention.Op
	sites   []models.PortKind
	places  []models.BakedAt  // that cells change
	also    intervention.Plan // of a prompt; those of other prompts have the same places
	top     int
	late    bool // cells may leave the first positions as they are
	pairs   bool // cells may change several phrases, each with its memory
}

// question is a prompt as token ids.
type question struct {
	ids    []int64
	answer int64
	at     []intervention.Positions   // that cells change
	more   [][]intervention.Positions // of the further phrases, each with its memory in a cell
	also   intervention.Plan          // what else happens in every cell
}

// cell is one change at one place. A nil vector is no memory.
type cell struct {
	models.BakedAt
	heads  []int   // nil for all
	tau    float64 // in the raw unit; of scale, the factor
	vector []float32
	more   [][]float32 // vectors of the further phrases of the question
}

// runner computes the clean score of a question and the scores of cells, in the order of the cells.
type runner interface {
	run(ctx context.Context, q question, cells []cell) (clean results.Score, scores []results.Score, err error)
	close() error
}

func planByName(name string) (plan, error) {
	if i := slices.IndexFunc(plans, func(p plan) bool { return p.name == name }); i >= 0 {
		return plans[i], nil
	}
	var names []string
	for _, p := range Plans() {
		names = append(names, p[0])
	}
	return plan{}, fmt.Errorf("plan %q: want one of %s", name, strings.Join(names, ", "))
}

// anything says that a plan is made for every evaluation.
func anything(bench) error { return nil }

// agreement is the largest difference between log-probabilities of two plans that auto accepts. Real float32 models stay
// below 1e-5 for logits of magnitude 10 and lose digits in proportion for logits of magnitude 100. A model whose numbers
// depend on the batch, as with dynamic quantisation, differs by 1e-3 and more.
const agreement = 1e-4

// choose opens the fastest plan that agrees with points on a question. The plan computes the whole grid, as for every
// prompt, because numbers of a quantised model may depend on the rest of the batch. Points computes the clean run and the
// cells whose indexes are in sample. Every session except the returned one is closed before the next is opened, because a
// session holds all weights.
func choose(ctx context.Context, b bench, q question, cells []cell, sample []int) (runner, results.Plan, error) {
	oracle := plans[len(plans)-1]
	r, err := oracle.open(ctx, b)
	if err != nil {
		return nil, results.Plan{}, err
	}
	clean, points, err := r.run(ctx, q, pick(cells, sample))
	if err := firstError(err, r.close()); err != nil {
		return nil, results.Plan{}, err
	}
	want := append([]results.Score{clean}, points...)
	var reasons []string
	for _, p := range plans[:len(plans)-1] {
		if p.covers(b) != nil {
			continue
		}
		r, err := p.open(ctx, b)
		if err == nil {
			var clean results.Score
			var got []results.Score
			if clean, got, err = r.run(ctx, q, cells); err == nil {
				err = agree(want, append([]results.Score{clean}, pick(got, sample)...))
			}
			if err == nil {
				return r, results.Plan{Used: p.name, Reason: strings.Join(reasons, "; ")}, nil
			}
			r.close()
		}
		if ctx.Err() != nil {
			return nil, results.Plan{}, context.Cause(ctx)
		}
		reasons = append(reasons, fmt.Sprintf("not %s: %v", p.name, err))
	}
	r, err = oracle.open(ctx, b)
	return r, results.Plan{Used: oracle.name, Reason: strings.Join(reasons, "; ")}, err
}

func pick[T any](list []T, at []int) []T {
	out := make([]T, len(at))
	for i, j := range at {
		out[i] = list[j]
	}
	return out
}

// agree compares scores with those of points.
func agree(want, got []results.Score) error {
	for i := range want {
		switch d := math.Abs(got[i].LogP - want[i].LogP); {
		case got[i].OK() != want[i].OK(): // without a number, a plan may not know why
			return fmt.Errorf("the status of a score is %q, points has %q", got[i].Status, want[i].Status)
		case d > agreement:
			return fmt.Errorf("a log-probability differs from points by %.2g, more than %g", d, agreement)
		}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
