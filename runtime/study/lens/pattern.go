package lens

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
)

// Pattern is the attention of one head: how much of what a position reads comes from which position.
type Pattern struct {
	HeadAt
	Weights [][]float32 `json:"weights"` // [query][key]; a row adds up to 1, or to less in a model with attention sinks
}

// patternsShown is the number of heads whose patterns are shown if none is named.
const patternsShown = 3

// Seen is a position that a head reads.
type Seen struct {
	Position int
	Weight   float64
}

// Last lists the n positions that the last position reads most, the most first.
func (p *Pattern) Last(n int) []Seen {
	var out []Seen
	for k, w := range p.Weights[len(p.Weights)-1] {
		out = append(out, Seen{k, float64(w)})
	}
	slices.SortStableFunc(out, func(a, b Seen) int { return cmp.Compare(b.Weight, a.Weight) })
	return out[:min(n, len(out))]
}

// patterns runs a prompt for the patterns of some heads.
func (h *heads) patterns(ctx context.Context, ids []int64, of []HeadAt) ([]Pattern, error) {
	want := ports{}
	for _, x := range of {
		want.add(models.PortPattern, x.Layer)
	}
	read, err := h.read(ctx, ids, true, want.names()...)
	if err != nil {
		return nil, err
	}
	var out []Pattern
	n := len(ids)
	for _, x := range of {
		all, err := read[models.PortPattern.Name(x.Layer)].Float32s()
		if err != nil {
			return nil, err
		}
		if len(all) != h.heads*n*n {
			return nil, fmt.Errorf("layer %d: the attention pattern has shape %v, want %d heads of %d positions by %d",
				x.Layer, read[models.PortPattern.Name(x.Layer)].Dims, h.heads, n, n)
		}
		own := slices.Clone(all[x.Head*n*n:][:n*n])
		out = append(out, Pattern{x, slices.Collect(slices.Chunk(own, n))})
	}
	return out, nil
}
