package steer

import (
	"context"
	"maps"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Batch runs a prompt with many plans, each in its own row.
type Batch struct {
	// Share runs the positions before the first change once for all rows, where the file has a cache. Their keys and values are then
	// those of the clean run, and the numbers are those of whole runs up to rounding.
	Share bool

	model   *Model
	session *decoder.Session
	carries []inputs.Carry
	ids     []int64                  // the prefix that past belongs to
	past    map[string]*graph.Tensor // its keys and values, by cache input
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
	b := &Batch{model: m, session: s}
	if s.Signature.Length == 0 { // a file that takes a fixed number of tokens runs whole
		b.carries, _ = s.Signature.Cache() // without its outputs there is nothing to share
	}
	return b, nil
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
	from, err := b.shared(plans, len(ids))
	if err != nil {
		return nil, err
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

// shared returns how many positions of a prompt of n tokens are the same in all rows and have keys and values to share.
func (b *Batch) shared(plans []intervention.Plan, n int) (int, error) {
	if !b.Share || len(b.carries) == 0 {
		return 0, nil
	}
	first := n - 1
	for _, p := range plans {
		for _, c := range p {
			from, _, err := c.Positions.Within(n)
			if err != nil {
				return 0, err
			}
			first = min(first, from)
		}
	}
	return first, nil
}

// feeds returns the inputs of a number of equal rows, from a position on.
func (b *Batch) feeds(ctx context.Context, ids []int64, from, rows int) (map[string]*graph.Tensor, error) {
	batch := slices.Repeat([][]int64{ids[from:]}, rows)
	if from == 0 {
		return b.session.Signature.Feeds(batch)
	}
	if !slices.Equal(b.ids, ids[:from]) {
		feeds, err := b.session.Signature.Feeds([][]int64{ids[:from]})
		if err != nil {
			return nil, err
		}
		var want []string
		for _, c := range b.carries {
			want = append(want, c.Present)
		}
		out, err := b.session.Run(ctx, feeds, want...)
		if err != nil {
			return nil, err
		}
		b.ids, b.past = slices.Clone(ids[:from]), map[string]*graph.Tensor{}
		for _, c := range b.carries {
			b.past[c.Past] = out[c.Present]
		}
	}
	feeds, err := b.session.Signature.Step(batch, from)
	if err != nil {
		return nil, err
	}
	past, err := b.session.Signature.Spread(b.past, rows)
	maps.Copy(feeds, past)
	return feeds, err
}

// tooLoud reports whether a memory of the plan is; see [TooLoud].
func tooLoud(p intervention.Plan) bool {
	return slices.ContainsFunc(p, func(c intervention.Change) bool { return TooLoud(c.Vector, c.Tau) })
}
