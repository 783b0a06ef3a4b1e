package rewrite

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// addInputs adds the ports to the main graph. Branches read them from there.
func (r Request) addInputs(e *graph.Edit, l *models.Layout) map[string]*graph.Value {
	out := map[string]*graph.Value{}
	for port, layer := range r.inputs() {
		out[port.Name(layer)] = e.Input(port.Name(layer), port.InputType(layer, l))
	}
	return out
}

// inject changes the value x of a site as requested, by additions, so that x is exactly itself when everything is off:
//
//	x ─┬──────────────────────────(+)──(+)── to the readers of x
//	   └─(×)─ keep - 1 ────────────┘    │
//	memory ─(×)─ tau ───────────────────┘
//
// Ports act first, then what is stored in the file. For a site that joins the stream, only the join gets the changed value.
// Other sites change for all that reads them, except for the ports that show them.
func (p *patch) inject(site models.Intervention, l *models.Layer, req Request, inputs map[string]*graph.Value) {
	at := site.At(l)
	port := func(kind models.PortKind) (string, *graph.Value) {
		name := site.Site.Input(kind).Name(l.Index)
		return name, inputs[name]
	}
	s := &steering{patch: p, site: site, layer: l, place: at}
	if name, memory := port(models.PortMemory); memory != nil {
		_, tau := port(models.PortTau)
		s.add(name, p.node("Mul", name+"/scaled", memory, tau))
	}
	if name, keep := port(models.PortKeep); keep != nil {
		s.gate(name, keep)
	}
	for i, b := range req.Bake {
		if b.At() == (models.BakedAt{Site: site.Site, Layer: l.Index}) {
			s.bake(site.Name(l.Index, fmt.Sprintf("baked_%d", i)), b)
		}
	}
	s.done()
}

// steering is an unfinished change of a site.
type steering struct {
	*patch
	site  models.Intervention
	layer *models.Layer
	place models.Place

	own *graph.Value // x, once it is needed
	now *graph.Value // the changed value; nil before the first change
	was *graph.Value // the value that the readers of x read before
}

// x returns the model's own value.
func (s *steering) x() *graph.Value {
	if s.own == nil {
		terms := s.place.Own
		if len(terms) == 0 {
			s.own = s.sumOf(s.place.Fused, s.site.Site.Name(s.layer.Index)+"/sum")
		} else {
			s.own = s.total(s.site.Name(s.layer.Index, "own"), terms)
		}
	}
	return s.own
}

// append adds v, which has the axes of the port, to the changed value.
func (s *steering) append(name string, v *graph.Value) {
	if s.now == nil {
		if len(s.place.Uses) > 0 {
			s.was = s.read(s.place.Uses[0])
		} else {
			s.was = s.x()
		}
		s.now = s.was
	}
	s.now = s.node("Add", name+"/injected", s.now, v)
}

// add adds a memory, which is float32.
func (s *steering) add(name string, v *graph.Value) {
	ref := s.reference()
	s.append(name, s.fromPort(name, s.site, s.layer, ref, s.like(name, v, s.streamType(s.layer, s.place), ref)))
}

// gate adds x times keep - 1.
func (s *steering) gate(name string, keep *graph.Value) {
	x, one := s.x(), s.constant("one", graph.NewFloat32([]float32{1}))
	less := s.like(name, s.node("Sub", name+"/less_one", keep, one), s.streamType(s.layer, s.place), x)
	dropped := s.node("Mul", name+"/dropped", s.toPort(name, s.site, s.layer, x), less)
	s.append(name, s.fromPort(name, s.site, s.layer, x, dropped))
}

// bake adds what a stored intervention adds.
func (s *steering) bake(name string, b Bake) {
	if b.Keep != nil {
		keep := s.constant(name+"/keep", b.keeps(s.layout))
		if b.Tokens != nil {
			keep = s.chosen(name+"/keep", b, keep, 1)
		}
		s.gate(name+"/keep", keep)
	}
	dims := b.dims(s.layout)
	switch {
	case b.Vector == nil:
	case b.Tokens != nil:
		tau := s.chosen(name+"/tau", b, s.constant(name+"/tau", graph.NewFloat32([]float32{float32(b.Tau)})), 0)
		s.add(name, s.node("Mul", name+"/scaled", s.constant(name, graph.NewFloat32(b.Vector, dims...)), tau))
	case s.place.Whole: // the recogniser knows the product of two constants
		vector, tau := s.constant(name, graph.NewFloat32(b.Vector, dims...)), s.constant(name+"/tau", graph.NewFloat32([]float32{float32(b.Tau)}))
		s.add(name, s.node("Mul", name+"/scaled", vector, tau))
	default: // one constant, which joins the stream as a bias does
		ref := s.reference()
		if slices.Contains(s.layer.Folded, ref) {
			dims = dims[1:]
		}
		s.append(name, s.like(name, s.constant(name, graph.NewFloat32(b.scaled(), dims...)), s.streamType(s.layer, s.place), ref))
	}
}

// reference is a value with the axes and the type of x.
func (s *steering) reference() *graph.Value {
	if !s.place.Whole {
		return s.place.Uses[0].Node.In(s.place.Uses[0].Slot)
	}
	return s.x()
}

// done gives the changed value to the readers of x.
func (s *steering) done() {
	if s.now == nil {
		return
	}
	for _, u := range s.place.Uses {
		s.redirect(u, s.now)
	}
	if s.place.Whole {
		s.moved[s.was] = s.now
	}
	if n := s.place.Fused; n != nil {
		s.normaliseAgain(n)
	}
}

// normaliseAgain separates the norm of a skip norm from its sum. A second skip norm of the changed sum x and x - x computes the
// same bits as the first would: hosts use another kernel for a norm without a sum.
func (s *steering) normaliseAgain(n *graph.Node) {
	slots, name := ops.Of(n).Norm, s.site.Name(s.layer.Index, "norm")
	ins := make([]*graph.Value, max(slots.Gamma, slots.Beta)+1)
	ins[0], ins[1], ins[slots.Gamma] = s.now, s.node("Sub", name+"/zero", s.now, s.now), n.In(slots.Gamma)
	if slots.Beta > 0 {
		ins[slots.Beta] = n.In(slots.Beta)
	}
	attrs := graph.Attrs{}
	if n.HasAttr("epsilon") {
		attrs["epsilon"] = n.Float("epsilon", 0)
	}
	out := s.edit.Node(s.body.Graph, graph.Spec{Op: n.Op(), Domain: n.Domain(), Name: name + s.suffix, Inputs: ins, Attrs: attrs})
	for _, u := range n.Out(0).Uses() {
		s.redirect(u, out)
	}
	s.moved[n.Out(0)] = out
}

// toPort gives a value of a site the axes of the site's ports.
func (p *patch) toPort(name string, site models.Intervention, l *models.Layer, v *graph.Value) *graph.Value {
	if site.ByHead() {
		return p.byHead(name, l, v)
	}
	return p.unfold(name, v, v, l)
}

// fromPort is the inverse of toPort for v, which has the axes of the site's ports; x is the site's value.
func (p *patch) fromPort(name string, site models.Intervention, l *models.Layer, x, v *graph.Value) *graph.Value {
	switch {
	case !site.ByHead():
		return p.fold(name, x, v, l)
	case l.ZForm == models.ZByHead:
		return p.nodeAttrs("Transpose", name+"/by_head", graph.Attrs{"perm": []int64{0, 2, 1, 3}}, v)
	case l.ZForm == models.ZFlat:
		return p.node("Reshape", name+"/flat", v, p.ints("flat_heads", 0, 0, -1))
	}
	return v
}

// streamType returns the element type in which a memory is added at an operand of the layer, or Undefined if it is unknown.
func (p *patch) streamType(l *models.Layer, at models.Place) graph.DType {
	v := l.ResidPre[0]
	switch {
	case len(at.Uses) > 0:
		v = at.Uses[0].Node.In(at.Uses[0].Slot)
	case at.Fused != nil:
		v = at.Fused.In(0)
	}
	if d := p.dtype(v); d != graph.Undefined {
		return d
	}
	return p.dtype(l.ResidPre[0])
}

// dims returns the shape in which the memory is stored, with axes for batch and positions.
func (b Bake) dims(l *models.Layout) []int64 {
	return append([]int64{1, 1}, b.At().Site.Intervention().MemoryDims(l)...)
}

// keeps returns the factor, or one for each head: 1 for a head that is not among those of the intervention.
func (b Bake) keeps(l *models.Layout) *graph.Tensor {
	if !b.At().Site.Intervention().ByHead() {
		return graph.NewFloat32([]float32{float32(*b.Keep)}, 1, 1, 1)
	}
	x := make([]float32, l.Heads)
	for h := range x {
		if x[h] = 1; b.Heads == nil || slices.Contains(b.Heads, h) {
			x[h] = float32(*b.Keep)
		}
	}
	return graph.NewFloat32(x, 1, 1, int64(l.Heads), 1)
}

// scaled returns tau times the memory.
func (b Bake) scaled() []float32 {
	v := make([]float32, len(b.Vector))
	for i, x := range b.Vector {
		v[i] = float32(b.Tau * float64(x))
	}
	return v
}

// largest holds the largest finite number of a narrow type.
var largest = map[graph.DType]float64{graph.Float16: 65504, graph.BFloat16: 0x1.fep127}

// fits refuses a bake that is not finite in the element type of the layer.
func (b Bake) fits(d graph.DType) error {
	limit, narrow := largest[d]
	if !narrow {
		d, limit = graph.Float32, math.MaxFloat32
	}
	most := 0.0
	for i, x := range b.Vector {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("bake: number %d of the memory is %v", i, x)
		}
		most = max(most, math.Abs(float64(x)))
	}
	if math.Abs(b.Tau)*most <= limit {
		return nil
	}
	return hint.With(fmt.Errorf("bake: layer %d: tau %g times the memory gives %.4g, the largest %v is %.6g", b.Layer, b.Tau, math.Abs(b.Tau)*most, d, limit),
		fmt.Sprintf("a tau below %.3g fits", limit/most))
}

// like converts v, which is float32, to the element type of the block. If that is unknown, it converts to the type of ref.
func (p *patch) like(name string, v *graph.Value, to graph.DType, ref *graph.Value) *graph.Value {
	switch {
	case to == graph.Float32:
		return v
	case to != graph.Undefined:
		return p.nodeAttrs("Cast", name+"/cast", graph.Attrs{"to": int64(to)}, v)
	case p.model.Opset("") >= 15:
		return p.node("CastLike", name+"/cast", v, ref)
	}
	return v // files of this age are float32
}
