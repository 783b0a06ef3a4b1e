package rewrite

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// lastLogits makes the model unembed the last position only: logits become [batch, 1, vocab].
func (p *patch) lastLogits() {
	old := p.body.Logits
	t := old.Type
	t.Dims = slices.Clone(t.Dims)
	if len(t.Dims) == 3 {
		t.Dims[1] = graph.Dim{Size: 1}
	}
	v := p.atLast()
	p.edit.Retype(v, t)
	if v != old {
		p.edit.ReplaceOutput(old, v)
	}
}

// atLast gives the logits of the last position, [batch, 1, vocab]. The slice goes in front of the unembedding, where it saves
// the work, unless the way to it reshapes by the number of positions or is quantised by their range; then the logits are
// sliced.
func (p *patch) atLast() *graph.Value {
	last := func(v *graph.Value) *graph.Value {
		return p.node("Slice", "last_logits", v, p.ints("last_start", -1), p.ints("last_end", 1<<31-1), p.ints("last_axis", 1))
	}
	w := p.layout.Unembed
	if w.Node.Graph() == p.body.Graph && w.Node.Is("MatMul", "com.microsoft.FusedMatMul") && w.ScaleValue == nil && direct(p.body.Logits, w.Node) {
		p.edit.Redirect(graph.Use{Node: w.Node, Slot: 0}, last(w.Node.In(0)))
		return p.body.Logits
	}
	return last(p.body.Logits)
}

// direct reports whether logits [batch, pos, vocab] are the output of n, moved at most by operations that do not name the
// positions. A Reshape in front of n may flatten batch and positions where nothing says that the logits have three axes.
func direct(v *graph.Value, n *graph.Node) bool {
	axes := len(v.Type.Dims)
	for v != nil && v.Producer() != n {
		q := v.Producer()
		if !q.Is("Identity", "Cast", "Add") {
			return false
		}
		v = q.In(0)
	}
	return v != nil && (axes == 3 || !n.In(0).Producer().Is("Reshape"))
}
