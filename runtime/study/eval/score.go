package eval

import (
	"cmp"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// score computes the score of an answer from logits [vocab], in float64. top is the number of most likely tokens to list;
// of equal tokens the first come first.
func score(logits []float32, answer int64, top int) results.Score {
	if math.IsInf(float64(slices.Max(logits)), 1) {
		return status(math.Inf(1))
	}
	s := status(steer.LogSoftmax(logits)[answer])
	if s.OK() {
		s.Rank, s.Top = steer.Rank(logits, answer), likeliest(logits, top)
	}
	return s
}

// status returns a score with only a log-probability.
func status(logp float64) results.Score {
	switch {
	case math.IsNaN(logp):
		return results.Score{LogP: math.NaN(), Rank: -1, Status: results.NaN}
	case math.IsInf(logp, 0):
		return results.Score{LogP: math.NaN(), Rank: -1, Status: results.Inf}
	}
	return results.Score{LogP: logp}
}

// likeliest returns the n tokens with the largest logits, most likely first.
func likeliest(logits []float32, n int) []int64 {
	if n == 0 {
		return nil
	}
	order := func(a, b int64) int {
		if c := cmp.Compare(logits[b], logits[a]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	}
	best := make([]int64, 0, n+1)
	for i := range logits {
		id := int64(i)
		if len(best) == n && order(best[n-1], id) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, id, order)
		best = slices.Insert(best, at, id)
		best = best[:min(len(best), n)]
	}
	return best
}
