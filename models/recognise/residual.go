package recognise

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// block puts one core in its place: which layer it is, and the sites of the residual stream around it.
func (a *analysis) block(c *core, b *branch) (*models.Layer, *miss) {
	l := &models.Layer{
		Index: a.depth(b.out[0]) - 1, Core: c.node, Z: b.z, ZForm: b.form, Pattern: c.pattern, PatternOut: c.patternOut,
		WO: b.wo, BO: b.bias, Join: b.join, Missing: map[string]string{},
	}
	if c.noPattern != "" {
		l.Missing["pattern"] = c.noPattern
	}
	l.AttnOut = b.out
	next := a.parallel
	if a.dependsOn(b.out[0], a.root(b.other)) {
		next = a.sequential
	}
	if m := next(l, b); m != nil {
		return l, m
	}
	for _, s := range []models.Site{l.ResidPre, l.AttnOut, l.MLPOut, l.ResidPost} {
		if s == nil {
			continue
		}
		if r := a.rank(s[0]); r != 0 && r != 3 {
			return l, &miss{8, c.node, "a residual stream [batch, pos, d_model]", fmt.Sprintf("%v of %d axes (OPT?)", s[0], r)}
		}
	}
	if q := c.qkv[0]; q != nil && slices.Contains(a.aliases(a.root(l.ResidPre[0])), q.node.In(0)) {
		return l, &miss{8, c.node, "attention over a norm of the residual stream", "the stream itself (a norm behind the addition, as in BERT?)"}
	}
	return l, nil
}

// sequential reads the block of GPT-2:
//
//	resid_pre ──────────────(+)── resid_mid ─────────(+)── resid_post
//	    └─ ln_1 ─ attention ─┘        └─ ln_2 ─ MLP ──┘
func (a *analysis) sequential(l *models.Layer, b *branch) *miss {
	join := b.join.Node
	l.ResidPre = models.Site{b.other}
	if join.Is("Add") {
		l.ResidMid = models.Site{join.Out(0)}
	} else {
		if bias := skipBias(join); bias != nil {
			l.AttnOut = append(l.AttnOut, bias)
			l.BO = append(l.BO, bias)
		}
		if sum := join.Out(3); sum != nil {
			l.ResidMid = models.Site{sum}
		} else {
			return &miss{8, join, "the sum as output 3, which the rest of the block reads", "no such output (a norm behind the addition, as in BERT?)"}
		}
	}
	hits := a.residualAdds(l.ResidMid[0])
	switch len(hits) {
	case 0: // a block without an MLP; or a post-norm block, which the next layer will notice
		l.ResidPost = l.ResidMid
		l.Missing["mlp_out"] = "the block has no MLP"
		return nil
	case 1:
	default:
		return &miss{8, hits[0].Node, "one Add of the MLP to the residual stream", fmt.Sprintf("%d", len(hits))}
	}
	mlp := hits[0]
	if a.depth(mlp.Node.In(1-mlp.Slot)) > l.Index+1 { // the next layer's attention: this block has no MLP of its own
		l.ResidPost = l.ResidMid
		l.Missing["mlp_out"] = "the block has no MLP"
		return nil
	}
	a.mlp(l, mlp)
	return nil
}

// mlp notes the branch that joins at a residual add: slot is the stream's operand.
func (a *analysis) mlp(l *models.Layer, stream graph.Use) {
	l.MLPOut = models.Site{stream.Node.In(1 - stream.Slot)}
	post(l, stream.Node)
}

// post notes what the last addition of a block gives, and the bias that a skip norm adds, which is the MLP's.
func post(l *models.Layer, n *graph.Node) {
	if bias := skipBias(n); bias != nil {
		l.MLPOut = append(l.MLPOut, bias)
	}
	switch {
	case n.Is("Add"):
		l.ResidPost = models.Site{n.Out(0)}
	case n.Out(3) != nil:
		l.ResidPost = models.Site{n.Out(3)}
	default: // the last block of a fused file: only the norm is written out
		l.ResidPostOut = n
	}
}

// residualAdds returns the additions that read v, or v moved, as one operand and something computed from v as the other. The
// use names the operand that is v.
func (a *analysis) residualAdds(v *graph.Value) []graph.Use {
	var out []graph.Use
	for _, w := range a.aliases(v) {
		for _, u := range w.Uses() {
			n := u.Node
			if n.Graph() != a.g || !adds(u) {
				continue
			}
			if other := n.In(1 - u.Slot); other != nil && other != w && !a.is(other) && !a.fromInputs(other) && a.dependsOn(other, v) {
				// The expansion of a norm reads v too, but adds constants; a sum of two branches does not hold v itself.
				out = append(out, u)
			}
		}
	}
	return out
}

// parallel reads the block of GPT-J: attention and MLP read the same norm, and their sum joins the stream.
//
//	resid_pre ─────────────────────────────(+)── resid_post
//	    └─ ln_1 ─┬─ attention ──(+)─────────┘
//	             └─ MLP ─────────┘
func (a *analysis) parallel(l *models.Layer, b *branch) *miss {
	join := b.join.Node
	if !join.Is("Add") {
		return &miss{8, join, "the residual stream as the other operand of the join", "a value that attention does not come from"}
	}
	l.Missing["resid_mid"] = "attention and MLP run in parallel: there is no residual stream between them"
	l.MLPOut = models.Site{b.other}
	var hits []graph.Use
	for _, w := range a.aliases(join.Out(0)) {
		for _, u := range w.Uses() {
			if adds(u) && u.Node.Graph() == a.g && !a.is(u.Node.In(1-u.Slot)) && a.dependsOn(b.out[0], a.root(u.Node.In(1-u.Slot))) {
				hits = append(hits, u)
			}
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
	post(l, n)
	return nil
}

// stack orders the layers and checks that the residual stream runs through all of them, and no further.
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
			return &miss{8, l.Core, "a residual stream behind the layer before", "a norm alone"}
		}
		if !slices.Contains(a.aliases(prev[0]), l.ResidPre[0]) {
			return &miss{8, l.Join.Node, fmt.Sprintf("layer %d to continue the residual stream of layer %d, %v", i, i-1, prev[0]),
				fmt.Sprintf("%v (a norm behind the addition, as in BERT?)", l.ResidPre[0])}
		}
	}
	last := layers[len(layers)-1]
	if last.ResidPost != nil {
		if more := a.residualAdds(last.ResidPost[0]); len(more) > 0 {
			return &miss{8, more[0].Node, fmt.Sprintf("the residual stream to end behind layer %d", last.Index), "another addition to it (of a layer whose attention was not recognised?)"}
		}
	}
	return nil
}
