package rewrite

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// Signal is the name of an output that shows whether the last norm of a decoder saw the residual stream: float32 [rows], the
// sum of |y - beta| over what the norm gives at the last position. A norm whose squares leave the range of their type divides
// by infinity and gives beta and nothing else. The logits are finite then, and say nothing about the prompt: the sum is 0.
//
// What it cannot see: that an earlier norm lost the stream at another position only, or that numbers lost their digits without
// leaving the range. A model has no such output when its last norm was not found or is not [batch, pos, d_model].
const Signal = "onnx-inject.signal"

// hasSignal reports whether all bodies can compute [Signal].
func hasSignal(m *graph.Model, l *models.Layout) bool {
	facts := ops.NewFacts(ops.Unlimited())
	return m.Opset("") >= 10 && !slices.ContainsFunc(l.Bodies, func(b *models.Body) bool { // Slice takes its bounds as inputs from then on
		return b.Norm == nil || b.Norm.Out == nil || facts.Rank(b.Norm.Out) != 3
	})
}

// signal computes [Signal].
func (p *patch) signal() *graph.Value {
	norm := p.body.Norm
	y := p.convert("signal/norm", p.last("signal/last", p.resolve(norm.Out), 1), graph.Float32)
	if norm.Beta != nil {
		y = p.node("Sub", "signal/distance", y, p.convert("signal/beta", norm.Beta, graph.Float32))
	}
	return p.node("Reshape", "signal/rows", p.sum("signal/sum", p.node("Abs", "signal/abs", y), 2), p.ints("signal_flat", -1))
}

// sum is the sum of x along an axis, which stays.
func (p *patch) sum(name string, x *graph.Value, axis int64) *graph.Value {
	if p.model.Opset("") >= 13 {
		return p.nodeAttrs("ReduceSum", name, graph.Attrs{"keepdims": 1}, x, p.ints("signal_axis", axis))
	}
	return p.nodeAttrs("ReduceSum", name, graph.Attrs{"axes": []int64{axis}, "keepdims": 1}, x)
}
