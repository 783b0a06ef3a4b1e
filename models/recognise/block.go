package recognise

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// block places one core: it finds the core's layer number and the sites of the residual stream around it.
func (a *analysis) block(c *core, b *branch) (*models.Layer, *miss) {
	l := &models.Layer{
		Index: a.depth(b.out[0]) - 1, Core: c.node, Z: b.z, ZForm: b.form, Pattern: c.pattern, PatternFolded: c.folded, PatternOut: c.patternOut,
		WO: b.wo, BO: b.bias, Out: b.proj, PostNorm: b.norm, Scaled: b.scale, AttnOut: b.out, Join: b.join, Missing: map[string]string{},
	}
	if c.noPattern != "" {
		l.Missing["pattern"] = c.noPattern
	}
	if b.fused != 0 {
		l.Out = nil
		l.Missing["out"] = fmt.Sprintf("the product with W_O also multiplies by %g: the file does not compute the output of W_O alone", b.fused)
	}
	l.ZAt = a.places(l.Z, models.BakedAt{Site: models.PortZ, Layer: l.Index})[0]
	shape := a.parallel
	if a.dependsOn(b.out[0], a.root(b.other)) {
		shape = a.sequential
	}
	if m := shape(l, b); m != nil {
		return l, m
	}
	for _, s := range []models.Site{l.ResidPre, l.AttnOut} {
		if r := a.facts.Rank(s[0]); r != 0 && r != 3 {
			return l, &miss{8, c.node, "a residual stream [batch, pos, d_model]", fmt.Sprintf("%v of %d axes", s[0], r)}
		}
	}
	for _, v := range append(slices.Concat(l.MLPOut, l.ResidPost), l.MLPJoin.Node.In(l.MLPJoin.Slot)) {
		if v != nil && a.facts.Rank(v) == 2 {
			l.Folded = append(l.Folded, v)
		}
	}
	return l, a.ownStream(c, l)
}

// ownStream checks that q, k and v are computed from the residual stream before the layer, and from nothing else: not from
// another layer's stream, not from the stream between attention and MLP.
func (a *analysis) ownStream(c *core, l *models.Layer) *miss {
	stream := a.root(l.ResidPre[0])
	bare := false // q reads the stream itself and not a norm of it
	for i := range c.qkv {
		for _, p := range a.projectionsOf(c, i, stream) {
			in := p.In(0)
			if q := in.Producer(); q.Is("DynamicQuantizeLinear") {
				in = q.In(0)
			}
			switch d := a.depth(in); {
			case d != l.Index:
				return &miss{8, c.node, fmt.Sprintf("q, k and v from the residual stream after %d layers", l.Index),
					fmt.Sprintf("%c from the stream after %d layers (keys and values shared between layers?)", "qkv"[i], d)}
			case !a.dependsOn(in, stream):
				return &miss{8, c.node, fmt.Sprintf("q, k and v from the residual stream before the layer, %v", stream), fmt.Sprintf("%c from %v", "qkv"[i], in)}
			case a.root(in) != stream:
			case i == 0 && l.PostNorm == nil:
				return &miss{8, c.node, "attention over a norm of the residual stream", "the stream itself (a norm after the addition, as in BERT?)"}
			case i == 0:
				bare = true
			case !bare:
				return &miss{8, c.node, "q, k and v from norms of the residual stream", fmt.Sprintf("%c from the stream itself", "qkv"[i])}
			}
		}
	}
	return nil
}

// projectionsOf returns the projections between the stream and q (0), k (1) or v (2). There are several if parts are joined,
// as in multi-head latent attention, or if another layer's keys are added.
func (a *analysis) projectionsOf(c *core, i int, stream *graph.Value) []*graph.Node {
	if p := c.qkv[i]; p != nil {
		return []*graph.Node{p.node}
	}
	var out []*graph.Node
	next := func(v *graph.Value) []*graph.Value {
		switch n := v.Producer(); {
		case n == nil || a.Is(v) || n == stream.Producer() || a.root(v) == stream:
		case a.readProjection(n) != nil:
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		case ops.Is(n, toProjections):
			return ops.Data(n)
		}
		return nil
	}
	for range ops.Reach(a.budget, next, []*graph.Value{c.query, c.key, c.value}[i]) {
	}
	return out
}

// ownCaches checks that no two layers read the same cache of keys or values.
func (a *analysis) ownCaches() *miss {
	owner := map[*graph.Value]*core{}
	for _, c := range a.cores {
		for _, v := range a.cacheOperands(c) {
			if o := owner[v]; o != nil && o != c {
				return &miss{8, c.node, "a cache of keys and values for each layer", fmt.Sprintf("%v, which %v reads too", v, o.node)}
			}
			owner[v] = c
		}
	}
	return nil
}

// sequential reads the block of GPT-2 and Llama:
//
//	resid_pre ──────────────(+)── resid_mid ─────────(+)── resid_post
//	    └─ ln_1 ─ attention ─┘        └─ ln_2 ─ MLP ──┘
func (a *analysis) sequential(l *models.Layer, b *branch) *miss {
	join := b.join.Node
	l.ResidPre = models.Site{b.other}
	if bias := skipBias(join); bias != nil {
		l.AttnOut = append(slices.Clone(l.AttnOut), bias)
		if l.PostNorm == nil && !l.Scaled {
			l.BO = append(l.BO, bias)
			l.Out = l.AttnOut
		}
	}
	mid := sum(join)
	if mid == nil {
		return &miss{8, join, "the sum as a further output, which the rest of the block reads", "no such output (a norm after the addition, as in BERT?)"}
	}
	l.ResidMid = models.Site{mid}
	hits := a.residualAdds(mid)
	switch len(hits) {
	case 0:
		if done, m := a.parallelAfter(l, mid); done || m != nil {
			return m
		}
		// A block without an MLP, or a post-norm block, which the check of the next layer detects.
		return withoutMLP(l)
	case 1:
	default:
		return &miss{8, hits[0].Node, "one Add of the MLP to the residual stream", fmt.Sprintf("%d", len(hits))}
	}
	if a.depth(hits[0].Node.In(1-hits[0].Slot)) > l.Index+1 { // the next layer's attention
		return withoutMLP(l)
	}
	return a.mlp(l, graph.Use{Node: hits[0].Node, Slot: 1 - hits[0].Slot})
}

// parallelAfter reads the block of Cohere and StableLM: attention joins the stream first, and an MLP over the same norm joins
// it second.
//
//	resid_pre ──────────────(+)────(+)── resid_post
//	    └─ ln_1 ─┬─ attention ┘      │
//	             └─ MLP ─────────────┘
func (a *analysis) parallelAfter(l *models.Layer, mid *graph.Value) (done bool, err *miss) {
	var hits []graph.Use
	stream := a.root(l.ResidPre[0])
	for u, at := range ops.Readers(a.budget, mid, ops.Copies) {
		if !adds(u) {
			continue
		}
		if other := u.Node.In(1 - u.Slot); other != nil && other != at && !a.Is(other) && !a.fed(other) && !a.isGate(other) && a.depth(other) <= l.Index && a.dependsOn(other, stream) {
			hits = append(hits, u)
		}
	}
	switch len(hits) {
	case 0:
		return false, nil
	case 1:
	default:
		return false, &miss{8, hits[0].Node, "one Add of the MLP to the residual stream", fmt.Sprintf("%d", len(hits))}
	}
	l.ResidMid = nil
	l.Missing["resid_mid"] = noMid
	return true, a.mlp(l, graph.Use{Node: hits[0].Node, Slot: 1 - hits[0].Slot})
}

const noMid = "attention and MLP run in parallel: there is no residual stream between them"

// parallel reads the blocks of GPT-J, NeoX, Phi and Falcon, in which attention and the MLP are added before they join the
// stream, and blocks in which the MLP joins the stream first:
//
//	resid_pre ─────────────────────────────(+)── resid_post      resid_pre ──(+)──(+)── resid_post
//	    └─ ln_1 ─┬─ attention ──(+)─────────┘                         ├── MLP ┘     │
//	             └─ MLP ─────────┘                                    └── attention ┘
func (a *analysis) parallel(l *models.Layer, b *branch) *miss {
	join := b.join.Node
	l.Missing["resid_mid"] = noMid
	if stream, mlp, ok := a.streamAndMLP(b); ok {
		l.ResidPre = models.Site{stream}
		l.MLPJoin, l.MLPOut = mlp, a.ownMLP(l, mlp)
		post(l, join)
		if skipBias(join) != nil {
			return &miss{8, join, "a bias of one branch", "a bias that is added to attention and MLP together"}
		}
		return nil
	}
	if !join.Is("Add") {
		return &miss{8, join, "the residual stream as the other operand of the join", "a value that attention does not come from"}
	}
	var hits []graph.Use
	for u := range ops.Readers(a.budget, join.Out(0), ops.Copies) {
		if other := u.Node.In(1 - u.Slot); adds(u) && !a.Is(other) && a.dependsOn(b.out[0], a.root(other)) {
			hits = append(hits, u)
		}
	}
	if len(hits) != 1 {
		return &miss{8, join, "one Add that joins attention and MLP to the residual stream", fmt.Sprintf("%d", len(hits))}
	}
	n := hits[0].Node
	stream := n.In(1 - hits[0].Slot)
	if !a.dependsOn(b.other, a.root(stream)) {
		return &miss{8, join, "an MLP over the same residual stream as attention", fmt.Sprintf("a value that does not come from %v", stream)}
	}
	l.ResidPre = models.Site{stream}
	l.MLPJoin = graph.Use{Node: join, Slot: 1 - b.join.Slot}
	l.MLPOut = a.ownMLP(l, l.MLPJoin)
	post(l, n)
	return nil
}

// streamAndMLP splits the other operand of the join if it is the sum of an MLP and the stream that attention reads.
func (a *analysis) streamAndMLP(b *branch) (stream *graph.Value, mlp graph.Use, ok bool) {
	n := a.root(b.other).Producer()
	if !n.Is("Add") {
		return nil, graph.Use{}, false
	}
	for i := range 2 {
		s, m := n.In(i), n.In(1-i)
		if !a.Is(s) && !a.Is(m) && a.dependsOn(b.out[0], a.root(s)) && a.dependsOn(m, a.root(s)) && a.root(s) != a.root(m) {
			return s, graph.Use{Node: n, Slot: 1 - i}, true
		}
	}
	return nil, graph.Use{}, false
}

// mlp records the branch that joins the stream at an operand of the last addition of a block.
func (a *analysis) mlp(l *models.Layer, join graph.Use) *miss {
	l.MLPJoin = join
	l.MLPOut = a.ownMLP(l, join)
	if bias := skipBias(join.Node); bias != nil {
		l.MLPOut = append(l.MLPOut, bias)
	}
	post(l, join.Node)
	return nil
}

// ownMLP returns the output of the MLP without memories of an earlier rewrite.
func (a *analysis) ownMLP(l *models.Layer, join graph.Use) models.Site {
	v := join.Node.In(join.Slot)
	baked := a.stored[models.BakedAt{Site: models.PortMLPOut, Layer: l.Index}].Memories
	for {
		n := v.Producer()
		if !n.Is("Add") {
			return models.Site{v}
		}
		switch x, y := n.In(0), n.In(1); {
		case a.fed(y) || a.isGate(y):
			v = x
		case a.fed(x) || a.isGate(x):
			v = y
		case baked > 0 && a.Is(y):
			v, baked = x, baked-1
		case baked > 0 && a.Is(x):
			v, baked = y, baked-1
		default:
			return models.Site{v}
		}
	}
}

// residualAdds returns the additions that read v, or a copy of it, as one operand and a value computed from v as the other.
// The use is the operand that is v.
func (a *analysis) residualAdds(v *graph.Value) []graph.Use {
	var out []graph.Use
	for u, w := range ops.Readers(a.budget, v, ops.Copies) {
		if !adds(u) {
			continue
		}
		if other := u.Node.In(1 - u.Slot); other != nil && other != w && !a.Is(other) && !a.fed(other) && !a.isGate(other) && a.dependsOn(other, v) {
			// The expansion of a norm reads v too, but adds constants. A sum of two branches does not read v itself.
			out = append(out, u)
		}
	}
	return out
}

// stack orders the layers and checks that the residual stream passes through all of them and ends after the last.
func (a *analysis) stack(layers []*models.Layer) *miss {
	slices.SortStableFunc(layers, func(x, y *models.Layer) int { return x.Index - y.Index })
	for i, l := range layers {
		if l.Index != i {
			return &miss{8, l.Core, fmt.Sprintf("attention number %d to depend on exactly %d others", i, i), fmt.Sprintf("%d (encoder and decoder in one graph?)", l.Index)}
		}
		if i == 0 {
			continue
		}
		prev := layers[i-1].ResidPost
		if prev == nil {
			return &miss{8, l.Core, "a residual stream after the previous layer", "only a norm"}
		}
		if a.root(prev[0]) != a.root(l.ResidPre[0]) {
			return &miss{8, l.Join.Node, fmt.Sprintf("layer %d to continue the residual stream of layer %d, %v", i, i-1, prev[0]),
				fmt.Sprintf("%v (a norm after the addition, as in BERT?)", l.ResidPre[0])}
		}
	}
	a.placeStream(layers)
	last := layers[len(layers)-1]
	if last.ResidPost != nil {
		if more := a.residualAdds(last.ResidPost[0]); len(more) > 0 {
			return &miss{8, more[0].Node, fmt.Sprintf("the residual stream to end after layer %d", last.Index), "another addition to it (by a layer whose attention was not recognised?)"}
		}
	}
	return nil
}

func withoutMLP(l *models.Layer) *miss {
	l.ResidPost = l.ResidMid
	l.Missing["mlp_out"] = "the block has no MLP"
	return nil
}

// post records the output of the last addition of a block.
func post(l *models.Layer, n *graph.Node) {
	if v := sum(n); v != nil {
		l.ResidPost = models.Site{v}
	} else { // the last block of a fused file, which returns only the norm
		l.ResidPostOut = n
	}
}
