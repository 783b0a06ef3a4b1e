package steer

import (
	"context"
	"maps"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/intervention"
)

// Batch runs a prompt with many plans, each in its own row.
type Batch struct {
	// Share runs the positions before the first change once for all rows, where the file has a cache. Their keys and values are then
	// those of the clean run, and the numbers are those of whole runs up to rounding.
	Share bool

	model  *Model
	prefix prefix
}

// Batch opens a session with the ports of the given changes. [Model.Unload] closes it, and so does another plan.
func (m *Model) Batch(ctx context.Context, p intervention.Plan) (*Batch, error) {
	if err := p.Check(m.Layout); err != nil {
		return nil, err
	}
	s, err := m.steering(ctx, p)
	if err != nil {
		return nil, err
	}
	return &Batch{model: m, prefix: newPrefix(s)}, nil
}

// Rows runs a prompt once for each plan: row i has the changes of plan i, of which the batch must have the ports. A plan without
// changes is the clean run. It returns the logits at the last position, [row][vocab]. All logits of a row are +Inf when its numbers
// left the range of their type without a trace in the logits; see [rewrite.Signal] and [TooLoud].
func (b *Batch) Rows(ctx context.Context, ids []int64, plans []intervention.Plan) ([][]float32, error) {
	m := b.model
	if err := m.fits("prompt", ids); err != nil {
		return nil, err
	}
	for _, p := range plans {
		if err := p.Check(m.Layout); err != nil {
			return nil, err
		}
	}
	from := 0
	if b.Share {
		var err error
		if from, err = b.prefix.before(len(ids), plans); err != nil {
			return nil, err
		}
	}
	feeds, err := b.feeds(ctx, ids, from, len(plans))
	if err != nil {
		return nil, err
	}
	changed, err := intervention.Rows(plans, m.Layout, intervention.Span{From: from, To: len(ids), Prompt: len(ids)})
	if err != nil {
		return nil, err
	}
	maps.Copy(feeds, changed)
	last, err := m.score(ctx, b.prefix.session, feeds, len(plans))
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

// feeds returns the inputs of a number of equal rows, from a position on.
func (b *Batch) feeds(ctx context.Context, ids []int64, from, rows int) (map[string]*graph.Tensor, error) {
	in := b.prefix.session.Signature
	batch := slices.Repeat([][]int64{ids[from:]}, rows)
	if from == 0 {
		return in.Feeds(batch)
	}
	if err := b.prefix.run(ctx, ids[:from], nil); err != nil {
		return nil, err
	}
	feeds, err := in.Step(batch, from)
	if err != nil {
		return nil, err
	}
	past, err := in.Spread(b.prefix.past, rows)
	maps.Copy(feeds, past)
	return feeds, err
}

// tooLoud reports whether a memory of the plan is; see [TooLoud].
func tooLoud(p intervention.Plan) bool {
	return slices.ContainsFunc(p, func(c intervention.Change) bool { return TooLoud(c.Vector, c.Tau) })
}
