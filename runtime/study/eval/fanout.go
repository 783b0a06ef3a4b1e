package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// fanOut runs the graph of rewrite.FanOut: a grid in one run.
type fanOut struct {
	bench
	session *decoder.Session
	places  []models.BakedAt // in the order of the rows
}

// onlyAdds says what the plan is made for.
func onlyAdds(b bench) error {
	stream := !slices.ContainsFunc(b.sites, func(k models.PortKind) bool { return k.Intervention().ByHead() })
	if b.op != intervention.Add || len(b.also) > 0 || !stream {
		return errors.New("it adds memories to the residual stream and does nothing else")
	}
	return nil
}

func openFanOut(ctx context.Context, b bench) (runner, error) {
	f := &fanOut{bench: b}
	var err error
	f.session, err = b.model.Decoder.Session(ctx, b.host, b.options, decoder.FanOut(b.sites, b.top, &f.places))
	return f, err
}

func (f *fanOut) run(ctx context.Context, q question, cells []cell) (clean results.Score, scores []results.Score, err error) {
	scores = make([]results.Score, len(cells))
	size := max(1, f.rowsOf(len(q.ids))-1) // one row is the clean row
	parts := max(1, (len(cells)+size-1)/size)
	for i := range parts { // every part has cells of all layers, so that no part runs the lower layers for a single row
		var part []cell
		var at []int
		for j := i; j < len(cells); j += parts {
			part, at = append(part, cells[j]), append(at, j)
		}
		got := make([]results.Score, len(part))
		if clean, err = f.part(ctx, q, part, got); err != nil {
			return clean, nil, err
		}
		for k, j := range at {
			scores[j] = got[k]
		}
	}
	return clean, scores, nil
}

// part computes cells in one run and returns the clean score.
func (f *fanOut) part(ctx context.Context, q question, cells []cell, scores []results.Score) (clean results.Score, err error) {
	feeds, err := f.session.Signature.Feeds([][]int64{q.ids})
	if err != nil {
		return clean, err
	}
	feeds[rewrite.FanOutAnswer] = graph.NewInt64([]int64{q.answer}, 1)
	d, pos := f.model.Layout.DModel, len(q.ids)
	on := make([]bool, pos) // the positions that change
	for _, at := range q.at {
		from, to, err := at.Within(pos)
		if err != nil {
			return clean, err
		}
		for p := from; p < to; p++ {
			on[p] = true
		}
	}
	order := make([]int, 0, len(cells)) // of the rows after the clean row
	for _, place := range f.places {
		var memory, tau []float32
		for i, c := range cells {
			if c.BakedAt != place {
				continue
			}
			order = append(order, i)
			if c.vector == nil {
				memory = append(memory, make([]float32, d)...)
			} else {
				memory = append(memory, c.vector...)
			}
			schedule := make([]float32, pos)
			for p := range on {
				if on[p] {
					schedule[p] = float32(c.tau)
				}
			}
			tau = append(tau, schedule...)
		}
		k := int64(len(tau) / pos)
		feeds[rewrite.FanOutMemory(place)] = graph.NewFloat32(memory, k, 1, int64(d))
		feeds[rewrite.FanOutTau(place)] = graph.NewFloat32(tau, k, int64(pos), 1)
	}
	out, err := f.session.Run(ctx, feeds)
	if err != nil {
		return clean, err
	}
	rows, err := f.read(out, len(cells)+1)
	if err != nil {
		return clean, err
	}
	for row, i := range order {
		scores[i] = rows[row+1]
		if steer.TooLoud(cells[i].vector, cells[i].tau) { // as steer.Batch.Rows says it
			scores[i] = status(math.Inf(1))
		}
	}
	return rows[0], nil
}

// read converts the outputs of a run to scores, one per row.
func (f *fanOut) read(out map[string]*graph.Tensor, rows int) ([]results.Score, error) {
	logp, err := out[rewrite.FanOutLogP].Float32s()
	if err != nil {
		return nil, err
	}
	rank, err := out[rewrite.FanOutRank].Int64s()
	if err != nil {
		return nil, err
	}
	var top []int64
	if f.top > 0 {
		if top, err = out[rewrite.FanOutTop].Int64s(); err != nil {
			return nil, err
		}
	}
	signal, err := steer.Signals(out, rows)
	if err != nil {
		return nil, err
	}
	if len(logp) != rows || len(rank) != rows || len(top) != rows*f.top {
		return nil, fmt.Errorf("fan-out: got %d rows, want %d", len(logp), rows)
	}
	scores := make([]results.Score, rows)
	for i := range scores {
		scores[i] = status(float64(logp[i]))
		if signal[i] == 0 { // the last norm lost the stream
			scores[i] = status(math.Inf(1))
		}
		if scores[i].OK() {
			scores[i].Rank = int(rank[i])
			scores[i].Top = top[i*f.top : (i+1)*f.top]
		}
	}
	return scores, nil
}

func (f *fanOut) close() error { return f.session.Close() }
