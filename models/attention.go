package models

import (
	"fmt"
	"slices"
	"strings"

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
			"TorchScript and dynamo exports up to opset 22, OnnxSlim, dynamic int8, tf2onnx",
		anchors: []string{"Softmax"},
		match:   matchSoftmax,
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
	split int // output of the Split behind a fused projection, -1 without one
}

// miss tells how far a form got on one node.
type miss struct {
	steps int
	at    *graph.Node
	want  string
	got   string
}

// through are operations that only move, reshape or convert values.
var through = []string{"Transpose", "Reshape", "Cast", "Identity", "Squeeze", "Unsqueeze", "Dropout", "Flatten"}

// matchSoftmax finds MatMul(softmax, v) and MatMul(q, k) around a Softmax. Between Softmax and the product may stand a
// conversion, a guard against NaN, dropout, or a product with a head mask.
func matchSoftmax(a *analysis, s *graph.Node) (*core, *miss) {
	type found struct {
		node *graph.Node
		at   *graph.Value
	}
	var hits []found
	todo := []*graph.Value{s.Out(0)}
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		for _, u := range t.Uses() {
			n := u.Node
			switch {
			case n.Graph() != a.g:
			case n.Is("Cast", "Identity", "Dropout") && u.Slot == 0:
				todo = append(todo, n.Out(0))
			case n.Is("Where") && u.Slot == 2 && n.In(0).Producer().Is("IsNaN"):
				todo = append(todo, n.Out(0))
			case n.Is("Mul") && len(n.Inputs()) == 2 && a.fromInputs(n.In(1-u.Slot)):
				todo = append(todo, n.Out(0)) // head_mask
			case n.Is("MatMul", "com.microsoft.FusedMatMul") && u.Slot == 0 && !a.is(n.In(1)):
				hits = append(hits, found{n, t})
			}
		}
	}
	switch {
	case len(hits) == 0:
		return nil, &miss{1, s, "MatMul(softmax, v) behind Softmax", a.usersOf(s.Out(0))}
	case len(hits) > 1:
		return nil, &miss{1, s, "one MatMul(softmax, v) behind Softmax", fmt.Sprintf("%d of them", len(hits))}
	}
	av := hits[0].node
	qk := a.back(s.In(0), []string{"Add", "Sub", "Mul", "Div", "Where", "Cast", "Reshape", "Clip", "Identity", "Max", "Min", "Tanh"}, func(n *graph.Node) bool {
		return n.Is("MatMul", "com.microsoft.FusedMatMul") && !a.is(n.In(0)) && !a.is(n.In(1))
	})
	if len(qk) != 1 {
		return nil, &miss{2, s, "one MatMul(q, k) before Softmax", fmt.Sprintf("%d of them", len(qk))}
	}
	c := &core{node: av, out: av.Out(0), rank4: true, pattern: hits[0].at, value: av.In(1), score: s.In(0), qk: qk[0]}
	c.qkv = [3]*projected{a.source(qk[0].In(0)), a.source(qk[0].In(1)), a.source(av.In(1))}
	c.causal = a.causalMask(s.In(0), qk[0])
	return c, nil
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
	case n.In(4) != nil:
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
	}
	return c, nil
}

// source finds the projection that q, k or v come from, nil when there is none or more than one.
func (a *analysis) source(v *graph.Value) *projected {
	if v == nil {
		return nil
	}
	over := append([]string{"Split", "Slice", "Mul", "Div", "Add", "Concat", "Neg", "Expand", "Tile", "Gather", "Sqrt", "Where",
		"DynamicQuantizeLinear", "com.microsoft.RotaryEmbedding", "RotaryEmbedding"}, through...)
	hits := a.back(v, over, func(n *graph.Node) bool { return a.readProjection(n) != nil })
	if len(hits) != 1 {
		return nil
	}
	p := &projected{node: hits[0], split: -1}
	for _, n := range a.path(v, hits[0], over) {
		if n.producer.Is("Split") {
			p.split = n.index
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
			if lowerTriangular(k) {
				return "triangular mask"
			}
			continue
		}
		n := v.Producer()
		if n == nil || n == skip {
			continue
		}
		if n.Is("Trilu", "LessOrEqual", "GreaterOrEqual", "Less", "Greater") {
			return n.Op
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
	return len(a.back(v, through, func(n *graph.Node) bool {
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

// lowerTriangular reports whether a stored tensor is a causal mask: its last two axes are square, something is above the
// diagonal, and what is above differs from what is on and below it.
func lowerTriangular(k *graph.Const) bool {
	r := len(k.Dims)
	if r < 2 || k.Dims[r-1] != k.Dims[r-2] || k.Dims[r-1] < 2 || k.Len() != k.Dims[r-1]*k.Dims[r-1] || k.Len() > 1<<24 {
		return false
	}
	t, err := k.Load()
	if err != nil || len(t.Data) == 0 {
		return false
	}
	size := len(t.Data) / int(k.Len())
	n := int(k.Dims[r-1])
	cell := func(i, j int) string { return string(t.Data[(i*n+j)*size : (i*n+j+1)*size]) }
	below, above := cell(0, 0), cell(0, 1)
	if below == above {
		return false
	}
	for i := range n { // the whole triangle of a mask of thousands is not needed to know it
		for _, j := range []int{0, i / 2, i} {
			if cell(i, j) != below {
				return false
			}
		}
		for _, j := range []int{i + 1, (i + n) / 2, n - 1} {
			if j > i && j < n && cell(i, j) != above {
				return false
			}
		}
	}
	return true
}

// usersOf lists the operations that read v, for messages.
func (a *analysis) usersOf(v *graph.Value) string {
	var ops []string
	for _, u := range v.Uses() {
		if !slices.Contains(ops, u.Node.FullOp()) {
			ops = append(ops, u.Node.FullOp())
		}
	}
	if len(ops) == 0 {
		return "nothing"
	}
	return strings.Join(ops, ", ")
}
