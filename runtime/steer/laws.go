package steer

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// law is an equation between what the ports of a layer give in one run. It says nothing about a layer that lacks one of its ports.
type law struct {
	name  string
	what  string                                   // the equation
	ports []models.PortKind                        // that both sides are computed from
	of    func(*models.Layout, *models.Layer) bool // which layers it is about; nil: all
	sides func(*outcome, *law, *models.Layer) (sides, error)
	by    string // the matrix between the two sides; "" for none
	each  bool   // [Verify] reports it for each layer
}

// sides are the two sides of an equation; none where it says nothing.
type sides struct{ got, want []float64 }

// laws are what holds in every decoder, whatever its family and exporter. To add one, write a line.
var laws = []law{
	{"heads add up to out", "result + b_O = out", kinds(models.PortResult, models.PortOut), joinsLater, heads, "W_O", true},
	{"heads add up to attn_out", "result + b_O = attn_out", kinds(models.PortResult, models.PortAttnOut), joinsAtOnce, heads, "W_O", true},
	{"heads add up to attn_out times a number", "number * result + b_O = attn_out", kinds(models.PortResult, models.PortAttnOut), joinsScaled, scaledHeads, "W_O", true},
	{"W_O gives attn_out", "out = attn_out", kinds(models.PortOut, models.PortAttnOut), joinsAtOnce, addUp, "", false},
	{streamLaw, "resid_pre + attn_out = resid_mid", kinds(models.PortResidPre, models.PortAttnOut, models.PortResidMid), nil, addUp, "", false},
	{streamLaw, "resid_mid + mlp_out = resid_post", kinds(models.PortResidMid, models.PortMLPOut, models.PortResidPost), nil, addUp, "", false},
	{streamLaw, "resid_pre + attn_out + mlp_out = resid_post", kinds(models.PortResidPre, models.PortAttnOut, models.PortMLPOut, models.PortResidPost), nil, addUp, "", false},
	{streamLaw, "resid_post of the layer before = resid_pre", kinds(models.PortResidPost, models.PortResidPre), nil, follows, "", false},
	{"rows of the pattern add up to 1", "sum of pattern = 1", kinds(models.PortPattern), attendsWholly, rowsOfOne, "", false},
	{"no position attends to a later one", "pattern of later positions = 0", kinds(models.PortPattern), nil, causal, "", false},
	{"logits follow from the residual stream", "unembed(norm(resid_post)) = logits", kinds(models.PortResidPost), unembeds, logitsOf, "W_U", false},
}

const streamLaw = "the residual stream adds up"

func kinds(k ...models.PortKind) []models.PortKind { return k }

// Bounds of the laws, in parts of the largest number, at least 1. A host adds up in another order: the sum of a few hundred
// products of float32 numbers differs in the last digits. Quantised activations differ by their own rounding.
const (
	floatBound     = 1e-5
	halfBound      = 1e-2 // 16-bit floats carry three digits
	quantisedBound = 5e-2
)

// about reports whether a law is about a layer whose ports are there or can be added.
func (w *law) about(l *models.Layout, x *models.Layer) bool {
	return (w.of == nil || w.of(l, x)) && !slices.ContainsFunc(w.ports, func(k models.PortKind) bool { return x.Missing[string(k)] != "" })
}

// bound is how far the sides of a law may be apart in a model, and why it is not the least bound.
func (w *law) bound(l *models.Layout, x *models.Layer) (bound float64, note string) {
	m := map[string]*weights.Weight{"W_O": x.WO, "W_U": l.Unembed}[w.by]
	switch {
	case m != nil && m.Scale != nil && roundsActivations(l):
		return quantisedBound, "the model rounds activations to 8 bits"
	case m != nil && m.Store == nil: // in blocks, which the operator may be alone to read
		return halfBound, "blockwise quantised " + w.by
	case inHalf(l):
		return halfBound, "float16"
	}
	return floatBound, ""
}

// outcome is what a run gave.
type outcome struct {
	layout *models.Layout
	out    map[string]*graph.Tensor
	added  map[models.BakedAt][]float64     // what memories added at a site, [batch, pos, d_model] or [d_model]
	stored map[models.BakedAt]models.Stored // places where the file itself adds what is not known here
}

// finding is how far the sides of a law are apart at a layer.
type finding struct {
	*law
	layer int
	apart float64
	bound float64
	note  string
}

// lawPorts are the ports that the laws need in a model and man does not have.
func lawPorts(l *models.Layout, man *models.Manifest) []rewrite.Expose {
	var out []rewrite.Expose
	for _, k := range rewrite.Kinds {
		x := rewrite.Expose{Kind: k}
		for i, layer := range l.Bodies[0].Layers {
			needed := slices.ContainsFunc(laws, func(w law) bool { return w.about(l, layer) && slices.Contains(w.ports, k.Port) })
			if needed && man.Port(k.Port.Name(i)) == nil {
				x.Layers = append(x.Layers, i)
			}
		}
		if x.Layers != nil {
			out = append(out, x)
		}
	}
	return out
}

// findings measures the laws.
func (r *outcome) findings() ([]finding, error) {
	var out []finding
	for i := range laws {
		w := &laws[i]
		for _, x := range r.layout.Bodies[0].Layers {
			if !w.about(r.layout, x) {
				continue
			}
			s, err := w.sides(r, w, x)
			if err != nil {
				return nil, fmt.Errorf("layer %d: %s: %w", x.Index, w.what, err)
			}
			if s.want != nil {
				f := finding{law: w, layer: x.Index, apart: apart(s.got, s.want)}
				f.bound, f.note = w.bound(r.layout, x)
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// apart is the largest difference of two sides, in parts of the largest number of the second, at least 1. What is no number on any
// side is infinitely far from everything.
func apart(got, want []float64) float64 {
	worst, largest := 0.0, 1.0
	for i := range want {
		worst, largest = max(worst, math.Abs(got[i]-want[i])), max(largest, math.Abs(want[i]))
	}
	if worst /= largest; math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst
}

// port is what a port gave at a layer, nil when there is none.
func (r *outcome) port(k models.PortKind, layer int) ([]float64, error) {
	t := r.out[k.Name(layer)]
	if t == nil {
		return nil, nil
	}
	return wide(t)
}

// wide is a tensor in double precision.
func wide(t *graph.Tensor) ([]float64, error) {
	x, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(x))
	for i := range x {
		out[i] = float64(x[i])
	}
	return out, nil
}

// addUp says that the last port is the sum of the others and of the memories that were added at them.
func addUp(r *outcome, w *law, l *models.Layer) (s sides, err error) {
	n := len(w.ports) - 1
	to := w.ports[n]
	if s.want, err = r.port(to, l.Index); err != nil || s.want == nil {
		return sides{}, err
	}
	s.got = make([]float64, len(s.want))
	for _, k := range w.ports[:n] {
		at := models.BakedAt{Site: k, Layer: l.Index}
		x, err := r.port(k, l.Index)
		if err != nil || x == nil || r.stored[at] != (models.Stored{}) {
			return sides{}, err
		}
		if len(x) != len(s.want) {
			return sides{}, fmt.Errorf("%s has %d numbers, %s %d", k, len(x), to, len(s.want))
		}
		more := r.added[at]
		for i := range s.got {
			if s.got[i] += x[i]; more != nil {
				s.got[i] += more[i%len(more)]
			}
		}
	}
	return s, nil
}

// follows says that a layer reads the stream that the one before it left.
func follows(r *outcome, w *law, l *models.Layer) (s sides, err error) {
	if l.Index == 0 {
		return sides{}, nil
	}
	at := models.BakedAt{Site: models.PortResidPost, Layer: l.Index - 1}
	if s.got, err = r.port(at.Site, at.Layer); err != nil || s.got == nil || r.stored[at] != (models.Stored{}) {
		return sides{}, err
	}
	if more := r.added[at]; more != nil {
		for i := range s.got {
			s.got[i] += more[i%len(more)]
		}
	}
	if s.want, err = r.port(models.PortResidPre, l.Index); err == nil && s.want != nil && len(s.got) != len(s.want) {
		err = fmt.Errorf("%d and %d numbers", len(s.got), len(s.want))
	}
	return s, err
}

// heads says that the results of all heads and b_O add up to the second port.
func heads(r *outcome, w *law, l *models.Layer) (sides, error) { return r.heads(w.ports[1], l, false) }

// scaledHeads says the same of a file that multiplies by a number in the product itself, and so computes the output of W_O
// nowhere: all of the port is the sum times one number.
func scaledHeads(r *outcome, w *law, l *models.Layer) (sides, error) {
	return r.heads(w.ports[1], l, true)
}

func (r *outcome) heads(to models.PortKind, l *models.Layer, scaled bool) (s sides, err error) {
	result, err := r.port(models.PortResult, l.Index)
	if err != nil || result == nil {
		return sides{}, err
	}
	if s.want, err = r.port(to, l.Index); err != nil || s.want == nil {
		return sides{}, err
	}
	d, h := r.layout.DModel, r.layout.Heads
	if len(result) != h*len(s.want) {
		return sides{}, fmt.Errorf("%d numbers of %d heads, %d of %s", len(result), h, len(s.want), to)
	}
	s.got = make([]float64, len(s.want))
	for k := range s.got {
		for head := range h {
			s.got[k] += result[(k/d*h+head)*d+k%d]
		}
	}
	if scaled {
		factor := ratio(s.want, s.got)
		for k := range s.got {
			s.got[k] *= factor
		}
	}
	for _, b := range l.BO {
		x, err := weights.Vector(b)
		if err != nil {
			return sides{}, fmt.Errorf("b_O: %w", err)
		}
		for k := range s.got {
			s.got[k] += float64(x[k%d%len(x)])
		}
	}
	return s, nil
}

// ratio is the number that times y is nearest to x.
func ratio(x, y []float64) float64 {
	xy, yy := 0.0, 0.0
	for i := range y {
		xy, yy = xy+x[i]*y[i], yy+y[i]*y[i]
	}
	return xy / yy
}

// rowsOfOne says that attention probabilities are that. Each position attends at least to itself, so no row is 0.
func rowsOfOne(r *outcome, w *law, l *models.Layer) (s sides, err error) {
	p, err := r.port(w.ports[0], l.Index)
	if err != nil || p == nil {
		return sides{}, err
	}
	dims := r.out[w.ports[0].Name(l.Index)].Dims
	for row := range slices.Chunk(p, int(dims[len(dims)-1])) {
		total := 0.0
		for _, x := range row {
			total += x
		}
		s.got, s.want = append(s.got, total), append(s.want, 1)
	}
	return s, nil
}

// causal says that no position attends to a later one. It says nothing of a run with a cache, which has more keys than queries.
func causal(r *outcome, w *law, l *models.Layer) (s sides, err error) {
	p, err := r.port(w.ports[0], l.Index)
	if err != nil || p == nil {
		return sides{}, err
	}
	dims := r.out[w.ports[0].Name(l.Index)].Dims
	if len(dims) < 2 || dims[len(dims)-1] != dims[len(dims)-2] {
		return sides{}, nil
	}
	n := int(dims[len(dims)-1])
	for i, x := range p {
		if query, key := i/n%n, i%n; key > query {
			s.got, s.want = append(s.got, x), append(s.want, 0)
		}
	}
	return s, nil
}

// broken are the laws that do not hold, in words; slack is how many times the bound is allowed.
func (r *outcome) broken(slack float64) []string {
	var bad []string
	found, err := r.findings()
	if err != nil {
		bad = append(bad, err.Error())
	}
	for _, f := range found {
		if !(f.apart <= slack*f.bound) {
			bad = append(bad, fmt.Sprintf("layer %d: %s: %g apart, want %g", f.layer, f.what, f.apart, f.bound))
		}
	}
	return bad
}

// Which layers a law is about.
func joinsLater(_ *models.Layout, x *models.Layer) bool  { return x.PostNorm != nil || x.Scaled }
func joinsAtOnce(l *models.Layout, x *models.Layer) bool { return !joinsLater(l, x) }
func joinsScaled(_ *models.Layout, x *models.Layer) bool {
	return x.Scaled && x.Missing[string(models.PortOut)] != ""
}

// attendsWholly: an attention sink (GPT-OSS) takes a part of each row, which the file cuts off.
func attendsWholly(_ *models.Layout, x *models.Layer) bool {
	v := x.Pattern
	for v != nil && ops.Is(v.Producer(), ops.Copies) {
		v = v.Producer().In(0)
	}
	return v == nil || !ops.Is(v.Producer(), ops.Pick)
}

// unembeds: some forms of W_U are run, not read (bitsandbytes).
func unembeds(l *models.Layout, x *models.Layer) bool {
	return x.Index == l.Layers-1 && l.Logits() != nil && l.Bodies[0].Norm != nil && l.Unembed != nil && (l.Unembed.Store != nil || l.Unembed.Block != nil)
}

// inHalf reports whether the model computes in 16 bits: W_O is stored so, or its scales are, or values are converted.
func inHalf(l *models.Layout) bool {
	short := func(d graph.DType) bool { return d == graph.Float16 || d == graph.BFloat16 }
	b := l.Bodies[0]
	w := b.Layers[0].WO
	return slices.ContainsFunc([]*graph.Const{w.Store, w.Scale, w.Node.In(2).Const()}, func(c *graph.Const) bool { return c != nil && short(c.DType) }) ||
		slices.ContainsFunc(b.Graph.Nodes(), func(n *graph.Node) bool { return n.Is("Cast") && short(graph.DType(n.Int("to", 0))) })
}

// roundsActivations reports whether an operator turns floats into 8 bits. Where only weights are quantised, heads add up as in
// any file.
func roundsActivations(l *models.Layout) bool {
	return slices.ContainsFunc(l.Bodies[0].Graph.Nodes(), func(n *graph.Node) bool {
		return n.Is("QuantizeLinear", "DynamicQuantizeLinear", "com.microsoft.DynamicQuantizeMatMul", "com.microsoft.QuantizeLinear")
	})
}
