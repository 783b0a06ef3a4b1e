package recognise

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// branch is the part after a core: the projection through W_O and the place where it joins the residual stream.
//
//	z ─ W_O ─ (+) b_O ── attn.hook_out ── [norm | × number] ── attn_out ──(+)── join
type branch struct {
	z     *graph.Value
	form  models.ZForm
	wo    *weights.Weight
	bias  []*graph.Value
	proj  models.Site  // output of W_O including b_O
	norm  *models.Norm // between W_O and the join; nil for none
	scale bool         // the path multiplies by a number
	fused float64      // the number that the product itself multiplies by; 0 for none
	out   models.Site  // the value that joins the stream, without memories of an earlier rewrite
	join  graph.Use
	other *graph.Value // the other operand of the join
}

// adds reports whether u is an operand of an addition: of an Add or of a skip norm.
func adds(u graph.Use) bool {
	return u.Node.Is("Add") || skips(u.Node) && u.Slot < 2
}

// skipBias returns the bias input of a skip norm, which belongs to the branch, or nil for an Add.
func skipBias(n *graph.Node) *graph.Value {
	if s := ops.Of(n).Norm; s != nil {
		return optional(n, s.Bias)
	}
	return nil
}

// sum returns the residual stream after an addition, or nil for a skip norm that does not return it.
func sum(n *graph.Node) *graph.Value {
	if s := ops.Of(n).Norm; s != nil {
		return n.Out(s.Sum)
	}
	return n.Out(0)
}

// follow walks from a core through W_O to the residual join.
func (a *analysis) follow(c *core) (*branch, *miss) {
	b := &branch{}
	type at struct{ v, z *graph.Value } // z in [batch, pos, head, d_head], if the path passed it
	type hit struct {
		node *graph.Node
		z    *graph.Value
	}
	var hits []hit
	todo := []at{{c.out, nil}}
	var reached []string
	for len(todo) > 0 && a.budget.Step() {
		t := todo[0]
		todo = todo[1:]
		for _, u := range t.v.Uses() {
			n := u.Node
			switch {
			case n.Graph() != a.g || n.Is("Shape"):
			case u.Slot == 0 && a.readProjection(n) != nil:
				hits = append(hits, hit{n, t.z})
			case a.changes(u):
				todo = append(todo, at{n.Out(0), t.z})
			case u.Slot == 0 && ops.Is(n, ops.Moves):
				z := t.z
				if n.Is("Transpose") && slices.Equal(n.Ints("perm"), []int64{0, 2, 1, 3}) && z == nil {
					z = n.Out(0)
				}
				todo = append(todo, at{n.Out(0), z})
			default:
				reached = append(reached, n.FullOp())
			}
		}
	}
	switch {
	case len(hits) == 0:
		return nil, &miss{4, c.node, "a projection by a constant matrix (W_O) after z", list(reached)}
	case len(hits) > 1:
		return nil, &miss{4, c.node, "one projection after z", fmt.Sprintf("%d of them", len(hits))}
	}
	b.wo = a.readProjection(hits[0].node)
	if alpha := b.wo.Alpha; alpha != 1 && hits[0].node.Is("com.microsoft.FusedMatMul") {
		// ONNX Runtime made the multiplier after W_O (Granite) part of the product. It does not apply to the heads.
		own := *b.wo
		own.Alpha, b.wo, b.fused, b.scale = 1, &own, alpha, true
	}
	flat := ops.Is(c.node, ops.Attention) && a.facts.Rank(c.out) != 4 && (c.heads > 0 || a.facts.Rank(c.out) == 3)
	switch z := hits[0].z; {
	case z != nil:
		b.z = z
	case flat:
		b.z, b.form = c.out, models.ZFlat
	case a.oneToken(c.out): // moving an axis of size 1 is a Reshape
		b.z, b.form = c.out, models.ZByHead
	default:
		return nil, &miss{4, c.node, "a Transpose [0, 2, 1, 3] that puts the positions of z before its heads", "none before W_O"}
	}
	return b, a.joinOf(b, hits[0].node)
}

// term is an addition to attention output on its way to the join: a bias, or a memory of an earlier rewrite.
type term struct {
	before *graph.Value // the sum so far
	add    *graph.Value
	memory bool
}

// route is a path from W_O to a value computed from its output.
type route struct {
	v     *graph.Value
	terms []term         // additions since the last norm or multiplier
	bias  []*graph.Value // additions before that
	proj  *graph.Value   // the input of the norm or multiplier; nil before it
	norm  *models.Norm
	scale bool
}

// joinOf walks from the projection to the node that adds another part of the residual stream.
func (a *analysis) joinOf(b *branch, proj *graph.Node) *miss {
	w := &joinWalk{analysis: a, width: b.wo.Out, scaling: scaled(proj), todo: []route{{v: proj.Out(0)}},
		baked: a.stored[models.BakedAt{Site: models.PortAttnOut, Layer: a.depth(proj.Out(0)) - 1}].Memories}
	for len(w.todo) > 0 && a.budget.Step() {
		t := w.todo[0]
		w.todo = w.todo[1:]
		w.visit(t)
	}
	switch {
	case len(w.joins) == 0:
		return &miss{5, proj, "an Add or skip norm that joins attention to the residual stream", list(w.reached)}
	case len(w.joins) > 1:
		var where []string
		for _, h := range w.joins {
			where = append(where, h.use.Node.String())
		}
		return &miss{5, proj, "one join with the residual stream", fmt.Sprintf("%d candidates: %s", len(w.joins), list(where))}
	}
	h := w.joins[0]
	b.join, b.other, b.norm, b.scale = h.use, h.use.Node.In(1-h.use.Slot), h.norm, h.scale || b.scale
	if bias := biasOf(proj); bias != nil {
		b.bias = append(b.bias, bias)
	}
	b.bias = append(b.bias, h.bias...)
	own, after := a.ownPart(h.v, h.terms, w.baked)
	b.out = own
	if h.proj == nil {
		b.bias = append(b.bias, after...)
		b.proj = b.out
	} else {
		b.proj = models.Site{h.proj}
	}
	return nil
}

// joinWalk searches for the operands through which the output of a projection joins the residual stream.
type joinWalk struct {
	*analysis
	width   int64       // of the stream
	scaling *graph.Node // converts a product of integers to floats; nil for other products
	baked   int         // the number of memories that an earlier rewrite baked into this layer
	todo    []route
	joins   []joined
	reached []string // operators that end the search
}

// joined is a use that joins the stream, and the path to it.
type joined struct {
	use graph.Use
	route
}

// visit examines all readers of the value at the end of a path.
func (w *joinWalk) visit(t route) {
	inNorm := map[*graph.Node]bool{}
	for _, n := range w.normsOf(t.v) {
		if n.Node == nil || t.norm != nil {
			continue
		}
		n = w.withoutMemory(n, w.baked)
		next := t.after(n.Out)
		next.norm = n
		w.todo = append(w.todo, next)
		w.within(n, inNorm)
	}
	for _, u := range t.v.Uses() {
		if u.Node.Graph() == w.g && !u.Node.Is("Shape") && !inNorm[u.Node] {
			w.read(t, u)
		}
	}
}

// read follows one use of the value at the end of a path.
func (w *joinWalk) read(t route, u graph.Use) {
	n := u.Node
	var other *graph.Value
	if n.Is("Add", "Mul", "Div") {
		other = n.In(1 - u.Slot)
	}
	next := t
	next.v = n.Out(0)
	switch {
	case u.Slot == 0 && ops.Is(n, ops.Copies), n == w.scaling:
	case n.Is("Add") && (w.Is(other) || other != t.v && (w.fed(other) || w.isGate(other))):
		memory := !w.Is(other) || w.elements(other) > w.width // an input, a gate, or a constant that differs by position
		next.terms = append(slices.Clone(t.terms), term{t.v, other, memory})
	case n.Is("Mul") && w.single(other) && !w.isGate(n.Out(0)), n.Is("Div") && u.Slot == 0 && w.single(other):
		next = t.after(n.Out(0))
		next.scale = true
	case n.Is("Add") && other != t.v, !n.Is("Add") && adds(u):
		if !slices.ContainsFunc(w.joins, func(h joined) bool { return h.use == u }) {
			w.joins = append(w.joins, joined{u, t})
		}
		return
	default:
		w.reached = append(w.reached, n.FullOp())
		return
	}
	w.todo = append(w.todo, next)
}

// after restarts a path after a norm or a multiplier: earlier additions are part of the output of W_O.
func (t route) after(v *graph.Value) route {
	next := route{v: v, proj: t.proj, norm: t.norm, scale: t.scale, bias: t.bias}
	if next.proj == nil {
		next.proj = t.v
		for _, x := range t.terms {
			next.bias = append(next.bias, x.add)
		}
	}
	return next
}

// ownPart removes memories of an earlier rewrite, which are added last, from a sum. It returns the model's own part as a
// site, and the biases among the terms. Memories that were baked in are constants like biases; they are the last baked
// constants added.
func (a *analysis) ownPart(v *graph.Value, terms []term, baked int) (own models.Site, bias []*graph.Value) {
	terms = slices.Clone(terms)
	for i := len(terms) - 1; i >= 0 && baked > 0; i-- {
		if !terms[i].memory {
			terms[i].memory = true
			baked--
		}
	}
	own = models.Site{v}
	steered := false
	for _, t := range terms {
		switch {
		case !t.memory:
			bias = append(bias, t.add)
			if steered { // added after a memory: a separate term
				own = append(own, t.add)
			}
		case !steered:
			own, steered = models.Site{t.before}, true
		}
	}
	return own, bias
}

// withoutMemory returns a norm without its beta if the beta is a baked memory, which looks the same. This is so if fewer
// constants are added after the norm than there are memories.
func (a *analysis) withoutMemory(n *models.Norm, baked int) *models.Norm {
	add := n.Out.Producer()
	if n.Beta == nil || !add.Is("Add") {
		return n
	}
	for v := n.Out; v != nil && baked > 0; {
		v = nil
		for u := range ops.Readers(a.budget, add.Out(0), ops.Copies) {
			if other := u.Node.In(1 - u.Slot); u.Node.Is("Add") && (a.Is(other) || a.fed(other)) {
				add, v = u.Node, u.Node.Out(0)
				if a.Is(other) {
					baked--
				}
				break
			}
		}
	}
	if baked == 0 {
		return n
	}
	bare := *n
	bare.Beta = nil
	_, bare.Out = a.constAnd(n.Out.Producer())
	return &bare
}

// single reports whether v is a constant with one element.
func (a *analysis) single(v *graph.Value) bool { return a.Is(v) && a.elements(v) == 1 }

// within marks the nodes between the input and the output of a norm.
func (a *analysis) within(n *models.Norm, marks map[*graph.Node]bool) {
	next := func(v *graph.Value) []*graph.Value {
		if v == nil || same(v, n.In) || v.Producer() == nil || a.Is(v) {
			return nil
		}
		return v.Producer().Inputs()
	}
	for v := range ops.Reach(a.budget, next, n.Out) {
		if p := v.Producer(); p != nil && !same(v, n.In) {
			marks[p] = true
		}
	}
	for v := range ops.Reach(a.budget, a.conversionsOf, converted(n.In)) { // including conversions that only the norm reads
		if p := v.Producer(); v != n.In && p != nil && len(v.Uses()) > 0 && !slices.ContainsFunc(v.Uses(), func(u graph.Use) bool { return !marks[u.Node] }) {
			marks[p] = true
		}
	}
}

func (a *analysis) conversionsOf(v *graph.Value) []*graph.Value {
	var out []*graph.Value
	for _, u := range v.Uses() {
		if u.Slot == 0 && u.Node.Graph() == a.g && ops.Is(u.Node, ops.Convert) {
			out = append(out, u.Node.Out(0))
		}
	}
	return out
}
