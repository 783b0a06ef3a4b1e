package recognise

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
)

// form is one way in which files write attention. match examines a node that may begin it, and returns either the core it
// found or a miss that records how far it got. To accept another exporter form, add one literal to the list below.
type form struct {
	name    string
	doc     string // the chain, and the programs that write it
	anchors []string
	match   func(a *analysis, n *graph.Node) (*core, *miss)
}

var forms = []*form{
	{
		name: "softmax",
		doc: "MatMul(q, k) → scale, mask → Softmax → [Cast | Dropout | Where(IsNaN) | Reshape] → MatMul(·, v)\n" +
			"TorchScript and dynamo exports up to opset 22, OnnxSlim, dynamic int8, TensorFlow (tf2onnx)",
		anchors: []string{"Softmax"},
		match:   matchSoftmax,
	},
	{
		name:    "softmax-expanded",
		doc:     "the same with Exp(x - max) / sum, which ONNX Runtime writes when it has no Softmax kernel for the type",
		anchors: []string{"Exp"},
		match:   matchExpanded,
	},
	{
		name:    "onnx-attention",
		doc:     "Attention(q, k, v), the standard operator of opset 23 (dynamo exports)",
		anchors: []string{"Attention"},
		match:   matchOperator,
	},
	{
		name:    "ms-attention",
		doc:     "com.microsoft.Attention(x, W_qkv, b_qkv, …): graphs fused by ONNX Runtime's transformers optimizer",
		anchors: []string{"com.microsoft.Attention", "com.microsoft.QAttention", "com.microsoft.DecoderMaskedSelfAttention"},
		match:   matchOperator,
	},
	{
		name:    "ms-multi-head",
		doc:     "com.microsoft.MultiHeadAttention or GroupQueryAttention over projected q, k, v: the onnxruntime-genai model builder",
		anchors: []string{"com.microsoft.MultiHeadAttention", "com.microsoft.DecoderMaskedMultiHeadAttention", "com.microsoft.GroupQueryAttention"},
		match:   matchOperator,
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

// core is one attention computation, before anything is known about the block around it.
type core struct {
	form       *form
	node       *graph.Node  // computes z
	out        *graph.Value // z in any shape
	pattern    *graph.Value
	folded     bool // pattern is [batch*head, query, key]
	patternOut *graph.Node
	noPattern  string
	heads      int64         // query heads by an attribute, 0 without one
	kvHeads    int64         // the same for key and value heads
	causal     string        // the evidence for a causal mask, "" if there is none
	qkv        [3]*projected // the projections that q, k and v come from
	query, key *graph.Value  // q and k as they enter the core; nil if the operator projects them itself
	value      *graph.Value  // the same for v
	score      *graph.Value  // the input of Softmax; nil for an operator
}

// projected is the projection that q, k or v comes from.
type projected struct {
	node *graph.Node
	bias bool // a constant is added
}

// miss records how far a form got on one node.
type miss struct {
	steps int
	at    *graph.Node
	want  string
	got   string
}

// Error makes a miss usable as the reason of a refusal.
func (m *miss) Error() string { return fmt.Sprintf("%v: want %s, got %s", m.at, m.want, m.got) }

// matchSoftmax examines a Softmax.
func matchSoftmax(a *analysis, n *graph.Node) (*core, *miss) {
	last := int64(-1)
	if a.g.Model().Opset("") < 13 { // before opset 13 the default was all axes from the second one on
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

// folds reports whether heads are folded into the batch: v is [batch*head, key, d_head], and so are scores and z.
func (a *analysis) folds(c *core) bool { return a.facts.Rank(c.out) == 3 || a.facts.Rank(c.value) == 3 }

// matchExpanded examines the Exp of a Softmax that is written as several operators:
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

// around finds MatMul(q, k) and MatMul(probs, v) before and after a Softmax s. Between the Softmax and the second product
// there may be a conversion, a guard against NaN, dropout, a product with a head mask, a Slice, or a Reshape that folds
// heads into the batch.
func (a *analysis) around(s *graph.Node, score, probs *graph.Value) (*core, *miss) {
	type hit struct {
		*product
		pattern *graph.Value // [batch, head, query, key], nil if there is no such value
	}
	type at struct{ v, pattern *graph.Value }
	var hits []hit
	var reached []string
	todo := []at{{probs, nil}}
	for len(todo) > 0 && a.budget.Step() {
		t := todo[0]
		todo = todo[1:]
		for _, u := range t.v.Uses() {
			n := u.Node
			switch {
			case n.Graph() != a.g:
			case u.Slot == 0 && ops.Is(n, ops.Convert):
				todo = append(todo, at{n.Out(0), t.pattern})
			case n.Is("Where") && u.Slot == 2 && n.In(0).Producer().Is("IsNaN"):
				todo = append(todo, at{n.Out(0), t.pattern})
			case n.Is("Mul") && n.NumIn() == 2 && a.fed(n.In(1-u.Slot)):
				todo = append(todo, at{n.Out(0), t.pattern}) // head_mask
			case n.Is("Slice") && u.Slot == 0: // removes the attention sink (GPT-OSS)
				todo = append(todo, at{n.Out(0), t.pattern})
			case n.Is("Reshape") && u.Slot == 0:
				next := at{n.Out(0), t.pattern}
				if a.facts.Rank(t.v) != 3 && next.pattern == nil {
					next.pattern = t.v
				}
				todo = append(todo, next)
			case u.Slot == 0 && a.product(n) != nil:
				hits = append(hits, hit{a.product(n), t.pattern})
			case !n.Is("IsNaN", "Shape"):
				reached = append(reached, n.FullOp())
			}
		}
	}
	if len(hits) != 1 {
		got := list(reached)
		if len(hits) > 1 {
			got = fmt.Sprintf("%d of them", len(hits))
		}
		return nil, &miss{1, s, "one MatMul(softmax, v) after Softmax", got}
	}
	found := a.products.From(score)
	if len(found) != 1 {
		return nil, &miss{2, s, "one MatMul(q, k) before Softmax", fmt.Sprintf("%d or more", len(found))}
	}
	av, qk := hits[0], a.product(found[0])
	c := &core{node: av.node, out: av.node.Out(0), pattern: av.left, value: av.right, query: qk.left, key: qk.right, score: score}
	c.qkv = [3]*projected{a.source(qk.left), a.source(qk.right), a.source(av.right)}
	c.causal = a.masks.Of(score)
	if n := a.multiplied.Of(score); n != nil && c.causal == "" {
		return nil, &miss{2, n, "a mask that is added to the scores, or that chooses between them and a low number", "a mask that multiplies or negates them"}
	}
	if c.causal == "" && (a.cached(qk.left) || a.cached(qk.right)) {
		c.causal = "cache"
	}
	switch {
	case av.pattern != nil:
		c.pattern = av.pattern
	case !a.folds(c):
	case a.facts.Rank(c.pattern) == 3:
		c.folded = true
	case a.facts.Rank(c.pattern) != 4:
		c.pattern, c.noPattern = nil, "the file folds heads into the batch, and does not say how the probabilities are stored"
	}
	return c, nil
}

// product is a product of two activations: a MatMul, or the operators that dynamic quantisation replaces it with.
type product struct {
	node        *graph.Node  // computes the product as floats
	left, right *graph.Value // the operands before quantisation
}

// product reads n. It returns nil if n is not a product or an operand is constant.
func (a *analysis) product(n *graph.Node) *product {
	floats := func(v *graph.Value) *graph.Value {
		if q := v.Producer(); q.Is("DynamicQuantizeLinear") {
			return q.In(0)
		}
		return nil
	}
	if !ops.Is(n, ops.Product) {
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
	if p.node == nil || p.left == nil || p.right == nil || a.Is(p.left) || a.Is(p.right) {
		return nil
	}
	return p
}

// matchOperator reads an attention operator. Its slots are in the table of operators.
func matchOperator(a *analysis, n *graph.Node) (*core, *miss) {
	s := ops.Of(n).Attn
	c := &core{node: n, out: n.Out(0), heads: n.Int(s.Heads, 0), kvHeads: n.Int(s.KVHeads, 0)}
	if s.Packed {
		if c.qkv[0] = nil; a.matrix(n.In(1)) != nil {
			p := &projected{node: n, bias: n.In(2) != nil}
			c.qkv = [3]*projected{p, p, p}
		}
	} else {
		c.query, c.key, c.value = n.In(s.Q), n.In(s.K), n.In(s.V)
		if c.key == nil { // q, k and v in one input
			c.key, c.value = c.query, c.query
		}
		c.qkv = [3]*projected{a.source(c.query), a.source(c.key), a.source(c.value)}
	}
	if c.heads == 0 && (s.Packed || n.Domain() != "") {
		return nil, &miss{1, n, "attribute " + s.Heads, "none"}
	}
	c.patternOut, c.noPattern = patternOf(n, s)
	if s.Mode != "" && n.Out(s.Pattern) != nil && c.noPattern == "" {
		c.pattern, c.patternOut = n.Out(s.Pattern), nil
	}
	switch {
	case s.Causal == "" || n.Int(s.Causal, 0) == 1:
		c.causal = "causal operator"
	case s.Mask > 0 && n.In(s.Mask) != nil:
		c.causal = a.masks.Of(n.In(s.Mask))
	}
	if c.causal == "" && !s.Packed && (slices.ContainsFunc(s.Past, func(i int) bool { return n.In(i) != nil }) || a.cached(c.key)) {
		c.causal = "cache"
	}
	return c, nil
}

// patternOf returns the node if it can return the attention probabilities as a further output, or the reason why it cannot.
func patternOf(n *graph.Node, s *ops.AttnSlots) (*graph.Node, string) {
	switch {
	case s.Mode == "":
		return nil, n.FullOp() + " computes the probabilities inside and has no output for them"
	case n.Out(s.Pattern) != nil && n.Int(s.Mode, 0) != s.Value:
		return nil, "the operator's output of scores is in use with another meaning"
	}
	return n, ""
}

// source returns the projection that q, k or v comes from, or nil if there is none or more than one.
func (a *analysis) source(v *graph.Value) *projected {
	hits := a.projections.From(v)
	if len(hits) != 1 {
		return nil
	}
	return &projected{node: hits[0], bias: a.readProjection(hits[0]) != nil && a.biased(hits[0])}
}

// biased reports whether a constant is added to the output of a projection, by the projection itself or by an Add.
func (a *analysis) biased(n *graph.Node) bool {
	if biasOf(n) != nil {
		return true
	}
	if s := scaled(n); s != nil {
		n = s
	}
	for u := range ops.Readers(a.budget, n.Out(0), ops.Copies) {
		if c, _ := a.constAnd(u.Node); u.Node.Is("Add") && c != nil {
			return true
		}
	}
	return false
}

func list(ops []string) string {
	if len(ops) == 0 {
		return "nothing"
	}
	slices.Sort(ops)
	ops = slices.Compact(ops)
	out := ops[0]
	for _, o := range ops[1:] {
		out += ", " + o
	}
	return out
}
