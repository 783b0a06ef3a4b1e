package recognise

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// A norm is one operator, or the operators that exporters write for it. LayerNorm subtracts the mean of x and divides the
// result by the square root of its mean square. RMSNorm does not subtract the mean:
//
//	LayerNorm  x → Sub(x, mean) = y → Pow 2 → ReduceMean → Add eps → Sqrt → Div(y, ·) → Mul gamma → Add beta
//	RMSNorm    x = y                → Pow 2 → ReduceMean → Add eps → Sqrt → Div(1, ·) → Mul(y, ·) → Mul gamma
//
// Div(y, s), Mul(y, Div(1, s)), Mul(y, Reciprocal(s)) and Pow(·, -0.5) are equivalent, and the type may be converted at any
// step. A gain of 1 + w is a constant like any other. Gamma and beta may be missing if they are all ones and zeros.

// norm reads the normalisation whose output is v, or returns nil if v is something else.
func (a *analysis) norm(v *graph.Value) *models.Norm {
	if v == nil || v.Producer() == nil {
		return nil
	}
	out, n := v, v.Producer()
	if o := ops.Of(n); o.Norm != nil && v.Index() == 0 {
		return a.operatorNorm(n, o.Norm)
	}
	if bn := a.batchNorm(n); bn != nil {
		return bn
	}
	norm := &models.Norm{Out: out}
	if n.Is("Add") {
		beta, rest := a.constAnd(n)
		if beta == nil {
			return nil
		}
		norm.Beta, v = beta, converted(rest)
		if o := ops.Of(v.Producer()); o.Norm != nil && v.Index() == 0 { // an operator without a slot for beta
			dressed := a.operatorNorm(v.Producer(), o.Norm)
			if dressed.Beta != nil {
				return nil
			}
			dressed.Beta, dressed.Out = beta, out
			return dressed
		}
	}
	norm.Node = v.Producer()
	if v.Producer().Is("Mul") {
		if gamma, rest := a.constAnd(v.Producer()); gamma != nil {
			norm.Gamma, v = gamma, rest
		}
	}
	u := a.unit(v)
	if u == nil {
		return nil
	}
	if norm.Node == nil || norm.Gamma == nil {
		norm.Node = u.node
	}
	norm.In, norm.Eps, norm.Kind = u.x, u.eps, u.kind
	return norm
}

// operatorNorm reads a norm that is one operator. ONNX Runtime writes a LayerNorm without beta as an RMSNorm of x minus its mean.
func (a *analysis) operatorNorm(n *graph.Node, s *ops.NormSlots) *models.Norm {
	out := &models.Norm{Node: n, Gamma: optional(n, s.Gamma), Beta: optional(n, s.Beta), Out: n.Out(0), Eps: n.Float("epsilon", s.Epsilon), Kind: models.LayerNorm}
	if s.Root {
		out.Kind = models.RMSNorm
	}
	if skips(n) || n.Is("com.microsoft.EmbedLayerNormalization") {
		return out // the operator computes the sum itself
	}
	out.In = n.In(0)
	if x := a.centred(n.In(0)); s.Root && x != nil {
		out.In, out.Kind = x, models.LayerNorm
	}
	return out
}

// optional returns an input slot of a table, in which 0 means that there is none.
func optional(n *graph.Node, slot int) *graph.Value {
	if slot == 0 {
		return nil
	}
	return n.In(slot)
}

// centred returns x if v is x minus its mean over the last axis, else nil.
func (a *analysis) centred(v *graph.Value) *graph.Value {
	sub := converted(v).Producer()
	if sub.Is("Sub") && a.isMean(sub.In(1), sub.In(0)) {
		return sub.In(0)
	}
	return nil
}

// unit is a norm before gamma and beta.
type unit struct {
	x    *graph.Value // the normalised value
	kind models.NormKind
	eps  float64
	node *graph.Node // computes x divided by its norm
}

// unit reads a division of x, or of x minus its mean, by its norm. It returns nil if v is something else.
func (a *analysis) unit(v *graph.Value) *unit {
	n := converted(v).Producer()
	var y, square *graph.Value // y over the square root of the mean of its squares
	var eps float64
	switch {
	case n.Is("Div"):
		y = n.In(0)
		square, eps = a.underRoot(n.In(1))
	case n.Is("Mul") && n.NumIn() == 2:
		for i := range 2 {
			if s, e := a.inverseRoot(n.In(i)); s != nil {
				y, square, eps = n.In(1-i), s, e
			}
		}
	}
	if square == nil {
		return nil
	}
	x, ofSquares := a.centred(y), a.centred(square)
	switch {
	case x != nil && ofSquares != nil && same(x, ofSquares):
		return &unit{x, models.LayerNorm, eps, n}
	case x == nil && same(y, square):
		return &unit{y, models.RMSNorm, eps, n}
	}
	return nil
}

// inverseRoot reads y and eps of 1 / Sqrt(mean(y²) + eps), in any of its forms.
func (a *analysis) inverseRoot(v *graph.Value) (y *graph.Value, eps float64) {
	switch n := converted(v).Producer(); {
	case n.Is("Reciprocal"):
		return a.underRoot(n.In(0))
	case n.Is("Div"):
		if one, ok := a.scalar(n.In(0)); ok && one == 1 {
			return a.underRoot(n.In(1))
		}
	case n.Is("Pow"):
		if half, ok := a.scalar(n.In(1)); ok && half == -0.5 {
			return a.meanSquare(n.In(0))
		}
	}
	return nil, 0
}

// underRoot reads y and eps of Sqrt(mean(y²) + eps).
func (a *analysis) underRoot(v *graph.Value) (y *graph.Value, eps float64) {
	switch n := converted(v).Producer(); {
	case n.Is("Sqrt"):
		return a.meanSquare(n.In(0))
	case n.Is("Pow"):
		if half, ok := a.scalar(n.In(1)); ok && half == 0.5 {
			return a.meanSquare(n.In(0))
		}
	}
	return nil, 0
}

// meanSquare reads y and eps of mean(y²) + eps over the last axis. An exporter omits an eps too small for float32 (Helium).
func (a *analysis) meanSquare(v *graph.Value) (y *graph.Value, eps float64) {
	mean := v
	if n := converted(v).Producer(); n.Is("Add") {
		constant, other := a.constAnd(n)
		x, ok := a.scalar(constant)
		if !ok {
			return nil, 0
		}
		mean, eps = other, x
	}
	square := converted(a.meanOf(mean)).Producer()
	switch {
	case square.Is("Pow"):
		if two, ok := a.scalar(square.In(1)); !ok || two != 2 {
			return nil, 0
		}
	case !square.Is("Mul") || !same(square.In(0), square.In(1)):
		return nil, 0
	}
	return square.In(0), eps
}

// batchNorm reads the form that TensorFlow writes (tf.nn.batch_normalization), where add is the last node:
//
//	x*r + (beta - mean*r),  r = gamma / Sqrt(mean((x - mean)²) + eps)
func (a *analysis) batchNorm(add *graph.Node) *models.Norm {
	if !add.Is("Add") || add.NumIn() != 2 {
		return nil
	}
	for i := range 2 {
		scaled, shift := add.In(i).Producer(), add.In(1-i).Producer()
		if !scaled.Is("Mul") || !shift.Is("Sub") || !a.Is(shift.In(0)) {
			continue
		}
		for j := range 2 {
			r := scaled.In(j)
			if !r.Producer().Is("Mul") {
				continue
			}
			gamma, inverse := a.constAnd(r.Producer())
			if !inverse.Producer().Is("Reciprocal") {
				continue
			}
			y, eps := a.underRoot(inverse.Producer().In(0))
			x := a.centred(y)
			mean := shift.In(1).Producer()
			if x == nil || !same(scaled.In(1-j), x) || !mean.Is("Mul") {
				continue
			}
			if mean.In(0) == r && a.isMean(mean.In(1), x) || mean.In(1) == r && a.isMean(mean.In(0), x) {
				return &models.Norm{Node: add, In: x, Gamma: gamma, Beta: shift.In(0), Out: add.Out(0), Eps: eps, Kind: models.LayerNorm}
			}
		}
	}
	return nil
}

// isMean reports whether v is the mean of x over the last axis.
func (a *analysis) isMean(v, x *graph.Value) bool { return same(a.meanOf(v), x) }

// meanOf returns the value whose mean over the last axis is v, or nil if v is no such mean.
func (a *analysis) meanOf(v *graph.Value) *graph.Value {
	n := converted(v).Producer()
	if n.Is("GlobalAveragePool") { // of [batch, pos, d_model]
		return n.In(0)
	}
	axes := n.Ints("axes")
	if n.In(1) != nil {
		axes, _ = a.facts.Ints(n.In(1))
	}
	if !n.Is("ReduceMean") || len(axes) != 1 {
		return nil
	}
	if last := int64(a.facts.Rank(n.In(0)) - 1); axes[0] != -1 && axes[0] != last && !(last < 0 && axes[0] == 2) {
		return nil
	}
	return n.In(0)
}

// normsOf returns the norms that read v, directly or after conversions.
func (a *analysis) normsOf(v *graph.Value) []*models.Norm {
	var out []*models.Norm
	found := func(n *models.Norm) {
		for _, o := range out {
			if o.Out == n.Out {
				return
			}
		}
		out = append(out, n)
	}
	for u, at := range ops.Readers(a.budget, v, ops.Convert) {
		n := u.Node
		switch o := ops.Of(n); {
		case o.Norm != nil && !skips(n) && u.Slot == 0:
			found(a.operatorNorm(n, o.Norm))
		case n.Is("Mul", "Div"):
			if x := a.unit(n.Out(0)); x != nil && same(x.x, at) {
				found(a.dressed(n.Out(0)))
			}
		case n.Is("Sub") && u.Slot == 0 && a.centred(n.Out(0)) != nil:
			for u := range ops.Readers(a.budget, n.Out(0), ops.Convert) {
				if o := ops.Of(u.Node); o.Norm != nil && o.Norm.Root && !skips(u.Node) && u.Slot == 0 {
					found(a.operatorNorm(u.Node, o.Norm))
				} else if x := a.unit(u.Node.Out(0)); u.Node.Is("Mul", "Div") && x != nil && same(x.x, at) {
					found(a.dressed(u.Node.Out(0)))
				}
			}
		}
	}
	return out
}

// dressed follows a normalised x to the place where gamma and beta are applied. An RMSNorm has no beta: a constant added to
// it after attention may be a memory of an earlier rewrite.
func (a *analysis) dressed(v *graph.Value) *models.Norm {
	applied := []string{"Mul", "Add"}
	if x := a.unit(v); x != nil && x.kind == models.RMSNorm {
		applied = applied[:1]
	}
	for _, op := range applied {
		for u := range ops.Readers(a.budget, v, ops.Convert) {
			if c, _ := a.constAnd(u.Node); u.Node.Is(op) && c != nil && a.elements(c) != 1 {
				v = u.Node.Out(0)
				break
			}
		}
	}
	return a.norm(v)
}
