package steer

import (
	"cmp"
	"math"
	"slices"
)

// Token is one continuation with its probability.
type Token struct {
	Token string  `json:"token"`
	ID    int64   `json:"id"`
	P     float64 `json:"p"`
}

// LogSoftmax returns log-probabilities of logits, summed in float64 after taking the largest logit away, so that no
// exponential overflows.
func LogSoftmax(logits []float32) []float64 {
	top := math.Inf(-1)
	for _, x := range logits {
		top = max(top, float64(x))
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x) - top)
	}
	norm := top + math.Log(sum)
	out := make([]float64, len(logits))
	for i, x := range logits {
		out[i] = float64(x) - norm
	}
	return out
}

// Rank returns how many tokens are more likely than id: 0 is the most likely.
func Rank(logits []float32, id int64) int {
	rank := 0
	for _, x := range logits {
		if x > logits[id] {
			rank++
		}
	}
	return rank
}

// top returns the n most likely tokens, ties in order of id.
func (m *Model) top(logits []float32, n int) []Token {
	logp := LogSoftmax(logits)
	ids := make([]int, len(logp))
	for i := range ids {
		ids[i] = i
	}
	slices.SortFunc(ids, func(a, b int) int {
		if c := cmp.Compare(logp[b], logp[a]); c != 0 {
			return c
		}
		return a - b
	})
	out := []Token{}
	for _, id := range ids[:min(n, len(ids))] {
		out = append(out, Token{m.Token(int64(id)), int64(id), math.Exp(logp[id])})
	}
	return out
}
