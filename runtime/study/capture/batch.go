package capture

import (
	"context"
	"fmt"
	"math"
)

// The limits of a batch. Short prompts gain most: a run reads all weights, and a batch reads them once for all of its prompts.
const (
	maxBatch      = 32       // prompts
	maxBatchTok   = 512      // tokens of all prompts
	maxBatchBytes = 64 << 20 // of all hooks at all positions, as float32
)

// agreement is the largest difference between a row of a batch and the same row alone, relative to the largest number of the
// row. Float32 models stay below 1e-6. A model whose numbers depend on the rest of the batch, as with dynamic quantisation,
// differs by 1e-3 and more.
const agreement = 1e-5

// compare runs prompts as a batch and one by one, and returns an error when the values differ.
func (r *Runner) compare(ctx context.Context, ids [][]int64) error {
	together, err := r.Run(ctx, ids)
	if err != nil {
		return err
	}
	for i, prompt := range ids {
		alone, err := r.Run(ctx, [][]int64{prompt})
		if err != nil {
			return err
		}
		for h, want := range alone {
			n, width := len(want), int(size(r.rows[h]))
			got := together[h][i*n : (i+1)*n]
			for at := 0; at < n; at += width {
				if d := distance(got[at:at+width], want[at:at+width]); !(d <= agreement) {
					return fmt.Errorf("%s differs by %.2g of its size between a batch and a single prompt, more than %g", r.names[h], d, agreement)
				}
			}
		}
	}
	return nil
}

// distance returns the largest difference of two rows, relative to the largest number of the second.
func distance(got, want []float32) float64 {
	worst, largest := 0.0, 0.0
	for i, w := range want {
		g := got[i]
		if g == w || g != g && w != w { // infinities, too
			continue
		}
		worst = max(worst, math.Abs(float64(g)-float64(w)))
		largest = max(largest, math.Abs(float64(w)))
	}
	if worst == 0 {
		return 0
	}
	return worst / largest
}
