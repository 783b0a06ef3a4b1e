package rewrite

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
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

// inject changes the sites of each layer where they enter the residual stream, and nowhere else:
//
//	attn_out ─────────────────────(+)── residual join
//	memory ─(×)─ tau ─ [Cast] ─────┘
func (p *patch) inject(req Request, inputs map[string]*graph.Value) {
	for _, l := range p.body.Layers {
		for _, kind := range models.Sites() {
			p.injectAt(kind.Intervention(), l, req, inputs)
		}
	}
}

// injectAt changes one site of a layer as requested: it adds memories from inputs first, and baked memories second.
func (p *patch) injectAt(site models.Intervention, l *models.Layer, req Request, inputs map[string]*graph.Value) {
	at := site.At(l)
	if at.Node == nil {
		return
	}
	own := at.Node.In(at.Slot)
	now, into := own, p.streamType(l, at)
	add := func(name string, v *graph.Value) { now = p.node("Add", name+"/injected", now, v) }
	if port := site.Site.Input(models.PortMemory).Name(l.Index); inputs[port] != nil {
		scaled := p.node("Mul", port+"/scaled", inputs[port], inputs[site.Site.Input(models.PortTau).Name(l.Index)])
		add(port, p.fold(port, own, p.like(port, scaled, into, own), l))
	}
	for i, b := range req.Bake {
		if b.At() != (models.BakedAt{Site: site.Site, Layer: l.Index}) {
			continue
		}
		name, dims := site.Name(l.Index, fmt.Sprintf("baked_%d", i)), []int64{1, 1, int64(len(b.Vector))}
		if slices.Contains(l.Folded, own) {
			dims = dims[1:]
		}
		add(name, p.like(name, p.constant(name, graph.NewFloat32(b.scaled(), dims...)), into, own))
	}
	if now != own {
		p.edit.Redirect(at, now)
	}
}

// streamType returns the element type in which a memory is added at an operand of the layer, or Undefined if it is unknown.
func (p *patch) streamType(l *models.Layer, at graph.Use) graph.DType {
	if d := p.dtype(at.Node.In(at.Slot)); d != graph.Undefined {
		return d
	}
	return p.dtype(l.ResidPre[0])
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
