package recognise

import (
	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// unembed finds the graph output that is a projection of the normalised last residual stream; of several, the widest one. A
// file that ends in hidden states has none; its memories can still be made by the other encodings.
func (a *analysis) unembed(l *models.Layout, b *models.Body, last *models.Layer) {
	for _, out := range a.g.Outputs() {
		if a.depth(out) != len(b.Layers) {
			continue // a cache output, or a port in the middle
		}
		if w, bias := a.logits(out); w != nil && int(w.In) == l.DModel && int(w.Out) > l.Vocab {
			if n := a.finalNorm(w.Node.In(0), last); n != nil {
				l.Unembed, l.Vocab, b.Logits, b.BU, b.Norm = w, int(w.Out), out, bias, n
			}
		}
	}
	if b.Logits != nil {
		return
	}
	for _, out := range a.g.Outputs() { // no logits: the norm is what reads the last residual stream
		if a.depth(out) == len(b.Layers) {
			if n := a.finalNorm(out, last); n != nil {
				b.Norm = n
				return
			}
		}
	}
}

// picks are operations that move, convert or choose among values: what may stand between the last norm and the logits.
var picks = append([]string{"Slice", "Gather", "GatherND"}, through...)

// logits reads the projection that out comes from: biases may be added behind it, and all of it may be multiplied by a number,
// which becomes part of W_U. The biases are returned as they are met, the last one that is added first. nil when there is no
// projection, or when something else is done to the product.
func (a *analysis) logits(out *graph.Value) (w *weights.Weight, bias []*graph.Value) {
	factor := 1.0
	for v := out; v != nil && v.Producer() != nil; {
		n := v.Producer()
		if w := a.readProjection(n); w != nil {
			if b := biasOf(n); b != nil {
				bias = append(bias, b)
			}
			if factor != 1 && len(bias) > 0 {
				return nil, nil // b_U would be scaled, too
			}
			w.Alpha *= factor
			return w, bias
		}
		constant, other := constAnd(a, n)
		switch {
		case n.Is(picks...):
			v = n.In(0)
		case n.Is("Add") && constant != nil:
			v, bias = other, append(bias, constant)
		case n.Is("Mul") && constant != nil && len(a.floats(constant)) == 1:
			v, factor = other, factor*float64(a.floats(constant)[0])
		case n.Is("Mul"):
			v = integersBehind(n)
		default:
			v = nil
		}
	}
	return nil, nil
}

// integersBehind returns the product of integers that a Mul makes floats of, nil when it does something else; see scaled.
func integersBehind(mul *graph.Node) *graph.Value {
	for _, in := range mul.Inputs() {
		if c := in.Producer(); c.Is("Cast") {
			if p := c.In(0).Producer(); p != nil && scaled(p) == mul {
				return c.In(0)
			}
		}
	}
	return nil
}
