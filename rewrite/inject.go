package rewrite

import (
	"fmt"
	"math"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// memoryPorts are the two inputs of one layer.
type memoryPorts struct{ memory, tau *graph.Value }

// addInputs adds the ports to the main graph; branches read them from there. Every port has dimension names of its own:
// ONNX Runtime plans buffers by them, and two layers may well be fed different shapes.
func addInputs(e *graph.Edit, l *models.Layout, layers []int) map[int]memoryPorts {
	out := map[int]memoryPorts{}
	for _, layer := range layers {
		dim := func(kind, axis string) string { return fmt.Sprintf("%s_%d_%s", kind, layer, axis) }
		out[layer] = memoryPorts{
			memory: e.Input(models.PortMemory.Name(layer), graph.TensorType(graph.Float32, dim("memory", "batch"), dim("memory", "pos"), l.DModel)),
			tau:    e.Input(models.PortTau.Name(layer), graph.TensorType(graph.Float32, dim("tau", "batch"), dim("tau", "pos"), 1)),
		}
	}
	return out
}

// inject adds tau * memory to the attention output of each layer, where it enters the residual stream and nowhere else:
//
//	attn_out ─────────────────────(+)── residual join
//	memory ─(×)─ tau ─ [Cast] ─────┘
func (p *patch) inject(ports map[int]memoryPorts, bakes []Bake) {
	for _, l := range p.body.Layers {
		join, into := l.Join.Node.In(l.Join.Slot), p.streamType(l)
		now := join
		if in, ok := ports[l.Index]; ok {
			name := models.PortMemory.Name(l.Index)
			m := p.node("Mul", name+"/scaled", in.memory, in.tau)
			now = p.node("Add", name+"/injected", now, p.like(name, m, into, join))
		}
		for i, b := range bakes {
			if b.Layer != l.Index {
				continue
			}
			name := fmt.Sprintf("blocks.%d.attn.baked_%d", l.Index, i)
			c := p.constant(name, graph.NewFloat32(b.scaled(), 1, 1, int64(len(b.Vector))))
			now = p.node("Add", name+"/injected", now, p.like(name, c, into, join))
		}
		if now != join {
			p.edit.Redirect(l.Join, now)
		}
	}
}

// streamType is the element type that a memory of the layer is added in, Undefined if it cannot be told.
func (p *patch) streamType(l *models.Layer) graph.DType {
	if d := p.dtype(l.Join.Node.In(l.Join.Slot)); d != graph.Undefined {
		return d
	}
	return p.dtype(l.ResidPre[0])
}

// scaled is tau times the memory.
func (b Bake) scaled() []float32 {
	v := make([]float32, len(b.Vector))
	for i, x := range b.Vector {
		v[i] = float32(b.Tau * float64(x))
	}
	return v
}

// largest holds the largest finite number of a narrow type.
var largest = map[graph.DType]float64{graph.Float16: 65504, graph.BFloat16: 0x1.fep127}

// fits refuses a bake that is not finite in the type that the layer computes in.
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

// like converts v, which is float32, to the type the block computes in; where that cannot be told, to the type of ref.
func (p *patch) like(name string, v *graph.Value, to graph.DType, ref *graph.Value) *graph.Value {
	switch {
	case to == graph.Float32:
		return v
	case to != graph.Undefined:
		return p.nodeAttrs("Cast", name+"/cast", graph.Attrs{"to": int64(to)}, v)
	case p.model.Opset("") >= 15:
		return p.node("CastLike", name+"/cast", v, ref)
	}
	return v // files this old are float32
}
