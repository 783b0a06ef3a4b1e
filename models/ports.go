package models

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/choice"
)

// PortKind names the value of a port, without the layer. The kind of an output is a hook, and hooks name the sites.
type PortKind string

// The kinds of ports. Their names and values are those of TransformerLens' activation cache.
const (
	PortZ         PortKind = "z"
	PortResult    PortKind = "result"
	PortPattern   PortKind = "pattern"
	PortOut       PortKind = "out"
	PortAttnOut   PortKind = "attn_out"
	PortResidPre  PortKind = "resid_pre"
	PortResidMid  PortKind = "resid_mid"
	PortResidPost PortKind = "resid_post"
	PortMLPOut    PortKind = "mlp_out"
	PortMemory    PortKind = "memory"
	PortTau       PortKind = "tau"
	PortKeep      PortKind = "keep"
)

// Port is one entry of the contract on ports. A dimension is a size of the layout ("head", "d_head", "d_model"), a number,
// or a name for a size that the caller chooses.
type Port struct {
	Kind    PortKind
	Site    PortKind // of an input: the site that it changes; "" for an output
	IO      string   // "out", "in"
	Doc     string
	Neutral float32 // of an input: the value that has no effect

	name string // with %d for the layer
	dims []any
}

// outputs is the table of output ports. Input ports follow from the table of interventions.
var outputs = []Port{
	output(PortZ, "attn.hook_z", "attention-weighted values, before W_O", "batch", "pos", "head", "d_head"),
	output(PortResult, "attn.hook_result", "z times the head's rows of W_O, without b_O", "batch", "pos", "head", "d_model"),
	output(PortPattern, "attn.hook_pattern", "attention probabilities", "batch", "head", "query", "key"),
	output(PortOut, "attn.hook_out", "output of W_O, b_O included: what the heads add up to", "batch", "pos", "d_model"),
	output(PortAttnOut, "hook_attn_out", "what attention adds to the residual stream, before this layer's memory", "batch", "pos", "d_model"),
	output(PortResidPre, "hook_resid_pre", "the residual stream before the layer", "batch", "pos", "d_model"),
	output(PortResidMid, "hook_resid_mid", "the residual stream between attention and the MLP, after the memory at attn_out", "batch", "pos", "d_model"),
	output(PortResidPost, "hook_resid_post", "the residual stream after the layer", "batch", "pos", "d_model"),
	output(PortMLPOut, "hook_mlp_out", "what the MLP adds to the residual stream, before this layer's memory", "batch", "pos", "d_model"),
}

func output(kind PortKind, name, doc string, dims ...any) Port {
	return Port{Kind: kind, IO: "out", Doc: doc, name: "blocks.%d." + name, dims: dims}
}

// Outputs lists the kinds of output ports in the order of the contract.
func Outputs() []PortKind {
	var out []PortKind
	for _, p := range outputs {
		out = append(out, p.Kind)
	}
	return out
}

// ParseOutput reads the name of a kind of output port, as given to --expose.
func ParseOutput(s string) (PortKind, error) { return choice.Of("port", s, Outputs()) }

// Output returns the output port of a kind. It panics if there is none.
func (k PortKind) Output() Port {
	i := slices.Index(Outputs(), k)
	if i < 0 {
		panic(fmt.Sprintf("models: no output port %q; an input port belongs to a site", string(k)))
	}
	return outputs[i]
}

// Name returns the name of an output port at a layer, such as "blocks.7.attn.hook_z".
func (k PortKind) Name(layer int) string { return k.Output().Name(layer) }

// Name returns the port's name at a layer.
func (p Port) Name(layer int) string { return fmt.Sprintf(p.name, layer) }

// Type returns the port's type in a model of the given layout: float32, with the sizes of the layout filled in. Dimensions
// written "1|batch" and "1|pos" may be 1 or the size of the prompt; as an ONNX dimension they are unnamed.
func (p Port) Type(l *Layout) graph.Type {
	sizes := map[any]int{"head": l.Heads, "d_head": l.DHead, "d_model": l.DModel}
	dims := slices.Clone(p.dims)
	for i, d := range dims {
		if n, ok := sizes[d]; ok {
			dims[i] = n
		} else if name, ok := d.(string); ok && strings.Contains(name, "|") {
			dims[i] = nil
		}
	}
	return graph.TensorType(graph.Float32, dims...)
}

// InputType returns the type of an input port at a layer, with dimension names that no other port uses. ONNX Runtime plans
// buffers by these names, and two ports may be fed different shapes.
func (p Port) InputType(layer int, l *Layout) graph.Type {
	t := p.Type(l)
	prefix := string(p.Kind)
	if site := p.Site.recorded(); site != "" {
		prefix = string(site) + "_" + prefix
	}
	for i, d := range p.dims {
		if name, ok := d.(string); ok && t.Dims[i].Size < 0 {
			t.Dims[i].Name = fmt.Sprintf("%s_%d_%s", prefix, layer, strings.TrimPrefix(name, "1|"))
		}
	}
	return t
}

// Off returns the tensor that an input port is fed when the caller gives none.
func (p Port) Off(l *Layout) *graph.Tensor { return p.Fill(l, func() float32 { return p.Neutral }) }

// Fill makes a tensor for an input port from the numbers that next returns. It applies to all rows and positions.
func (p Port) Fill(l *Layout, next func() float32) *graph.Tensor {
	size, dims := int64(1), []int64{}
	for _, d := range p.Type(l).Dims {
		dims = append(dims, max(d.Size, 1))
		size *= max(d.Size, 1)
	}
	x := make([]float32, size)
	for i := range x {
		x[i] = next()
	}
	return graph.NewFloat32(x, dims...)
}

// Shape returns the port's shape as text, such as "[1 or batch, 1 or pos, d_model]".
func (p Port) Shape() string {
	dims := strings.Join(strings.Fields(fmt.Sprint(p.dims)), ", ")
	return strings.ReplaceAll(dims, "|", " or ")
}

// Manifest describes the port at one layer of a model.
func (p Port) Manifest(layer int, l *Layout) ManifestPort {
	m := ManifestPort{Name: p.Name(layer), Kind: p.Kind, Site: p.Site.recorded(), Layer: layer, IO: p.IO, DType: graph.Float32.String()}
	for i, d := range p.Type(l).Dims {
		if d.Size >= 0 {
			m.Shape = append(m.Shape, d.Size)
		} else {
			m.Shape = append(m.Shape, p.dims[i])
		}
	}
	return m
}
