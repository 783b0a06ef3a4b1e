package models

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// Tokens returns the graph input that holds the token ids, or nil when it is unknown.
func (l *Layout) Tokens() *graph.Value {
	if l.Embed == nil || l.Embed.Node == nil {
		return nil
	}
	v := l.Embed.Node.In(1)
	if l.Embed.Node.Is("com.microsoft.EmbedLayerNormalization") {
		v = l.Embed.Node.In(0)
	}
	for v != nil && !v.IsInput() {
		if v.Producer() == nil {
			return nil
		}
		v = v.Producer().In(0)
	}
	return v
}

// Logits returns the main graph's output that holds the logits, or nil when the file ends in hidden states. In a merged
// file it is the output of the If, not of the branch.
func (l *Layout) Logits() *graph.Value {
	b := l.Bodies[0]
	owner := b.Graph.Owner()
	if b.Logits == nil || owner == nil {
		return b.Logits
	}
	return owner.Out(slices.Index(b.Graph.Outputs(), b.Logits))
}

// UnembedBias returns b_U [vocab], which the file adds after the unembedding, or nil if there is none.
func (l *Layout) UnembedBias() ([]float32, error) {
	if len(l.Bodies) == 0 {
		return nil, nil
	}
	var sum []float32
	for _, t := range l.Bodies[0].BU {
		x, err := weights.Vector(t)
		switch {
		case err != nil:
			return nil, fmt.Errorf("bias of the unembedding: %w", err)
		case len(x) != l.Vocab:
			return nil, fmt.Errorf("bias of the unembedding: %v has %d numbers, the vocabulary has %d", t, len(x), l.Vocab)
		}
		if sum == nil {
			sum = make([]float32, len(x))
		}
		for i := range sum {
			sum[i] += x[i]
		}
	}
	for _, x := range sum {
		if math.IsNaN(float64(x)) || x != 0 {
			return sum, nil
		}
	}
	return nil, nil
}
