package steer

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Batch runs a prompt with many changes, each in its own row.
type Batch struct {
	model   *Model
	session *decoder.Session
}

// Batch opens a session with the ports of the given changes. [Model.Unload] closes it, and so does another plan.
func (m *Model) Batch(ctx context.Context, p intervention.Plan) (*Batch, error) {
	if err := p.Check(m.Layout); err != nil {
		return nil, err
	}
	s, err := m.steering(ctx, p)
	return &Batch{m, s}, err
}

// Rows runs a prompt once for each change: row i has change i. All changes are at the same site of the same layer. It returns the
// logits at the last position, [row][vocab]. All logits of a row are +Inf when its numbers left the range of their type without a
// trace in the logits; see [rewrite.Signal] and [TooLoud].
func (b *Batch) Rows(ctx context.Context, ids []int64, changes []intervention.Change) ([][]float32, error) {
	m := b.model
	if err := m.fits("prompt", ids); err != nil {
		return nil, err
	}
	batch := make([][]int64, len(changes))
	for i, c := range changes {
		batch[i] = ids
		if c.Site != changes[0].Site || c.Layer != changes[0].Layer {
			return nil, fmt.Errorf("rows at %s@%d and %s@%d: want one place", c.Site, c.Layer, changes[0].Site, changes[0].Layer)
		}
	}
	if err := intervention.Plan(changes).Check(m.Layout); err != nil {
		return nil, err
	}
	feeds, err := b.session.Signature.Feeds(batch)
	if err != nil {
		return nil, err
	}
	if err := m.feedRows(feeds, changes, len(ids)); err != nil {
		return nil, err
	}
	last, err := m.score(ctx, b.session, feeds, len(changes))
	if err != nil {
		return nil, err
	}
	for i, c := range changes {
		if TooLoud(c.Vector, c.Tau) {
			last[i] = overflowed(len(last[i]))
		}
	}
	return last, nil
}

// feedRows sets the ports of one place for a prompt of n tokens.
func (m *Model) feedRows(feeds map[string]*graph.Tensor, changes []intervention.Change, n int) error {
	at := intervention.Plan(changes).Ports()[0]
	dims := at.Site.Intervention().MemoryDims(m.Layout)
	size, heads := at.Site.Intervention().MemoryLen(m.Layout), 1
	if at.Site.Intervention().ByHead() {
		heads = m.Layout.Heads
	}
	memory := make([]float32, 0, len(changes)*size)
	tau, keep := make([]float32, len(changes)*n*heads), slices.Repeat([]float32{1}, len(changes)*n*heads)
	for i, c := range changes {
		from, to, err := c.Positions.Within(n)
		if err != nil {
			return err
		}
		if c.Vector == nil {
			memory = append(memory, make([]float32, size)...)
		} else {
			memory = append(memory, c.Vector...)
		}
		for p := from; p < to; p++ {
			for h := range heads {
				if c.Heads == nil || slices.Contains(c.Heads, h) {
					k := (i*n+p)*heads + h
					tau[k], keep[k] = float32(c.Tau), float32(c.Keep)
				}
			}
		}
	}
	rows := int64(len(changes))
	put := func(kind models.PortKind, x []float32, pos int, last ...int64) {
		feeds[at.Site.Input(kind).Name(at.Layer)] = graph.NewFloat32(x, append([]int64{rows, int64(pos)}, last...)...)
	}
	scalar := append(slices.Clone(dims[:len(dims)-1]), 1)
	if at.Memory {
		put(models.PortMemory, memory, 1, dims...)
		put(models.PortTau, tau, n, scalar...)
	}
	if at.Keep {
		put(models.PortKeep, keep, n, scalar...)
	}
	return nil
}
