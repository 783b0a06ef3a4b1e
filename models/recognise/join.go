package recognise

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// Operations that add a branch to the residual stream and normalise the sum. Inputs 0 and 1 are the branch and the stream in
// either order; output 3 is their sum where it is asked for.
var skipNorms = []string{"com.microsoft.SkipLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization"}

// skipBias is the input of a skip norm that holds a bias, which belongs to the branch; nil for an Add.
func skipBias(n *graph.Node) *graph.Value {
	switch {
	case n.Is("com.microsoft.SkipLayerNormalization"):
		return n.In(4)
	case n.Is("com.microsoft.SkipSimplifiedLayerNormalization"):
		return n.In(3)
	}
	return nil
}

// adds reports whether u is an operand of an addition: of an Add or of a skip norm.
func adds(u graph.Use) bool {
	return u.Node.Is("Add") || u.Node.Is(skipNorms...) && u.Slot < 2
}

// branch is what follows a core: the projection through W_O and the place where it joins the residual stream.
type branch struct {
	z     *graph.Value
	form  models.ZForm
	wo    *weights.Weight
	bias  []*graph.Value
	out   models.Site // attention output without any memory of an earlier rewrite
	join  graph.Use
	other *graph.Value // the other operand of the join
}

// follow walks from a core through W_O to the residual join.
func (a *analysis) follow(c *core) (*branch, *miss) {
	b := &branch{}
	var found []graph.Use
	zs := map[*graph.Node]*graph.Value{} // projection → z in [batch, pos, head, d_head] on the way to it
	type at struct{ v, z *graph.Value }
	todo := []at{{c.out, nil}}
	var reached []string
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		for _, u := range t.v.Uses() {
			n := u.Node
			switch {
			case n.Graph() != a.g || n.Is("Shape"):
			case u.Slot == 0 && a.readProjection(n) != nil:
				found = append(found, u)
				zs[n] = t.z
			case u.Slot == 0 && n.Is(through...):
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
	case len(found) == 0:
		return nil, &miss{4, c.node, "a projection by a constant matrix (W_O) behind z", list(reached)}
	case len(found) > 1:
		return nil, &miss{4, c.node, "one projection behind z", fmt.Sprintf("%d of them", len(found))}
	}
	b.wo = a.readProjection(found[0].Node)
	switch z := zs[found[0].Node]; {
	case z != nil:
		b.z = z
	case !c.rank4:
		b.z, b.form = c.out, models.ZFlat
	case a.oneToken(c.out): // moving an axis of one is a Reshape
		b.z, b.form = c.out, models.ZByHead
	default:
		return nil, &miss{4, c.node, "a Transpose [0, 2, 1, 3] that puts the heads of z behind the positions", "none before W_O"}
	}
	return b, a.joinOf(b, found[0].Node)
}

// term is an addition to attention output on its way to the join: of a bias, or of a memory of an earlier rewrite.
type term struct {
	before *graph.Value // the sum so far
	add    *graph.Value
	memory bool
}

// joinOf walks from the projection to the node where another part of the residual stream comes in.
func (a *analysis) joinOf(b *branch, proj *graph.Node) *miss {
	type at struct {
		v     *graph.Value
		terms []term
	}
	type hit struct {
		use graph.Use
		at
	}
	var hits []hit
	var reached []string
	scaling := scaled(proj) // of a product of integers; any other factor would be one on attention, which W_O does not have
	todo := []at{{v: proj.Out(0)}}
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		for _, u := range t.v.Uses() {
			n := u.Node
			var other *graph.Value
			if n.Is("Add") {
				other = n.In(1 - u.Slot)
			}
			switch {
			case n.Graph() != a.g || n.Is("Shape"):
			case u.Slot == 0 && n.Is("Reshape", "Cast", "Identity", "Dropout", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear"), n == scaling:
				todo = append(todo, at{n.Out(0), t.terms})
			case n.Is("Add") && a.is(other), n.Is("Add") && other != t.v && a.fromInputs(other):
				memory := !a.is(other) || a.elements(other) > b.wo.Out // what is fed, or differs by position
				todo = append(todo, at{n.Out(0), append(slices.Clone(t.terms), term{t.v, other, memory})})
			case n.Is("Add") && other != t.v, n.Is(skipNorms...) && u.Slot < 2:
				hits = append(hits, hit{u, t})
			default:
				reached = append(reached, n.FullOp())
			}
		}
	}
	switch {
	case len(hits) == 0:
		return &miss{5, proj, "an Add or SkipLayerNormalization that joins attention to the residual stream", list(reached)}
	case len(hits) > 1:
		var where []string
		for _, h := range hits {
			where = append(where, h.use.Node.String())
		}
		return &miss{5, proj, "one join with the residual stream", fmt.Sprintf("%d candidates: %s", len(hits), strings.Join(where, " and "))}
	}
	h := hits[0]
	b.join, b.other = h.use, h.use.Node.In(1-h.use.Slot)
	if bias := biasOf(proj); bias != nil {
		b.bias = append(b.bias, bias)
	}
	baked := a.baked[a.depth(proj.Out(0))-1]
	for i := len(h.terms) - 1; i >= 0 && baked > 0; i-- { // constants like a bias, but the last ones that were added
		if !h.terms[i].memory {
			h.terms[i].memory = true
			baked--
		}
	}
	b.out = models.Site{h.v}
	steered := false
	for _, t := range h.terms {
		switch {
		case !t.memory:
			b.bias = append(b.bias, t.add)
			if steered { // behind a memory: a term of its own
				b.out = append(b.out, t.add)
			}
		case !steered:
			b.out, steered = models.Site{t.before}, true
		}
	}
	return nil
}

func list(ops []string) string {
	if len(ops) == 0 {
		return "nothing"
	}
	slices.Sort(ops)
	return strings.Join(slices.Compact(ops), ", ")
}
