package steer

import (
	"context"
	"maps"
	"slices"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Batch runs a prompt with many plans, each in its own row.
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

// Rows runs a prompt once for each plan: row i has the changes of plan i, of which the batch must have the ports. A plan without
// changes is the clean run. It returns the logits at the last position, [row][vocab]. All logits of a row are +Inf when its numbers
// left the range of their type without a trace in the logits; see [rewrite.Signal] and [TooLoud].
func (b *Batch) Rows(ctx context.Context, ids []int64, plans []intervention.Plan) ([][]float32, error) {
	m := b.model
	if err := m.fits("prompt", ids); err != nil {
		return nil, err
	}
	batch := make([][]int64, len(plans))
	for i, p := range plans {
		batch[i] = ids
		if err := p.Check(m.Layout); err != nil {
			return nil, err
		}
	}
	feeds, err := b.session.Signature.Feeds(batch)
	if err != nil {
		return nil, err
	}
	changed, err := intervention.Rows(plans, m.Layout, intervention.Span{To: len(ids), Prompt: len(ids)})
	if err != nil {
		return nil, err
	}
	maps.Copy(feeds, changed)
	last, err := m.score(ctx, b.session, feeds, len(plans))
	if err != nil {
		return nil, err
	}
	for i, p := range plans {
		if tooLoud(p) {
			last[i] = overflowed(len(last[i]))
		}
	}
	return last, nil
}

// tooLoud reports whether a memory of the plan is; see [TooLoud].
func tooLoud(p intervention.Plan) bool {
	return slices.ContainsFunc(p, func(c intervention.Change) bool { return TooLoud(c.Vector, c.Tau) })
}
