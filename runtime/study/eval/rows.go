package eval

import (
	"context"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// batched runs a patched model: memory and tau are inputs of every layer, and the rows of a run belong to one layer.
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
	for _, layer := range b.layers {
		ports = append(ports, b.change(layer, 0, b.zero(), intervention.AllPositions))
	}
	batch, err := b.model.Batch(ctx, ports)
	return &batched{b, batch, rows}, err
}

// zero is a memory that changes nothing.
func (b bench) zero() []float32 {
	return make([]float32, b.site.Intervention().MemoryLen(b.model.Layout))
}

// change adds a memory at the site of the evaluation.
func (b bench) change(layer int, tau float64, vector []float32, at intervention.Positions) intervention.Change {
	return intervention.Change{Site: b.site, Layer: layer, Keep: 1, Tau: tau, Vector: vector, Positions: at}
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
	zero := b.zero()
	// The clean run has one row in every plan of this kind, so that it does not depend on the grid. Its memory is zero and is
	// added at all positions, because a one-hop prompt may be too short for the configured positions.
	rows, err := b.batch.Rows(ctx, q.ids, []intervention.Change{b.change(b.layers[0], 0, zero, intervention.AllPositions)})
	if err != nil {
		return clean, nil, err
	}
	clean = score(rows[0], q.answer, b.top)
	scores = make([]results.Score, len(cells))
	for _, batch := range batches(cells, b.rows(len(q.ids))) {
		var changes []intervention.Change
		for _, i := range batch {
			v := cells[i].vector
			if v == nil {
				v = zero
			}
			changes = append(changes, b.change(cells[i].layer, cells[i].tau, v, b.positions))
		}
		rows, err := b.batch.Rows(ctx, q.ids, changes)
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
