package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// score replaces the outputs, except those to keep, by the scores of the last position, where axis is that of positions. For each row it computes
// the largest logit m, the sum s of exp(logit - m), and with these log p = logit - m - log s. Everything that needs no
// order among tokens is computed part by part, because a row has 50,000 of them.
func (p *patch) score(top int, axis int64, keep []*graph.Value) {
	answer := p.edit.Input(FanOutAnswer, graph.TensorType(graph.Int64, 1))
	reduce := func(op, name string, x *graph.Value) *graph.Value { // over the vocabulary
		if op == "ReduceSum" && p.model.Opset("") >= 13 || op == "ReduceMax" && p.model.Opset("") >= 18 {
			return p.nodeAttrs(op, name, graph.Attrs{"keepdims": 1}, x, p.ints("fanout_vocab", 1))
		}
		return p.nodeAttrs(op, name, graph.Attrs{"axes": []int64{1}, "keepdims": 1}, x)
	}
	cast := func(name string, x *graph.Value, to graph.DType) *graph.Value {
		return p.nodeAttrs("Cast", name, graph.Attrs{"to": int64(to)}, x)
	}
	parts := p.atLastInParts(axis)
	each := func(what string, f func(name string, part *graph.Value) *graph.Value) (out []*graph.Value) {
		for i, part := range parts {
			out = append(out, f(fmt.Sprintf("fanout/%s_%d", what, i), part))
		}
		return out
	}
	logits := p.nodeAttrs("Concat", "fanout/logits", graph.Attrs{"axis": 1}, parts...)
	largest := p.node("Max", "fanout/max", each("max", func(name string, part *graph.Value) *graph.Value { return reduce("ReduceMax", name, part) })...)
	// The sum is in double precision: if one token has nearly all of the probability, a float32 sum loses the contributions
	// of the other 50,000, and the logarithm is wrong by 3e-5.
	norm := p.node("Log", "fanout/norm", p.node("Sum", "fanout/sum", each("sum", func(name string, part *graph.Value) *graph.Value {
		exp := p.node("Exp", name+"/exp", p.node("Sub", name+"/shifted", part, largest))
		return reduce("ReduceSum", name, cast(name+"/wide", exp, graph.Float64))
	})...))
	logps := func(x *graph.Value, name string) *graph.Value {
		shifted := cast(name+"_wide", p.node("Sub", name+"_shifted", x, largest), graph.Float64)
		return cast(name, p.node("Sub", name+"_normed", shifted, norm), graph.Float32)
	}
	own := p.nodeAttrs("Gather", "fanout/own", graph.Attrs{"axis": 1}, logits, answer)
	flat := p.ints("fanout_flat", -1)
	p.out(FanOutLogP, p.node("Reshape", "fanout/logp_flat", logps(own, "fanout/logp"), flat), graph.TensorType(graph.Float32, "rows"))
	// The count is in float32, which is exact up to 2^24 tokens and half as wide as int64.
	rank := cast("fanout/rank", p.node("Sum", "fanout/above", each("above", func(name string, part *graph.Value) *graph.Value {
		return reduce("ReduceSum", name, cast(name+"/float", p.node("Greater", name+"/likelier", part, own), graph.Float32))
	})...), graph.Int64)
	p.out(FanOutRank, p.node("Reshape", "fanout/rank_flat", rank, flat), graph.TensorType(graph.Int64, "rows"))
	if top > 0 {
		attrs := graph.Attrs{"axis": 1}
		if p.model.Opset("") >= 11 {
			attrs["largest"], attrs["sorted"] = 1, 1
		}
		values := p.edit.Node(p.body.Graph, graph.Spec{Op: "TopK", Name: "fanout/topk", Outputs: 2, Attrs: attrs,
			Inputs: []*graph.Value{logits, p.ints("fanout_top", int64(top))}})
		p.out(FanOutTopP, logps(values, "fanout/topk_logp"), graph.TensorType(graph.Float32, "rows", top))
		p.out(FanOutTop, values.Producer().Out(1), graph.TensorType(graph.Int64, "rows", top))
	}
	for _, o := range p.body.Graph.Outputs() {
		if !slices.Contains(keep, o) {
			p.edit.RemoveOutput(p.body.Graph, o)
		}
	}
}

func (p *patch) out(name string, v *graph.Value, t graph.Type) {
	p.edit.Output(p.body.Graph, p.edit.Node(p.body.Graph, graph.Spec{Op: "Identity", Name: name + "/port", Inputs: []*graph.Value{v}, As: name, Type: t}))
}
