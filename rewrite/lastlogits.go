package rewrite

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// positionAxis returns the axis of the logits that counts positions. It depends on the number of axes: [batch, pos, vocab]
// or [batch, choice, pos, vocab]. It is 0 for [batch, vocab], which are already the logits of the last position.
func positionAxis(m *graph.Model, l *models.Layout) (int64, error) {
	if slices.ContainsFunc(l.Bodies, func(b *models.Body) bool { return b.Logits == nil }) {
		return 0, errors.New("the model ends in hidden states: it has no logits")
	}
	if v := m.Opset(""); v < 10 { // Slice takes its bounds as inputs since opset 10
		return 0, fmt.Errorf("opset 10 or later is needed, the model has %d", v)
	}
	facts := ops.NewFacts(ops.Unlimited())
	n := facts.Rank(l.Logits())
	if n == 0 { // a branch may declare a shape that its If does not
		n = facts.Rank(l.Bodies[0].Logits)
	}
	switch {
	case n == 0:
		return 0, errors.New("the file does not declare the shape of the logits, so the axis of positions is unknown")
	case n < 2 || n > 4:
		return 0, fmt.Errorf("logits of %d axes, want [batch, vocab], [batch, pos, vocab] or [batch, choice, pos, vocab]", n)
	}
	return int64(n - 2), nil
}

// lastLogits makes the model unembed only the last position: logits become [batch, 1, vocab]. It returns the new output of
// the body.
func (p *patch) lastLogits(axis int64) *graph.Value {
	old, outer := p.body.Logits, p.layout.Logits()
	if axis == 0 {
		return old
	}
	v := p.atLast(axis)
	p.edit.Retype(v, onePosition(old.Type(), axis))
	if v != old {
		p.edit.ReplaceOutput(old, v)
	}
	if outer.Graph() != p.body.Graph { // a branch: the If also declares its outputs
		p.edit.Retype(outer, onePosition(outer.Type(), axis))
	}
	return v
}

func onePosition(t graph.Type, axis int64) graph.Type {
	if t.Ranked {
		t.Dims = slices.Clone(t.Dims)
		t.Dims[axis] = graph.Dim{Size: 1}
	}
	return t
}

// atLast returns the logits of the last position, with unchanged axes. The slice is placed before the unembedding, which
// saves the work, unless a Reshape on the way depends on the number of positions, or quantisation uses the range of all
// positions. Then the logits are sliced.
func (p *patch) atLast(axis int64) *graph.Value {
	if n := p.layout.Unembed.Node; p.direct() {
		u := graph.Use{Node: n}
		p.redirect(u, p.last("last_logits", p.read(u), axis))
		return p.body.Logits
	}
	return p.last("last_logits", p.body.Logits, axis)
}

// last restricts a value to the last position along the axis of positions; axis 0 means no such axis.
func (p *patch) last(name string, v *graph.Value, axis int64) *graph.Value {
	if axis == 0 {
		return v
	}
	along := "last_axis"
	if axis != 1 {
		along = fmt.Sprintf("last_axis_%d", axis)
	}
	return p.node("Slice", name, v, p.ints("last_start", -1), p.ints("last_end", 1<<31-1), p.ints(along, axis))
}

// direct reports whether the unembedding accepts one position as well as all of them, and the logits are its output with at
// most a conversion, a bias, a factor or a soft cap. Then its input has the axes of the logits.
func (p *patch) direct() bool {
	w, v := p.layout.Unembed, p.body.Logits
	n := w.Node
	if n.Graph() != p.body.Graph || !n.Is("MatMul", "com.microsoft.FusedMatMul", "com.microsoft.MatMulNBits", "com.microsoft.MatMulBnb4") || w.ScaleValue != nil {
		return false
	}
	for v != nil && v.Producer() != n {
		q := v.Producer()
		if o := ops.Of(q); o.Whole || !o.In(ops.Convert|ops.Pointwise) {
			return false
		}
		v = nil
		for _, in := range q.Inputs() {
			switch c := in.Const(); {
			case in == nil, c != nil && c.Len() <= w.Out: // the same at every position
			case c != nil || v != nil:
				return false
			default:
				v = in
			}
		}
	}
	return v != nil
}
