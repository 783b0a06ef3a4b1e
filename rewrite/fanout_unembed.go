package rewrite

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
)

// unembedParts is how many products the unembedding of a fan-out is.
const unembedParts = 4

// atLastInParts is atLast in float32, cut by tokens: each value [rows, n] holds the logits of the next n. A host that
// packs a matrix for its kernels holds it twice while it opens a session. W_U is the largest by far, and where it is tied, the
// host has made a transposed copy of it before: of GPT-2 small's 500 MB, parts save 100 at the peak, and cost nothing that can
// be measured.
func (p *patch) atLastInParts() []*graph.Value {
	flat := func(name string, v *graph.Value, tokens int64) *graph.Value {
		rows := p.node("Reshape", name+"/rows", v, p.ints(fmt.Sprintf("fanout_rows_%d", tokens), -1, tokens))
		return p.convert(name, rows, graph.Float32)
	}
	w := p.layout.Unembed
	if !p.direct() || p.body.Logits != w.Node.Out(0) || !w.Node.Is("MatMul") || w.OperandT {
		return []*graph.Value{flat("fanout/logits", p.atLast(), w.Out)}
	}
	h := p.last(w.Node.In(0))
	stored, axis := w.Operand, int64(1)
	turned := stored.Producer().Is("Transpose") // part by part: a host would copy the whole to cut each of them out
	if turned {
		stored, axis = stored.Producer().In(0), 0
	}
	var parts []*graph.Value
	for i := range int64(unembedParts) {
		name, from, to := fmt.Sprintf("fanout/logits_%d", i), w.Out*i/unembedParts, w.Out*(i+1)/unembedParts
		columns := p.node("Slice", name+"/columns", stored, p.ints(name+"_from", from), p.ints(name+"_to", to), p.ints("fanout_columns", axis))
		if turned {
			columns = p.nodeAttrs("Transpose", name+"/turned", graph.Attrs{"perm": []int64{1, 0}}, columns)
		}
		parts = append(parts, flat(name, p.node("MatMul", name, h, columns), to-from))
	}
	return parts
}
