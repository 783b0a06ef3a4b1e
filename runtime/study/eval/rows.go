package eval

import (
	"context"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// batched runs a patched model: the inputs of its ports say what changes in each row.
type batched struct {
	bench
	batch *steer.Batch
	rows  func(tokens int) int // the largest number of rows of a run
}

func openPoints(ctx context.Context, b bench) (runner, error) {
	return openBatched(ctx, b, func(int) int { return 1 }, false)
}

// openRows also runs the positions before the first change once for all rows, where the file has a cache.
func openRows(ctx context.Context, b bench) (runner, error) {
	return openBatched(ctx, b, b.rowsOf, true)
}

func openBatched(ctx context.Context, b bench, rows func(tokens int) int, share bool) (runner, error) {
	var ports intervention.Plan
	for _, at := range b.places {
		ports = append(ports, b.change(cell{BakedAt: at, vector: make([]float32, at.Site.Intervention().MemoryLen(b.model.Layout))}))
	}
	batch, err := b.model.Batch(ctx, append(ports, b.also...))
	if err != nil {
		return nil, err
	}
	batch.Share = share
	return &batched{b, batch, rows}, nil
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

// plan is what happens in a cell of a question.
func (b bench) plan(q question, c cell) intervention.Plan {
	return append(slices.Clip(q.also), b.changes(q, c)...)
}

// The largest size of a run. Matrices of a thousand rows are as fast as larger ones, and activations stay small compared
// with the weights: the widest activation of a layer, in the MLP, has batchTokens x 4 x d_model numbers (50 MB for GPT-2
// small, 105 MB for XL). The logits have batchLogits numbers, and as many again while they are compared (34 MB).
const (
	batchTokens   = 4096    // rows x positions
	batchLogits   = 1 << 22 // rows x vocabulary
	batchMemories = 1 << 22 // places x rows x numbers of a memory (17 MB)
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
	for _, batch := range b.batches(cells, b.rows(len(q.ids))) {
		var plans []intervention.Plan
		for _, i := range batch {
			plans = append(plans, b.plan(q, cells[i]))
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

// batches groups the indexes of cells by place, with at most size indexes in a group. Places with few cells share a group, because a
// run costs time for each node of the graph, whatever the number of rows. Every place of a group has a memory for every row, so that
// groups of many places stay small.
func (b *batched) batches(cells []cell, size int) [][]int {
	byPlace := map[models.BakedAt][]int{}
	for i, c := range cells {
		byPlace[c.BakedAt] = append(byPlace[c.BakedAt], i)
	}
	var out [][]int
	places, numbers := 0, 0 // of the newest group
	for _, at := range b.places {
		n := at.Site.Intervention().MemoryLen(b.model.Layout)
		for part := range slices.Chunk(byPlace[at], size) {
			if last := len(out) - 1; last >= 0 && len(out[last])+len(part) <= size && (places+1)*max(numbers, n)*(len(out[last])+len(part)) <= batchMemories {
				out[last] = append(slices.Clip(out[last]), part...)
				places, numbers = places+1, max(numbers, n)
			} else {
				out = append(out, part)
				places, numbers = 1, n
			}
		}
	}
	return out
}

func (b *batched) close() error { return b.model.Unload() }
