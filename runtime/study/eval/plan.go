package eval

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// plan is one way to compute the cells of a prompt. To add one, write its open function and a line in plans.
type plan struct {
	name string
	doc  string
	open func(ctx context.Context, b bench) (runner, error)
}

// plans lists the plans, fastest first; the last one is the oracle.
var plans = []plan{
	{"fanout", "the whole grid of a prompt in one run, what lies below the injected layer computed once", openFanOut},
	{"rows", "the cells of a layer as rows of one batch", openRows},
	{"points", "each cell in a run of its own: slow, and what the others are held to", openPoints},
}

// Auto takes the fastest plan that gives the numbers of points.
const Auto = "auto"

// Plans lists the names that [Config] takes, with what they mean.
func Plans() [][2]string {
	out := [][2]string{{Auto, "the fastest that gives the numbers of points on the first prompt"}}
	for _, p := range plans {
		out = append(out, [2]string{p.name, p.doc})
	}
	return out
}

// bench is what plans work on.
type bench struct {
	model     *steer.Model
	host      runtime.Host
	options   runtime.Options
	positions steer.Positions
	top       int
}

// question is a prompt as the model sees it.
type question struct {
	ids    []int64
	answer int64
}

// cell is one memory at one layer and tau. A nil vector is no memory.
type cell struct {
	layer  int
	tau    float64
	vector []float32
}

// runner computes the clean score of a question and those of cells, in their order.
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

// agreement is how far log-probabilities of two plans may lie apart for auto. Real float32 models stay below 1e-5 where logits are
// of the size 10, and lose digits in proportion where they are of the size 100; a model whose numbers depend on the
// batch, as those of dynamic quantisation do, is off by 1e-3 and more.
const agreement = 1e-4

// choose opens the fastest plan that agrees with points on a question. The plan computes the whole grid, as it will do with
// every prompt: numbers of a quantised model may depend on what else is in a batch. Points computes the clean run and
// the cells in sample, given by their indexes. Every session but the one that is returned is closed before the next is
// opened: a session holds all weights.
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
		case got[i].Status != want[i].Status:
			return fmt.Errorf("it has %q where points has %q", got[i].Status, want[i].Status)
		case d > agreement:
			return fmt.Errorf("a log-probability differs by %.2g from that of points, more than %g", d, agreement)
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
