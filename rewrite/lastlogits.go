package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// lastLogits makes the model unembed the last position only: logits become [batch, 1, vocab]. It returns what is the body's
// output then.
func (p *patch) lastLogits() *graph.Value {
	old, outer := p.body.Logits, p.layout.Logits()
	v := p.atLast()
	p.edit.Retype(v, onePosition(old.Type))
	if v != old {
		p.edit.ReplaceOutput(old, v)
	}
	if outer.Graph() != p.body.Graph { // a branch: the If declares its outputs, too
		p.edit.Retype(outer, onePosition(outer.Type))
	}
	return v
}

func onePosition(t graph.Type) graph.Type {
	if len(t.Dims) == 3 {
		t.Dims = slices.Clone(t.Dims)
		t.Dims[1] = graph.Dim{Size: 1}
	}
	return t
}

// atLast gives the logits of the last position, [batch, 1, vocab]. The slice goes in front of the unembedding, where it saves
// the work, unless the way to it reshapes by the number of positions or is quantised by their range; then the logits are
// sliced.
func (p *patch) atLast() *graph.Value {
	if n := p.layout.Unembed.Node; p.direct() {
		p.edit.Redirect(graph.Use{Node: n, Slot: 0}, p.last("last_logits", n.In(0), 1))
		return p.body.Logits
	}
	return p.last("last_logits", p.body.Logits, 1)
}

// last cuts a value down to the last position, along the axis of positions.
func (p *patch) last(name string, v *graph.Value, axis int64) *graph.Value {
	along := "last_axis"
	if axis != 1 {
		along = fmt.Sprintf("last_axis_%d", axis)
	}
	return p.node("Slice", name, v, p.ints("last_start", -1), p.ints("last_end", 1<<31-1), p.ints(along, axis))
}

// direct reports whether the unembedding takes one position as well as all of them, and logits [batch, pos, vocab] are its
// output, moved at most by operations that do not name the positions. A Reshape in front of it may flatten batch and
// positions where nothing says that the logits have three axes.
func (p *patch) direct() bool {
	w, v := p.layout.Unembed, p.body.Logits
	n, axes := w.Node, len(v.Type.Dims)
	if n.Graph() != p.body.Graph || !n.Is("MatMul", "com.microsoft.FusedMatMul") || w.ScaleValue != nil {
		return false
	}
	for v != nil && v.Producer() != n {
		switch q := v.Producer(); {
		case q.Is("Identity", "Cast"), q.Is("Add") && q.In(1).Const() != nil:
			v = q.In(0)
		case q.Is("Add") && q.In(0).Const() != nil:
			v = q.In(1)
		default:
			return false
		}
	}
	return v != nil && (axes == 3 || !n.In(0).Producer().Is("Reshape"))
}
