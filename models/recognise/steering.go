package recognise

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// An earlier rewrite changes a value x by additions. Package rewrite writes them in these forms, where k, memory and tau are
// ports of the manifest or stored constants:
//
//	Add(x, memory * tau)
//	Add(x, x * Sub(k, 1))
//
// k and tau are chosen from two constants, Where(tokens, on, off), where the change acts at some tokens only.
//
// The recogniser looks through them, so that the layout of a patched file holds the model's own values.

// delta is an addition of an earlier rewrite.
type delta struct {
	slot int            // the operand that is x, or x with earlier additions
	at   models.BakedAt // the place; zero for a stored constant
}

// readDeltas finds the additions that ports of the manifest feed.
func (a *analysis) readDeltas(m *graph.Model) {
	ports, stored := models.SteeredBy(m)
	a.stored = stored
	inputs := map[string]*graph.Value{}
	for _, v := range m.Graph.Inputs() {
		inputs[v.Name()] = v
	}
	a.deltas = map[*graph.Node]delta{}
	for _, p := range ports {
		port, known := p.Port()
		if v := inputs[p.Name]; known && v != nil && p.IO == "in" {
			a.follows(v, models.BakedAt{Site: port.Site, Layer: p.Layer})
		}
	}
}

// follows marks the additions to which a port leads.
func (a *analysis) follows(port *graph.Value, at models.BakedAt) {
	next := func(v *graph.Value) (out []*graph.Value) {
		for _, u := range v.Uses() {
			switch n := u.Node; {
			case n.Graph() != a.g:
			case n.Is("Add"):
				a.deltas[n] = delta{1 - u.Slot, at}
			case n.Is("Mul", "Sub"), u.Slot == 0 && ops.Is(n, ops.Moves|ops.Repeat):
				out = append(out, n.Outputs()...)
			}
		}
		return out
	}
	for range ops.Reach(a.budget, next, port) {
	}
}

// delta returns the addition of an earlier rewrite that a node is. ok is false for any other node.
func (a *analysis) delta(n *graph.Node) (d delta, ok bool) {
	if d, ok = a.deltas[n]; ok || len(a.stored) == 0 || !n.Is("Add") || n.NumIn() != 2 {
		return d, ok
	}
	for slot := range 2 {
		if a.isGate(n.In(1-slot)) || a.isStored(n.In(1-slot)) || a.isChosen(n.In(1-slot)) {
			return delta{slot: slot}, true
		}
	}
	return delta{}, false
}

// changes reports whether a use is the x of such an addition.
func (a *analysis) changes(u graph.Use) bool {
	d, ok := a.delta(u.Node)
	return ok && d.slot == u.Slot
}

// isGate reports whether v is x times keep - 1, possibly moved.
func (a *analysis) isGate(v *graph.Value) bool {
	n := ops.Root(v, ops.Moves|ops.Repeat).Producer()
	if !n.Is("Mul") || n.NumIn() != 2 {
		return false
	}
	for i := range 2 {
		sub := converted(n.In(i))
		if sub = ops.Root(sub, ops.Moves|ops.Repeat); !sub.Producer().Is("Sub") {
			continue
		}
		keep, one := sub.Producer().In(0), sub.Producer().In(1)
		if x, ok := a.scalar(one); ok && x == 1 && (a.Is(keep) || a.fed(keep)) {
			return true
		}
	}
	return false
}

// isStored reports whether v is the product of two constants, as a stored memory is: its vector times tau.
func (a *analysis) isStored(v *graph.Value) bool {
	n := ops.Root(v, ops.Moves|ops.Repeat).Producer()
	return n.Is("Mul") && n.NumIn() == 2 && a.Is(n.In(0)) && a.Is(n.In(1))
}

// isChosen reports whether v is a constant times a tau that the tokens choose.
func (a *analysis) isChosen(v *graph.Value) bool {
	n := ops.Root(v, ops.Moves|ops.Repeat).Producer()
	return n.Is("Mul") && n.NumIn() == 2 && a.elements(n.In(0)) > 1 && a.Is(n.In(0)) && ops.Root(n.In(1), ops.Moves).Producer().Is("Where") && a.fed(n.In(1))
}

// rootOver goes back from v through operators of the classes and through additions of earlier rewrites.
func (a *analysis) rootOver(v *graph.Value, c ops.Class) *graph.Value {
	for {
		v = ops.Root(v, c)
		d, ok := a.delta(v.Producer())
		if !ok {
			return v
		}
		v = v.Producer().In(d.slot)
	}
}

// root returns the value that v is a copy of, without additions of earlier rewrites. A stream may be converted once for the
// norm and once more for the join. Then neither copy depends on the other.
func (a *analysis) root(v *graph.Value) *graph.Value { return a.rootOver(v, ops.Copies) }

// places describes where a value x is changed, for sites that change all that reads it. The sites are given in the order in
// which they act: each sees what those before it make of x.
func (a *analysis) places(x *graph.Value, sites ...models.BakedAt) []models.Place {
	var out []models.Place
	var hooks []string
	v := x
	for _, at := range sites {
		p := models.Place{Own: models.Site{v}, Whole: true}
		hooks = append(hooks, at.Site.Name(at.Layer))
		for stored := a.stored[at]; ; {
			next := a.changed(v, at, &stored)
			if next == nil {
				break
			}
			v = next
		}
		for _, u := range v.Uses() {
			switch {
			case u.Node.Is("Shape") || a.shows(u.Node, hooks):
			case u.Node.Graph() != a.g:
				p.Missing = "a subgraph reads it"
			default:
				p.Uses = append(p.Uses, u)
			}
		}
		if n := x.Producer(); n != nil && v == x {
			a.fuse(&p, n)
		}
		if p.Missing != "" {
			p.Uses, p.Fused = nil, nil
		}
		out = append(out, p)
	}
	return out
}

// fuse records that a skip norm computes the stream and its norm at once.
func (a *analysis) fuse(p *models.Place, n *graph.Node) {
	switch norm := n.Out(0); {
	case n.Is("com.microsoft.EmbedLayerNormalization"):
		p.Missing = n.FullOp() + " computes the embeddings and their norm at once"
	case !skips(n) || norm == nil:
	case norm.IsOutput():
		p.Missing = n.FullOp() + " computes the stream and a norm of it that is an output of the model"
	case len(norm.Uses()) > 0:
		p.Fused = n
	}
}

// changed returns v with the next addition that an earlier rewrite made at a place, or nil if there is none. stored is what is
// left of the stored ones.
func (a *analysis) changed(v *graph.Value, at models.BakedAt, stored *models.Stored) *graph.Value {
	for _, u := range v.Uses() {
		d, ok := a.delta(u.Node)
		switch {
		case !ok || d.slot != u.Slot || u.Node.Graph() != a.g:
		case d.at == at:
			return u.Node.Out(0)
		case d.at != models.BakedAt{}:
		case stored.Gates > 0 && a.isGate(u.Node.In(1-d.slot)):
			stored.Gates--
			return u.Node.Out(0)
		case stored.Memories > 0 && a.isStored(u.Node.In(1-d.slot)):
			stored.Memories--
			return u.Node.Out(0)
		case stored.Chosen > 0 && a.isChosen(u.Node.In(1-d.slot)):
			stored.Chosen--
			return u.Node.Out(0)
		}
	}
	return nil
}

// shows reports whether all that a node computes are output ports of the given names.
func (a *analysis) shows(n *graph.Node, ports []string) bool {
	if !ops.Is(n, ops.Moves) || n.Graph() != a.g || !a.budget.Step() {
		return false
	}
	out := n.Out(0)
	if out.IsOutput() {
		name := out.Name()
		if owner := a.g.Owner(); owner != nil {
			name = owner.Out(slices.Index(a.g.Outputs(), out)).Name()
		}
		if !slices.Contains(ports, name) {
			return false
		}
	} else if len(out.Uses()) == 0 {
		return false
	}
	return !slices.ContainsFunc(out.Uses(), func(u graph.Use) bool { return !a.shows(u.Node, ports) })
}

// placeStream describes where the residual stream around the layers is changed, and makes resid_pre of each layer the value
// before the additions at that site.
func (a *analysis) placeStream(layers []*models.Layer) {
	first := layers[0]
	x := first.ResidPre[0]
	for x.Producer() != nil {
		d, ok := a.delta(x.Producer())
		if !ok && !x.Producer().Is("Identity", "Cast", "CastLike") {
			break
		}
		x = x.Producer().In(d.slot)
	}
	first.PreAt = a.places(x, models.BakedAt{Site: models.PortResidPre, Layer: 0})[0]
	first.ResidPre, first.Sized = models.Site{x}, x
	for i, l := range layers {
		sites := []models.BakedAt{{Site: models.PortResidPost, Layer: i}, {Site: models.PortResidPre, Layer: i + 1}}
		if l.ResidPost == nil { // the last block of a fused file
			l.PostAt = models.Place{Whole: true}
			a.fuse(&l.PostAt, l.ResidPostOut)
			continue
		}
		x := a.unfolded(l.ResidPost[0], models.PortResidPost.Name(i))
		at := a.places(x, sites...)
		l.PostAt = at[0]
		if a.facts.Rank(x) == 2 {
			l.PostAt = models.Place{Missing: "the file computes it as [batch*pos, d_model] and reads it in several shapes"}
		}
		if i+1 == len(layers) {
			continue
		}
		next := layers[i+1]
		next.PreAt = at[1]
		if l.PostAt.Missing != "" {
			next.PreAt, next.Sized = models.Place{Missing: l.PostAt.Missing}, next.ResidPre[0]
			continue
		}
		next.ResidPre, next.Sized = at[1].Own, x
	}
}

// unfolded returns v, or its Reshape to [batch, pos, d_model] if that is all that reads it, besides the port that shows it.
func (a *analysis) unfolded(v *graph.Value, hook string) *graph.Value {
	if a.facts.Rank(v) != 2 {
		return v
	}
	var readers []*graph.Node
	for _, u := range v.Uses() {
		if !u.Node.Is("Shape") && !a.shows(u.Node, []string{hook}) {
			readers = append(readers, u.Node)
		}
	}
	if len(readers) == 1 && readers[0].Is("Reshape") {
		return readers[0].Out(0)
	}
	return v
}

// skips reports whether a node adds its first two inputs before it normalises them. A skip norm of x and x - x does not: it
// is the norm of x alone, which an earlier rewrite separated from the sum.
func skips(n *graph.Node) bool {
	s := ops.Of(n).Norm
	if s == nil || !s.Skip {
		return false
	}
	zero := n.In(1).Producer()
	return !zero.Is("Sub") || zero.In(0) != n.In(0) || zero.In(1) != n.In(0)
}
