package eval

import (
	"context"
	"errors"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// fanOut runs the graph of rewrite.FanOut: a grid in one run.
type fanOut struct {
	bench
	fan *steer.Fan
}

// onStream says what the plan is made for.
func onStream(b bench) error {
	byHead := func(k models.PortKind) bool { return k.Intervention().ByHead() }
	if len(b.also) > 0 || slices.ContainsFunc(b.sites, byHead) {
		return errors.New("it changes the residual stream and does nothing else")
	}
	return nil
}

// openFanOut keeps the cache of a file that has one if it can share the first positions of a prompt.
func openFanOut(ctx context.Context, b bench) (runner, error) {
	fan, err := b.model.Fan(ctx, rewrite.Grid{Sites: b.sites, Top: b.top, Keep: b.op != intervention.Add, Cache: b.late})
	return &fanOut{b, fan}, err
}

func (f *fanOut) run(ctx context.Context, q question, cells []cell) (clean results.Score, scores []results.Score, err error) {
	scores = make([]results.Score, len(cells))
	size := max(1, f.rowsOf(len(q.ids))-1) // one row is the clean row
	parts := max(1, (len(cells)+size-1)/size)
	for i := range parts { // every part has cells of all layers, so that no part runs the lower layers for a single row
		var plans []intervention.Plan
		var at []int
		for j := i; j < len(cells); j += parts {
			plans, at = append(plans, f.plan(q, cells[j])), append(at, j)
		}
		own, rows, err := f.fan.Run(ctx, q.ids, q.answer, plans)
		if err != nil {
			return clean, nil, err
		}
		clean = fanScore(own)
		for k, j := range at {
			scores[j] = fanScore(rows[k])
		}
	}
	return clean, scores, nil
}

func fanScore(r steer.FanRow) results.Score {
	s := status(r.LogP)
	if s.OK() {
		s.Rank, s.Top = r.Rank, r.Top
	}
	return s
}

func (f *fanOut) close() error { return f.fan.Close() }
