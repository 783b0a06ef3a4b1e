package recognise

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// unembed finds the graph output that is a projection of the normalised last residual stream, the widest one if there are
// several. A file that ends in hidden states has none; its memories can still be made by the other encodings.
func (a *analysis) unembed(l *models.Layout, b *models.Body, last *models.Layer) {
	for _, out := range a.g.Outputs() {
		if a.depth(out) != len(b.Layers) {
			continue // a cache output, or a port in the middle
		}
		if e := a.logits(out); e != nil && int(e.w.In) == l.DModel && int(e.w.Out) > l.Vocab {
			if n := a.finalNorm(e.w.Node.In(0), last); n != nil {
				l.Unembed, l.Vocab, l.SoftCap = e.w, int(e.w.Out), e.cap
				b.Logits, b.BU, b.Norm = out, e.bias, n
			}
		}
	}
	if b.Logits != nil {
		return
	}
	for _, out := range a.g.Outputs() { // no logits: the norm that reads the last residual stream
		if a.depth(out) == len(b.Layers) {
			if n := a.finalNorm(out, last); n != nil {
				b.Norm = n
				return
			}
		}
	}
}

// finalNorm reads the norm whose output is v. It returns nil unless the norm reads the last block's output, because a head
// on top of the decoder may have its own norm.
func (a *analysis) finalNorm(v *graph.Value, last *models.Layer) *models.Norm {
	n := a.normBefore(v)
	switch {
	case n == nil:
		return nil
	case n.In == nil: // a skip norm
		if n.Node == last.ResidPostOut || last.ResidPost != nil && n.Node == last.ResidPost[0].Producer() {
			return n
		}
	case last.ResidPost != nil && a.rootOver(n.In, ops.Moves|ops.Pick) == a.rootOver(last.ResidPost[0], ops.Moves|ops.Pick):
		return n
	}
	a.stray = n.Node
	return nil
}

// normBefore reads the norm that v comes from. v may be moved, converted, or restricted to some positions.
func (a *analysis) normBefore(v *graph.Value) *models.Norm {
	for v != nil {
		if n := a.norm(v); n != nil {
			return n
		}
		n := v.Producer()
		if !ops.Is(n, ops.Moves|ops.Pick) {
			return nil
		}
		v = n.In(0)
	}
	return nil
}

// ending is the part that turns the normalised stream into logits.
type ending struct {
	w    *weights.Weight
	bias []*graph.Value // the last term added comes first
	cap  float64        // of a soft cap; 0 for none
}

// logits reads the projection that out comes from. Biases may be added to the product. The result may be multiplied by a
// number (Cohere, Granite), which becomes part of W_U, or soft-capped (Gemma 2). cap * tanh(x / cap) is close to x for
// small x, so the cap is not part of W_U. logits returns nil if there is no projection or if any other operation is applied
// to the product.
func (a *analysis) logits(out *graph.Value) *ending {
	e := &ending{}
	factor := 1.0
	for v := out; v != nil && v.Producer() != nil && a.budget.Step(); {
		n := v.Producer()
		if w := a.readProjection(n); w != nil {
			if b := biasOf(n); b != nil {
				e.bias = append(e.bias, b)
			}
			if factor != 1 && len(e.bias) > 0 {
				return nil // this would scale b_U too
			}
			own := *w
			own.Alpha *= factor
			e.w = &own
			return e
		}
		constant, other := a.constAnd(n)
		x, isNumber := a.scalar(constant)
		switch {
		case ops.Is(n, ops.Moves|ops.Pick):
			v = n.In(0)
		case n.Is("Add") && constant != nil && e.cap == 0:
			v, e.bias = other, append(e.bias, constant)
		case n.Is("Mul") && isNumber:
			v, factor = other, factor*x
		case n.Is("Div") && isNumber && n.In(1) == constant && x != 0:
			v, factor = other, factor/x
		case n.Is("Tanh") && e.cap == 0 && len(e.bias) == 0 && factor > 0:
			v, e.cap = n.In(0), factor
		case n.Is("Mul"):
			v = integersBefore(n)
		default:
			v = nil
		}
	}
	return nil
}

// integersBefore returns the product of integers that a Mul converts to floats, or nil if the Mul does something else; see
// scaled.
func integersBefore(mul *graph.Node) *graph.Value {
	for i := range mul.NumIn() {
		if c := mul.In(i).Producer(); c.Is("Cast") {
			if p := c.In(0).Producer(); p != nil && scaled(p) == mul {
				return c.In(0)
			}
		}
	}
	return nil
}
