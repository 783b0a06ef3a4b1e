package recognise

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// form is one way in which files write attention. match looks at a node that may begin it and returns what it found, or
// how far it got. To accept another exporter form, add one literal to the list below.
type form struct {
	name    string
	doc     string // the chain, and who writes it
	anchors []string
	match   func(a *analysis, n *graph.Node) (*core, *miss)
}

var forms = []*form{
	{
		name: "softmax",
		doc: "MatMul(q, k) → scale, mask → Softmax → [Cast | Dropout | Where(IsNaN)] → MatMul(·, v)\n" +
			"TorchScript and dynamo exports up to opset 22, OnnxSlim, dynamic int8, TensorFlow (tf2onnx)",
		anchors: []string{"Softmax"},
		match:   matchSoftmax,
	},
	{
		name:    "softmax-expanded",
		doc:     "the same around Exp(x - max) / sum: ONNX Runtime writes Softmax so where it has no kernel for its type",
		anchors: []string{"Exp"},
		match:   matchExpanded,
	},
	{
		name:    "onnx-attention",
		doc:     "Attention(q, k, v), the standard operator of opset 23 (dynamo exports)",
		anchors: []string{"Attention"},
		match:   matchStandard,
	},
	{
		name:    "ms-attention",
		doc:     "com.microsoft.Attention(x, W_qkv, b_qkv, …): graphs fused by ONNX Runtime's transformers optimizer",
		anchors: []string{"com.microsoft.Attention", "com.microsoft.QAttention", "com.microsoft.DecoderMaskedSelfAttention"},
		match:   matchFused,
	},
	{
		name:    "ms-multi-head",
		doc:     "com.microsoft.MultiHeadAttention or GroupQueryAttention over projected q, k, v",
		anchors: []string{"com.microsoft.MultiHeadAttention", "com.microsoft.DecoderMaskedMultiHeadAttention", "com.microsoft.GroupQueryAttention"},
		match:   matchMultiHead,
	},
	{
		name:    "integer",
		doc:     "attention over 8-bit integers (the QOperator format): no site is a float, so nothing can be read or added there",
		anchors: []string{"com.microsoft.QLinearSoftmax"},
		match: func(_ *analysis, n *graph.Node) (*core, *miss) {
			return nil, &miss{1, n, "attention over floats", n.FullOp() + " over integers; quantise in the QDQ format or dynamically instead"}
		},
	},
	{
		name:    "packed",
		doc:     "packed and paged attention operators: their tensors have no batch axis, so no site can be named",
		anchors: []string{"com.microsoft.PackedAttention", "com.microsoft.PackedMultiHeadAttention", "com.microsoft.PagedAttention", "com.microsoft.SparseAttention"},
		match: func(_ *analysis, n *graph.Node) (*core, *miss) {
			return nil, &miss{1, n, "an attention operator over [batch, pos, …]", n.FullOp() + ", which packs positions"}
		},
	},
}

// core is one attention computation that was found, before anything is known about the block around it.
type core struct {
	form       *form
	node       *graph.Node  // gives z
	out        *graph.Value // z in whatever shape
	rank4      bool         // out is [batch, head, pos, d_head]
	pattern    *graph.Value
	patternOut *graph.Node
	noPattern  string
	heads      int64         // what an attribute says, 0 if nothing does
	causal     string        // the evidence for a causal mask, "" while there is none
	qkv        [3]*projected // where q, k and v come from
	value      *graph.Value  // v as it enters the core
	score      *graph.Value  // what enters Softmax
	qk         *graph.Node   // MatMul(q, k)
}

// projected is the projection behind q, k or v.
type projected struct {
	node  *graph.Node
	bias  bool // something constant is added
	split int  // which part of a fused projection, by the Split behind it; -1 without one
}

// miss tells how far a form got on one node.
type miss struct {
	steps int
	at    *graph.Node
	want  string
	got   string
}

// through are operations that only move, reshape or convert values.
var through = []string{"Transpose", "Reshape", "Cast", "Identity", "Squeeze", "Unsqueeze", "Dropout", "Flatten",
	"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}

// matchSoftmax looks at a Softmax.
func matchSoftmax(a *analysis, n *graph.Node) (*core, *miss) {
	last := int64(-1)
	if a.g.Model().Opset("") < 13 { // then the default was all axes from the second one on
		last = 1
	}
	c, m := a.around(n, n.In(0), n.Out(0))
	if m != nil {
		return nil, m
	}
	if axis := n.Int("axis", last); axis != -1 && axis != 3 && (axis != 2 || !a.folds(c)) {
		return nil, &miss{2, n, "Softmax over the last axis, that of the keys", fmt.Sprintf("axis %d", axis)}
	}
	return c, nil
}

// folds reports whether heads are folded into the batch: v is [batch*head, key, d_head], and scores and z likewise.
func (a *analysis) folds(c *core) bool { return a.rank(c.out) == 3 || a.rank(c.value) == 3 }

// matchExpanded looks at the Exp of a Softmax that is written out:
//
//	x → ReduceMax, Sub, Exp → ReduceSum, Div
func matchExpanded(a *analysis, exp *graph.Node) (*core, *miss) {
	sub := exp.In(0).Producer()
	if sub.Is("Sub") && sub.In(1).Producer().Is("ReduceMax") {
		for _, u := range exp.Out(0).Uses() {
			if n := u.Node; n.Is("Div") && u.Slot == 0 && n.In(1).Producer().Is("ReduceSum") {
				return a.around(n, sub.In(0), n.Out(0))
			}
		}
	}
	return nil, &miss{0, exp, "exp(x - max) / sum", "another use of Exp"}
}

// around finds MatMul(q, k) and MatMul(probs, v) before and behind a Softmax s. Between Softmax and the second product may
// stand a conversion, a guard against NaN, dropout, or a product with a head mask.
func (a *analysis) around(s *graph.Node, score, probs *graph.Value) (*core, *miss) {
	var hits []*product
	var reached []string
	todo := []*graph.Value{probs}
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		for _, u := range t.Uses() {
			n := u.Node
			switch {
			case n.Graph() != a.g:
			case u.Slot == 0 && n.Is("Cast", "Identity", "Dropout", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"):
				todo = append(todo, n.Out(0))
			case n.Is("Where") && u.Slot == 2 && n.In(0).Producer().Is("IsNaN"):
				todo = append(todo, n.Out(0))
			case n.Is("Mul") && len(n.Inputs()) == 2 && a.fromInputs(n.In(1-u.Slot)) && !a.is(n.In(1-u.Slot)):
				todo = append(todo, n.Out(0)) // head_mask
			case u.Slot == 0 && a.product(n) != nil:
				hits = append(hits, a.product(n))
			case !n.Is("IsNaN", "Shape"):
				reached = append(reached, n.FullOp())
			}
		}
	}
	switch {
	case len(hits) == 0 && slices.Contains(reached, "Reshape"):
		return nil, &miss{1, s, "MatMul(softmax, v) behind Softmax", list(reached) + " (heads folded into the batch, as in Bloom?)"}
	case len(hits) == 0:
		return nil, &miss{1, s, "MatMul(softmax, v) behind Softmax", list(reached)}
	case len(hits) > 1:
		return nil, &miss{1, s, "one MatMul(softmax, v) behind Softmax", fmt.Sprintf("%d of them", len(hits))}
	}
	over := []string{"Add", "Sub", "Mul", "Div", "Where", "Cast", "Reshape", "Clip", "Identity", "Max", "Min", "Tanh", "QuantizeLinear", "DequantizeLinear"}
	found := a.back(score, over, func(n *graph.Node) bool { return a.product(n) != nil })
	if len(found) != 1 {
		return nil, &miss{2, s, "one MatMul(q, k) before Softmax", fmt.Sprintf("%d of them", len(found))}
	}
	av, qk := hits[0], a.product(found[0])
	c := &core{node: av.node, out: av.node.Out(0), rank4: true, pattern: av.left, value: av.right, score: score, qk: found[0]}
	c.qkv = [3]*projected{a.source(qk.left), a.source(qk.right), a.source(av.right)}
	c.causal = a.causalMask(score, found[0])
	if a.folds(c) {
		c.pattern, c.noPattern = nil, "the file folds heads into the batch: its probabilities are [batch*head, query, key]"
	}
	return c, nil
}

// product is a product of two activations: MatMul, or what dynamic quantisation makes of it.
type product struct {
	node        *graph.Node  // gives the product as floats
	left, right *graph.Value // the operands, as they were before quantisation
}

// product reads n, nil when it is no product or an operand is constant.
func (a *analysis) product(n *graph.Node) *product {
	floats := func(v *graph.Value) *graph.Value {
		if q := v.Producer(); q.Is("DynamicQuantizeLinear") {
			return q.In(0)
		}
		return nil
	}
	p := &product{node: n}
	switch {
	case n.Is("MatMul", "com.microsoft.FusedMatMul"):
		p.left, p.right = n.In(0), n.In(1)
	case n.Is("MatMulInteger"):
		p.left, p.right, p.node = floats(n.In(0)), floats(n.In(1)), scaled(n)
	case n.Is("com.microsoft.MatMulIntegerToFloat"):
		p.left, p.right = floats(n.In(0)), floats(n.In(1))
	case n.Is("com.microsoft.DynamicQuantizeMatMul"):
		p.left, p.right = n.In(0), floats(n.In(1))
	}
	if p.node == nil || p.left == nil || p.right == nil || a.is(p.left) || a.is(p.right) {
		return nil
	}
	return p
}

// matchStandard reads the Attention operator of opset 23: inputs Q, K, V, attn_mask, past_key, past_value. Its fourth output
// is the probabilities when qk_matmul_output_mode is 3.
func matchStandard(a *analysis, n *graph.Node) (*core, *miss) {
	c := &core{node: n, out: n.Out(0), heads: n.Int("q_num_heads", 0), value: n.In(2), patternOut: n}
	c.rank4 = c.heads == 0 // 3-D operands carry the head count as an attribute
	if n.Out(3) != nil {
		c.patternOut = nil
		c.noPattern = "the operator's fourth output is in use with another meaning"
		if n.Int("qk_matmul_output_mode", 0) == 3 {
			c.pattern, c.noPattern = n.Out(3), ""
		}
	}
	c.qkv = [3]*projected{a.source(n.In(0)), a.source(n.In(1)), a.source(n.In(2))}
	switch {
	case n.Int("is_causal", 0) == 1:
		c.causal = "is_causal"
	case n.In(3) != nil:
		c.causal = a.causalMask(n.In(3), nil)
	}
	if c.causal == "" && (n.In(4) != nil || a.cached(n.In(1))) {
		c.causal = "cache"
	}
	return c, nil
}

const hidden = "%s computes the probabilities inside and has no output for them"

// matchFused reads com.microsoft.Attention: x, W_qkv, b_qkv, mask, past. Output 0 is z [batch, pos, d_model].
func matchFused(a *analysis, n *graph.Node) (*core, *miss) {
	c := &core{node: n, out: n.Out(0), heads: n.Int("num_heads", 0), noPattern: fmt.Sprintf(hidden, n.FullOp())}
	if c.heads == 0 {
		return nil, &miss{1, n, "attribute num_heads", "none"}
	}
	if n.Int("unidirectional", 0) == 1 || n.Is("com.microsoft.DecoderMaskedSelfAttention") {
		c.causal = "unidirectional"
	}
	if w := a.matrix(n.In(1)); w != nil {
		p := &projected{node: n}
		c.qkv = [3]*projected{p, {node: n, split: 1}, {node: n, split: 2}}
	}
	return c, nil
}

// matchMultiHead reads com.microsoft.MultiHeadAttention and its relatives: query, key, value; output 0 is z flat.
func matchMultiHead(a *analysis, n *graph.Node) (*core, *miss) {
	c := &core{node: n, out: n.Out(0), heads: n.Int("num_heads", 0), noPattern: fmt.Sprintf(hidden, n.FullOp())}
	if c.heads == 0 {
		return nil, &miss{1, n, "attribute num_heads", "none"}
	}
	if kv := n.Int("kv_num_heads", c.heads); kv != c.heads {
		return nil, &miss{1, n, "one key and value head for each query head", fmt.Sprintf("%d heads, %d of keys and values", c.heads, kv)}
	}
	c.qkv = [3]*projected{a.source(n.In(0)), a.source(n.In(1)), a.source(n.In(2))}
	if n.Int("unidirectional", 0) == 1 || n.Is("com.microsoft.GroupQueryAttention", "com.microsoft.DecoderMaskedMultiHeadAttention") {
		c.causal = "unidirectional"
	} else if n.Is("com.microsoft.MultiHeadAttention") {
		c.causal = a.causalMask(n.In(5), nil) // attention_bias
	}
	return c, nil
}

// source finds the projection that q, k or v come from, nil when there is none or more than one.
func (a *analysis) source(v *graph.Value) *projected {
	if v == nil {
		return nil
	}
	over := append([]string{"Split", "Slice", "Mul", "Div", "Add", "Concat", "Neg", "Expand", "Tile", "Gather", "Sqrt", "Where",
		"SplitToSequence", "SequenceAt", "com.microsoft.RotaryEmbedding", "RotaryEmbedding"}, through...)
	hits := a.back(v, over, func(n *graph.Node) bool { return a.readProjection(n) != nil })
	if len(hits) != 1 {
		return nil
	}
	p := &projected{node: hits[0], split: -1, bias: biasOf(hits[0]) != nil}
	for _, h := range a.path(v, hits[0], over) {
		if b, _ := constAnd(a, h.producer); h.producer.Is("Add") && b != nil {
			p.bias = true
		}
		if h.producer.Is("Split") {
			p.split = h.index
		}
		if at, ok := a.ints(h.producer.In(1)); h.producer.Is("SequenceAt", "Gather") && ok && len(at) == 1 {
			p.split = int(at[0])
		}
	}
	return p
}

// causalMask looks for the evidence that scores are masked causally: a comparison or triangle that builds the mask, or a
// stored triangle, or a cache that only a decoder has. skip is MatMul(q, k), whose operands are no part of the mask.
func (a *analysis) causalMask(score *graph.Value, skip *graph.Node) string {
	if skip != nil && (a.cached(skip.In(0)) || a.cached(skip.In(1))) {
		return "cache"
	}
	seen := map[*graph.Value]bool{}
	todo := []*graph.Value{score}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == nil || seen[v] {
			continue
		}
		seen[v] = true
		if k := v.Const(); k != nil {
			if a.triangular(k) {
				return "triangular mask"
			}
			continue
		}
		n := v.Producer()
		if n == nil || n == skip {
			continue
		}
		switch {
		case n.Is("Trilu"), n.Is("LessOrEqual", "GreaterOrEqual", "Less", "Greater") && a.elements(n.In(0)) != 1 && a.elements(n.In(1)) != 1:
			return n.Op() // positions with positions; with one number, a mask of the caller's is read
		case n.Is("Shape", "Size"): // how large something is: all of the model may lie behind it
			continue
		}
		if n.Is("Gather") && a.is(n.In(0)) && n.In(0).Const() != nil && n.In(0).Const().DType.IsFloat() {
			continue // a learned position bias (T5), not a mask
		}
		todo = append(todo, n.Inputs()...)
	}
	return ""
}

// cached reports whether v is joined with a graph input on its way: a key or value cache.
func (a *analysis) cached(v *graph.Value) bool {
	return len(a.back(v, append([]string{"Mul", "Div"}, through...), func(n *graph.Node) bool {
		if !n.Is("Concat") {
			return false
		}
		for _, in := range n.Inputs() {
			if len(a.inputsBehind(in)) > 0 {
				return true
			}
		}
		return false
	})) > 0
}

// triangular remembers lowerTriangular: all layers share one mask of a megabyte.
func (a *analysis) triangular(k *graph.Const) bool {
	known, ok := a.triangles[k]
	if !ok {
		known = lowerTriangular(k)
		a.triangles[k] = known
	}
	return known
}

// lowerTriangular reports whether a stored tensor is a causal mask: its last two axes are square, everything above the diagonal
// is one value, and the diagonal and what is right below it another. Further down anything may stand: a local layer of
// GPT-Neo hides what is long past. Each layer may have a mask of a megabyte: the first rows and some of the others tell.
func lowerTriangular(k *graph.Const) bool {
	r := len(k.Dims)
	if r < 2 || k.Dims[r-1] != k.Dims[r-2] || k.Dims[r-1] < 2 || k.Len() > 1<<24 || k.Len() == 0 || k.DType.Bits() < 8 {
		return false
	}
	n, size := int(k.Dims[r-1]), int(k.DType.Bits()/8)
	row := make([]byte, n*size)
	cell := func(j int) string { return string(row[j*size : (j+1)*size]) }
	var seen, hidden string
	for i := range n {
		if i >= 16 && i%64 > 0 && i < n-1 {
			continue
		}
		if _, err := k.ReadAt(row, int64(i*n*size)); err != nil {
			return false
		}
		if i == 0 {
			seen, hidden = cell(0), cell(1)
		}
		if seen == hidden || cell(i) != seen || i > 0 && cell(i-1) != seen {
			return false
		}
		for _, j := range []int{i + 1, (i + n) / 2, n - 1} {
			if j > i && j < n && cell(j) != hidden {
				return false
			}
		}
	}
	return true
}
