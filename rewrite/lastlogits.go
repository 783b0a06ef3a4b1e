package rewrite

import (
	"github.com/onnx-inject/onnx-inject/graph"
)

// lastLogits makes the model unembed the last position only: logits become [batch, 1, vocab]. The slice goes in front of
// the unembedding, where it saves the work, unless the way to it reshapes by the number of positions or is quantised by
// their range; then the logits are sliced.
func (p *patch) lastLogits() {
	b := p.body
	last := func(v *graph.Value) *graph.Value {
		return p.node("Slice", "last_logits", v, p.ints("last_start", -1), p.ints("last_end", 1<<31-1), p.ints("last_axis", 1))
	}
	t := b.Logits.Type
	t.Dims = append([]graph.Dim(nil), t.Dims...)
	if len(t.Dims) == 3 {
		t.Dims[1] = graph.Dim{Size: 1}
	}
	if x := p.layout.Unembed; len(p.layout.Bodies) == 1 && x.Node.Graph() == b.Graph && x.Node.Is("MatMul", "com.microsoft.FusedMatMul") && x.ScaleValue == nil {
		if direct(b.Logits, x.Node) {
			p.edit.Redirect(graph.Use{Node: x.Node, Slot: 0}, last(x.Node.In(0)))
			p.edit.Retype(b.Logits, t)
			return
		}
	}
	out := last(b.Logits)
	p.edit.Retype(out, t)
	p.edit.ReplaceOutput(b.Logits, out)
}

// direct reports whether logits are the output of n, moved at most by operations that do not name the positions.
func direct(v *graph.Value, n *graph.Node) bool {
	for v != nil && v.Producer() != n {
		q := v.Producer()
		if !q.Is("Identity", "Cast", "Add") {
			return false
		}
		v = q.In(0)
	}
	return v != nil && !n.In(0).Producer().Is("Reshape")
}
