package eval

import (
	"context"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// batched runs a patched model: the inputs of its ports say what changes in each row, and the rows of a run belong to one place.
type batched struct {
	bench
	batch *steer.Batch
	rows  func(tokens int) int // the largest number of rows of a run
}

func openPoints(ctx context.Context, b bench) (runner, error) {
	return openBatched(ctx, b, func(int) int { return 1 })
}

func openRows(ctx context.Context, b bench) (runner, error) { return openBatched(ctx, b, b.rowsOf) }

func openBatched(ctx context.Context, b bench, rows func(tokens int) int) (runner, error) {
	var ports intervention.Plan
	for _, at := range b.places {
		ports = append(ports, b.change(cell{BakedAt: at, vector: make([]float32, at.Site.Intervention().MemoryLen(b.model.Layout))}))
	}
	batch, err := b.model.Batch(ctx, append(ports, b.also...))
	return &batched{b, batch, rows}, err
}

// change is what happens in a cell, at all positions.
func (b bench) change(c cell) intervention.Change {
	x := intervention.Change{Site: c.Site, Layer: c.Layer, Heads: c.heads, Keep: 1}
	switch b.op {
	case intervention.Add:
		x.Tau, x.Vector = c.tau, c.vector
	case intervention.Replace:
		x.Keep, x.Tau, x.Vector = 0, c.tau, c.vector
	case intervention.Scale:
		x.Keep = c.tau
	case intervention.Ablate:
		x.Keep = 0
	}
	return x
}

// The largest size of a run. Matrices of a thousand rows are as fast as larger ones, and activations stay small compared
// with the weights: the widest activation of a layer, in the MLP, has batchTokens x 4 x d_model numbers (50 MB for GPT-2
// small, 105 MB for XL). The logits have batchLogits numbers, and as many again while they are compared (34 MB).
const (
	batchTokens = 4096    // rows x positions
	batchLogits = 1 << 22 // rows x vocabulary
)

// rowsOf is the largest number of rows of a run with this many tokens per row.
func (b bench) rowsOf(tokens int) int {
	return max(1, min(batchTokens/tokens, batchLogits/max(1, b.model.Layout.Vocab)))
}

func (b *batched) run(ctx context.Context, q question, cells []cell) (clean results.Score, scores []results.Score, err error) {
	// The clean run has one row in every plan of this kind, so that it does not depend on the grid.
	rows, err := b.batch.Rows(ctx, q.ids, []intervention.Plan{nil})
	if err != nil {
		return clean, nil, err
	}
	clean = score(rows[0], q.answer, b.top)
	scores = make([]results.Score, len(cells))
	for _, batch := range batches(cells, b.rows(len(q.ids))) {
		var plans []intervention.Plan
		for _, i := range batch {
			plan := slices.Clip(q.also)
			for _, at := range q.at {
				x := b.change(cells[i])
				x.Positions = at
				plan = append(plan, x)
			}
			plans = append(plans, plan)
		}
		rows, err := b.batch.Rows(ctx, q.ids, plans)
		if err != nil {
			return clean, nil, err
		}
		for j, i := range batch {
			scores[i] = score(rows[j], q.answer, b.top)
		}
	}
	return clean, scores, nil
}

// batches groups the indexes of cells by place, with at most size indexes in a group.
func batches(cells []cell, size int) [][]int {
	var out [][]int
	last := map[models.BakedAt]int{} // place -> its newest group
	for i, c := range cells {
		g, ok := last[c.BakedAt]
		if !ok || len(out[g]) == size {
			g = len(out)
			out = append(out, nil)
			last[c.BakedAt] = g
		}
		out[g] = append(out[g], i)
	}
	return out
}

func (b *batched) close() error { return b.model.Unload() }
