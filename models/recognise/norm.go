package recognise

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// finalNorm reads the norm that v comes out of, nil unless it normalises what the last block gives: a head on top of the
// decoder may have a norm of its own.
func (a *analysis) finalNorm(v *graph.Value, last *models.Layer) *models.Norm {
	n := a.norm(v)
	switch {
	case n == nil:
		return nil
	case last.ResidPost == nil:
		if n.Node != last.ResidPostOut {
			n = nil
		}
		return n
	case n.Node == last.ResidPost[0].Producer(): // a skip norm
		return n
	}
	for x := n.In; x != nil; x = x.Producer().In(0) {
		if x == last.ResidPost[0] {
			return n
		}
		if !x.Producer().Is(picks...) {
			break
		}
	}
	a.stray = n
	return nil
}

// norm reads the normalisation that v comes out of.
func (a *analysis) norm(v *graph.Value) *models.Norm {
	for v != nil && v.Producer().Is(picks...) {
		v = v.Producer().In(0)
	}
	if v == nil || v.Producer() == nil {
		return nil
	}
	if n := v.Producer(); n.Is("Add") {
		beta, scaled := constAnd(a, n)
		if beta == nil {
			return a.batchNorm(n)
		}
		norm := a.scaledNorm(a.converted(scaled))
		if norm != nil {
			norm.Beta, norm.Out = beta, v
		}
		return norm
	}
	return a.scaledNorm(v)
}

// scaledNorm reads a normalisation up to gamma, one operator or the expansion of opset 16 and before:
//
//	x → ReduceMean, Sub, Pow 2, ReduceMean, Add eps, Sqrt, Div → Mul(gamma)
//
// What divides x itself is an RMSNorm and is not read. nanoGPT can do without beta.
func (a *analysis) scaledNorm(v *graph.Value) *models.Norm {
	n := v.Producer()
	switch {
	case n.Is("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"):
		return &models.Norm{Node: n, In: a.centred(n.In(0)), Gamma: n.In(1), Beta: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-5)}
	case n.Is("com.microsoft.SkipLayerNormalization"):
		return &models.Norm{Node: n, Gamma: n.In(2), Beta: n.In(3), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
	case n.Is("com.microsoft.SkipSimplifiedLayerNormalization"):
		return &models.Norm{Node: n, Gamma: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
	case n.Is("Div"):
		if x, eps, ok := a.standardised(n); ok { // an optimiser leaves out a gamma of ones
			return &models.Norm{Node: n, In: x, Out: v, Eps: eps}
		}
	case n.Is("Mul"):
		gamma, unit := constAnd(a, n)
		if gamma == nil {
			return nil
		}
		if x, eps, ok := a.standardised(a.converted(unit).Producer()); ok {
			return &models.Norm{Node: n, In: x, Gamma: gamma, Out: v, Eps: eps}
		}
	}
	return nil
}

// rms reports whether a norm divides by the root mean square of the stream itself. ONNX Runtime writes a LayerNorm without
// beta as such a norm of x minus its mean, which it is not.
func (a *analysis) rms(n *models.Norm) bool {
	return n.Node.Is("RMSNormalization", "SimplifiedLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization") && a.centred(n.Node.In(0)) == n.Node.In(0)
}

// centred returns x where v is x minus its mean, else v.
func (a *analysis) centred(v *graph.Value) *graph.Value {
	if sub := a.converted(v).Producer(); sub.Is("Sub") && a.converted(sub.In(1)).Producer().Is("ReduceMean") {
		return sub.In(0)
	}
	return v
}

// converted returns what v was before conversions of its type.
func (a *analysis) converted(v *graph.Value) *graph.Value {
	for v != nil && v.Producer().Is("Cast", "Identity", "QuantizeLinear", "DequantizeLinear") {
		v = v.Producer().In(0)
	}
	return v
}

// standardised reads x and eps of Div(x - mean, Sqrt(mean((x - mean)²) + eps)).
func (a *analysis) standardised(div *graph.Node) (x *graph.Value, eps float64, ok bool) {
	if !div.Is("Div") {
		return nil, 0, false
	}
	x, eps = a.deviation(div.In(1))
	sub := a.converted(div.In(0)).Producer()
	return x, eps, x != nil && sub.Is("Sub") && a.same(sub.In(0), x) && a.isMean(sub.In(1), x)
}

// batchNorm reads what TensorFlow writes (tf.nn.batch_normalization), add being the last node:
//
//	x*r + (beta - mean*r),  r = gamma / Sqrt(mean((x - mean)²) + eps)
func (a *analysis) batchNorm(add *graph.Node) *models.Norm {
	for i, in := range add.Inputs() {
		scaled, shift := in.Producer(), add.In(1-i).Producer()
		if !scaled.Is("Mul") || !shift.Is("Sub") || !a.is(shift.In(0)) {
			continue
		}
		for j, r := range scaled.Inputs() {
			gamma, inverse := a.gammaAnd(r.Producer())
			if !inverse.Is("Reciprocal") {
				continue
			}
			x, eps := a.deviation(inverse.In(0))
			mean := shift.In(1).Producer()
			if x == nil || !a.same(scaled.In(1-j), x) || !mean.Is("Mul") {
				continue
			}
			if mean.In(0) == r && a.isMean(mean.In(1), x) || mean.In(1) == r && a.isMean(mean.In(0), x) {
				return &models.Norm{Node: add, In: x, Gamma: gamma, Beta: shift.In(0), Out: add.Out(0), Eps: eps}
			}
		}
	}
	return nil
}

// gammaAnd splits a product with a constant into the constant and what computes the other operand.
func (a *analysis) gammaAnd(mul *graph.Node) (gamma *graph.Value, other *graph.Node) {
	if !mul.Is("Mul") {
		return nil, nil
	}
	gamma, v := constAnd(a, mul)
	return gamma, v.Producer()
}

// deviation reads x and eps of Sqrt(mean((x - mean)²) + eps); x is nil when v is something else.
func (a *analysis) deviation(v *graph.Value) (x *graph.Value, eps float64) {
	sqrt := a.converted(v).Producer()
	if !sqrt.Is("Sqrt") || !a.converted(sqrt.In(0)).Producer().Is("Add") {
		return nil, 0
	}
	constant, variance := constAnd(a, a.converted(sqrt.In(0)).Producer())
	square := a.converted(a.meanOf(variance)).Producer()
	switch {
	case square.Is("Pow"):
		if two := a.floats(square.In(1)); len(two) != 1 || two[0] != 2 {
			return nil, 0
		}
	case !square.Is("Mul") || !a.same(square.In(0), square.In(1)):
		return nil, 0
	}
	sub := a.converted(square.In(0)).Producer()
	if !sub.Is("Sub") || !a.isMean(sub.In(1), sub.In(0)) {
		return nil, 0
	}
	if f := a.floats(constant); len(f) == 1 {
		eps = float64(f[0])
	}
	return sub.In(0), eps
}

// isMean reports whether v is the mean of x over the last axis.
func (a *analysis) isMean(v, x *graph.Value) bool { return a.same(a.meanOf(v), x) }

// meanOf returns what v is the mean of over the last axis, nil when it is no such mean.
func (a *analysis) meanOf(v *graph.Value) *graph.Value {
	n := a.converted(v).Producer()
	if n.Is("GlobalAveragePool") { // of [batch, pos, d_model]
		return n.In(0)
	}
	axes := n.Ints("axes")
	if n.In(1) != nil {
		axes, _ = a.ints(n.In(1))
	}
	if !n.Is("ReduceMean") || len(axes) != 1 || axes[0] != -1 && axes[0] != 2 {
		return nil
	}
	return n.In(0)
}

// same reports whether two values differ by conversions at most.
func (a *analysis) same(v, w *graph.Value) bool { return v != nil && a.converted(v) == a.converted(w) }
