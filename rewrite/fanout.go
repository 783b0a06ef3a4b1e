package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
)

// Names of a fan-out graph's inputs and outputs. K is the number of cells of a layer, rows = 1 + the sum of K over the layers.
const (
	FanOutAnswer = "fanout.answer"   // in, int64 [1]: the token whose numbers are wanted
	FanOutLogP   = "fanout.logp"     // out, float32 [rows]: log-probability of the answer
	FanOutRank   = "fanout.rank"     // out, int64 [rows]: how many tokens are likelier than the answer
	FanOutTop    = "fanout.top"      // out, int64 [rows, N]: the N likeliest tokens, most likely first
	FanOutTopP   = "fanout.top_logp" // out, float32 [rows, N]: their log-probabilities
)

// FanOutMemory and FanOutTau name the inputs of one layer: float32 [K, 1, d_model] and [K, 1 or pos, 1]. K may be 0.
func FanOutMemory(layer int) string { return fmt.Sprintf("fanout.%d.memory", layer) }
func FanOutTau(layer int) string    { return fmt.Sprintf("fanout.%d.tau", layer) }

// FanOut turns a decoder into a graph that evaluates many injections of one prompt in one run. The batch begins as one clean
// row. Behind the attention of layer l it grows by K rows, each row 0 plus tau_k * memory_k at every position; what lies
// below is computed once. The last position alone is unembedded, and the graph returns the answer's log-probability and
// rank and the top tokens, not all logits:
//
//	attn_out  [rows, pos, d] ──────────────── Concat ─┐
//	  row 0 ──(+)── tau_k × memory_k ────────────┘    (+)── resid_mid [rows + K, pos, d]
//	resid_pre [rows, pos, d] ──────────────── Concat ─┘
//	  row 0, K times ────────────────────────────┘
//
// Row 0 is the clean run; then come the cells of layer 0, of layer 1, and so on. top is N; 0 leaves the top tokens out.
//
// The cache is dropped as by Prefill. Everything behind the first join has more rows than the tokens, and what breaks
// by that in real files is the target of a Reshape that carries the batch size: its first element becomes -1, or 0 where
// another element is -1. Masks have one row and broadcast. Files of fixed batch size are refused. The last layer computes the
// last position alone, from W_O on or from the join on, where the operations there allow it.
//
// The inputs that are returned feed the prompt; the caller adds those of the fan-out.
//
// On an error the model is as it was.
func FanOut(m *graph.Model, l *models.Layout, top int) (in *inputs.Signature, err error) {
	err = m.Try(func() error {
		in, err = fanOut(m, l, top)
		return err
	})
	return in, err
}

func fanOut(m *graph.Model, l *models.Layout, top int) (*inputs.Signature, error) {
	tokens := l.Tokens()
	axis, err := positionAxis(m, l)
	switch {
	case err != nil:
		return nil, fmt.Errorf("fan-out: %w", err)
	case tokens != nil && len(tokens.Type().Dims) > 0 && tokens.Type().Dims[0].Size >= 0:
		return nil, fmt.Errorf("fan-out: the file fixes the batch size to %d", tokens.Type().Dims[0].Size)
	}
	if l, err = prefill(m, l); err != nil {
		return nil, fmt.Errorf("fan-out: %w", err)
	}
	in, err := inputs.Read(m, l)
	if err != nil {
		return nil, err
	}
	e := m.Edit()
	p := newPatch(e, m, l, l.Bodies[0])
	var joins []*graph.Node
	for _, layer := range p.body.Layers {
		joins = append(joins, layer.Join.Node)
	}
	grown := p.behind(joins...)
	last := p.lastBlock(grown)
	for _, layer := range p.body.Layers[:len(p.body.Layers)-1] {
		p.grow(layer, nil)
	}
	p.grow(p.lastLayer(), last)
	p.freeBatch(grown, last)
	if last != nil {
		axis = 0 // there is but one
	}
	p.score(top, axis)
	e.ForgetTypes(m.Graph)
	e.Prune()
	if err := e.Commit(); err != nil {
		return nil, fmt.Errorf("fan-out: %w", err)
	}
	return in, nil
}

// grow appends the cells of one layer to both operands of its join. What computes the last position alone, if anything does,
// is given that alone.
func (p *patch) grow(l *models.Layer, last []*graph.Node) {
	name := fmt.Sprintf("fanout.%d", l.Index)
	dim := func(axis string) string { return fmt.Sprintf("fanout_%d_%s", l.Index, axis) }
	memory := p.edit.Input(FanOutMemory(l.Index), graph.TensorType(graph.Float32, dim("cells"), 1, p.layout.DModel))
	tau := p.edit.Input(FanOutTau(l.Index), graph.TensorType(graph.Float32, dim("cells"), dim("pos"), 1))
	at := func(what string, v *graph.Value) *graph.Value {
		if last == nil {
			return v
		}
		return p.last(name+"/"+what+"_last", v, 1)
	}
	attn := l.Join.Node.In(l.Join.Slot)
	if slices.Contains(last, l.WO.Node) {
		p.cutZ(l, last)
	} else {
		attn = at("attn", attn)
	}
	row0 := func(what string, v *graph.Value) *graph.Value {
		return p.node("Slice", name+"/"+what+"_row0", v, p.ints("fanout_from", 0), p.ints("fanout_to", 1), p.ints("fanout_axis", 0))
	}
	scaled := p.like(name, p.node("Mul", name+"/scaled", memory, at("tau", tau)), p.dtype(attn), attn)
	cells := p.node("Add", name+"/cells", row0("attn", attn), scaled)
	shape := p.node("Shape", name+"/shape", cells)
	grow := func(u graph.Use, what string, now, rows *graph.Value) {
		p.edit.Redirect(u, p.nodeAttrs("Concat", name+"/"+what, graph.Attrs{"axis": 0}, now, rows))
	}
	copied := func(n *graph.Node, slot int, what string) {
		now := at(what, n.In(slot))
		grow(graph.Use{Node: n, Slot: slot}, what, now, p.node("Expand", name+"/"+what+"_copies", row0(what, now), shape))
	}
	grow(l.Join, "attn", attn, cells)
	copied(l.Join.Node, 1-l.Join.Slot, "other")
	if len(l.ResidMid) == 0 { // a parallel block: the other operand was the MLP, the stream comes in behind
		end := l.ResidPostOut
		if end == nil {
			end = l.ResidPost[0].Producer()
		}
		slot := slices.Index(end.Inputs(), l.ResidPre[0])
		if slot < 0 {
			p.edit.Fail(fmt.Errorf("layer %d: %s does not read the stream in front of the layer", l.Index, end))
			return
		}
		copied(end, slot, "stream")
	}
}

// cutZ gives the last position of z to its readers among some nodes. Reshapes put its heads side by side, so of one position
// they may come in either order of axes: the Transpose is left out.
func (p *patch) cutZ(l *models.Layer, readers []*graph.Node) {
	z, axis := l.Z, int64(2)
	switch l.ZForm {
	case models.ZByPos: // what Transpose [0, 2, 1, 3] gives
		z = z.Producer().In(0)
	case models.ZFlat:
		axis = 1
	}
	z = p.last("fanout/z_last", z, axis)
	for _, u := range l.Z.Uses() {
		if slices.Contains(readers, u.Node) {
			p.edit.Redirect(u, z)
		}
	}
}

// freeBatch makes everything behind the joins work for any number of rows; last is what computes the last position alone.
func (p *patch) freeBatch(grown, last []*graph.Node) {
	for _, n := range last {
		if n.Is("Reshape") {
			p.freeLast(n)
		}
	}
	for _, n := range grown {
		switch {
		case slices.Contains(last, n):
		case n.Is("Reshape") && slices.Contains(grown, n.In(0).Producer()):
			p.freeReshape(n)
		case isCore(n, p.body):
			p.freeAttention(n)
		}
	}
}

// freeAttention takes from an attention operator what has one row: the cache, which is empty, and what tells padding from text,
// of which a prompt has none.
func (p *patch) freeAttention(n *graph.Node) {
	op := ops.Of(n).Attn
	if op == nil {
		return
	}
	if len(op.Lengths) > 0 {
		p.edit.Fail(fmt.Errorf("%v wants the length of every row: it cannot have more of them", n))
	}
	for _, slot := range slices.Concat(op.Past, op.Rows) {
		if n.In(slot) != nil {
			p.edit.Redirect(graph.Use{Node: n, Slot: slot}, nil)
		}
	}
}

// behind returns the nodes that some nodes feed, and these nodes, in order. What reads a shape is not fed.
func (p *patch) behind(from ...*graph.Node) []*graph.Node {
	var out []*graph.Node
	fed := map[*graph.Node]bool{}
	for _, n := range p.body.Graph.Ordered() {
		reads := func(v *graph.Value) bool { return v != nil && fed[v.Producer()] }
		if slices.Contains(from, n) || !n.Is("Shape", "Size") && slices.ContainsFunc(n.Inputs(), reads) {
			out, fed[n] = append(out, n), true
		}
	}
	return out
}

func (p *patch) lastLayer() *models.Layer { return p.body.Layers[len(p.body.Layers)-1] }

// lastBlock returns the nodes of the last layer that compute the last position alone: nothing but the logits there is wanted,
// and the MLP of that layer, which has the most rows, is a tenth of a grid's work. They begin behind z with W_O where that is
// possible, else with the join, and there are none where not even those can do without the other positions.
func (p *patch) lastBlock(grown []*graph.Node) []*graph.Node {
	l := p.lastLayer()
	steered := l.MLPJoin.Node != nil && l.MLPJoin.Node.In(l.MLPJoin.Slot) != l.MLPOut[0] // by an earlier rewrite, at any position
	if len(l.ResidMid) == 0 || steered {
		return nil
	}
	other := graph.Use{Node: l.Join.Node, Slot: 1 - l.Join.Slot}
	if l.AttnOut[0] == l.Join.Node.In(l.Join.Slot) { // else an earlier rewrite adds a memory behind W_O, at any position
		z := slices.DeleteFunc(l.Z.Uses(), func(u graph.Use) bool { return u.Node.Is("Shape") })
		if block := p.apart(grown, append(z, other)...); block != nil {
			return block
		}
	}
	return p.apart(grown, l.Join, other)
}

// apart returns the nodes behind some uses if one position of these is all they need for that position of theirs. It returns
// nil where something among them looks at several positions, or has a shape that does not tell which axis they are.
func (p *patch) apart(grown []*graph.Node, cut ...graph.Use) []*graph.Node {
	var from []*graph.Node
	for _, u := range cut {
		from = append(from, u.Node)
	}
	block := p.behind(from...)
	for _, n := range block {
		if !ops.Positionwise(n) {
			return nil
		}
		if n.Is("Reshape") {
			if shape, complete := p.facts.Ints(n.In(1)); complete && len(shape) != 2 && len(shape) != 3 {
				return nil
			}
			continue
		}
		for slot, v := range n.Inputs() {
			one := v == nil || slices.Contains(cut, graph.Use{Node: n, Slot: slot}) || slices.Contains(block, v.Producer())
			if !one && slices.Contains(grown, v.Producer()) {
				return nil
			}
		}
	}
	return block
}

// freeLast gives a Reshape of one position a target for any number of rows. These fold batch and positions into one axis for a
// Gemm and unfold them again; the last axis is what is left.
func (p *patch) freeLast(n *graph.Node) {
	shape, complete := p.facts.Ints(n.In(1))
	target := p.ints("fanout_unfold", 0, 1, -1)
	if complete && len(shape) == 2 || !complete && feeds(n, "Gemm") {
		target = p.ints("fanout_fold", 0, -1)
	}
	p.copyZero(n)
	p.edit.Redirect(graph.Use{Node: n, Slot: 1}, target)
}

// copyZero makes a 0 in the target of a Reshape copy the input's dimension.
func (p *patch) copyZero(n *graph.Node) {
	if n.Int("allowzero", 0) != 0 {
		p.edit.SetAttr(n, "allowzero", 0)
	}
}

// feeds reports whether an operation reads the output of a node.
func feeds(n *graph.Node, op string) bool {
	return slices.ContainsFunc(n.Out(0).Uses(), func(u graph.Use) bool { return u.Node.Is(op) })
}

// freeReshape replaces the first element of a Reshape's target, the batch, unless it is -1 already.
func (p *patch) freeReshape(n *graph.Node) {
	shape, complete := p.facts.Ints(n.In(1))
	first := int64(-1)
	if complete && len(shape) > 0 && shape[0] == -1 {
		return
	}
	if slices.Contains(shape, -1) {
		if p.facts.Rank(n.In(0)) == 2 {
			p.edit.Fail(fmt.Errorf("%v unfolds rows and positions by the number of rows alone: it cannot have more of them", n))
		}
		first = 0 // only one element may be -1
		p.copyZero(n)
	}
	rest := p.node("Slice", n.Name()+"/rest", n.In(1), p.ints("fanout_one", 1), p.ints("fanout_end", 1<<31-1), p.ints("fanout_axis", 0))
	target := p.nodeAttrs("Concat", n.Name()+"/free", graph.Attrs{"axis": 0}, p.ints(fmt.Sprintf("fanout_first_%d", -first), first), rest)
	p.edit.Redirect(graph.Use{Node: n, Slot: 1}, target)
}

// score replaces the logits by what is asked of them at the last position, axis being that of positions: for each row the
// largest logit m, the sum s of exp(logit - m), and with these log p = logit - m - log s. What needs no order among tokens is
// computed part by part, for a row has 50,000 of them.
func (p *patch) score(top int, axis int64) {
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
	// The sum is in double precision: where one token has nearly all of the probability, a float32 sum loses what the other 50,000
	// add to it, and the logarithm is 3e-5 off.
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
	// Counted in float32, which is exact up to 2^24 tokens and half as wide as int64.
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
		p.edit.RemoveOutput(p.body.Graph, o)
	}
}

func (p *patch) out(name string, v *graph.Value, t graph.Type) {
	p.edit.Output(p.body.Graph, p.edit.Node(p.body.Graph, graph.Spec{Op: "Identity", Name: name + "/port", Inputs: []*graph.Value{v}, As: name, Type: t}))
}
