package eval

import (
	"context"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// batched runs a patched model: memory and tau are inputs of every layer, and the rows of a run belong to one layer.
type batched struct {
	bench
	rows func(tokens int) int // the largest number of rows of a run
}

func openPoints(ctx context.Context, b bench) (runner, error) {
	return &batched{b, func(int) int { return 1 }}, b.model.Load(ctx)
}

func openRows(ctx context.Context, b bench) (runner, error) {
	return &batched{b, b.rowsOf}, b.model.Load(ctx)
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
	zero := make([]float32, b.model.Layout.DModel)
	// The clean run has one row in every plan of this kind, so that it does not depend on the grid. Its memory is zero and is
	// added at all positions, because a one-hop prompt may be too short for the configured positions.
	rows, err := b.model.Rows(ctx, q.ids, 0, intervention.AllPositions, [][]float32{zero}, []float64{0})
	if err != nil {
		return clean, nil, err
	}
	clean = score(rows[0], q.answer, b.top)
	scores = make([]results.Score, len(cells))
	for _, batch := range batches(cells, b.rows(len(q.ids))) {
		var vectors [][]float32
		var taus []float64
		for _, i := range batch {
			v := cells[i].vector
			if v == nil {
				v = zero
			}
			vectors, taus = append(vectors, v), append(taus, cells[i].tau)
		}
		rows, err := b.model.Rows(ctx, q.ids, cells[batch[0]].layer, b.positions, vectors, taus)
		if err != nil {
			return clean, nil, err
		}
		for j, i := range batch {
			scores[i] = score(rows[j], q.answer, b.top)
		}
	}
	return clean, scores, nil
}

// batches groups the indexes of cells by layer, with at most size indexes in a group.
func batches(cells []cell, size int) [][]int {
	var out [][]int
	last := map[int]int{} // layer -> its newest group
	for i, c := range cells {
		g, ok := last[c.layer]
		if !ok || len(out[g]) == size {
			g = len(out)
			out = append(out, nil)
			last[c.layer] = g
		}
		out[g] = append(out[g], i)
	}
	return out
}

func (b *batched) close() error { return b.model.Unload() }
