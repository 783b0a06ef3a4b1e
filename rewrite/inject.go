package rewrite

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// memoryPorts are the two inputs of one layer.
type memoryPorts struct{ memory, tau *graph.Value }

// inputs adds the ports to the main graph; branches read them from there. Every port has dimension names of its own:
// ONNX Runtime plans buffers by them, and two layers may well be fed different shapes.
func inputs(e *graph.Edit, l *models.Layout, layers []int) map[int]memoryPorts {
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
		join := l.Join.Node.In(l.Join.Slot)
		into := p.dtype(join)
		if into == graph.Undefined {
			into = p.dtype(l.ResidPre[0])
		}
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
			v := make([]float32, len(b.Vector))
			for j, x := range b.Vector {
				v[j] = float32(b.Tau * float64(x))
			}
			c := p.constant(name, graph.NewFloat32(v, 1, 1, int64(len(v))))
			now = p.node("Add", name+"/injected", now, p.like(name, c, into, join))
		}
		if now != join {
			p.edit.Redirect(l.Join, now)
		}
	}
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
