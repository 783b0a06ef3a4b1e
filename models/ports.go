package models

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/choice"
)

// PortKind is what a port carries, without the layer.
type PortKind string

// The kinds of ports. Their names, and the values they carry, are those of TransformerLens' activation cache.
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
)

// portKinds is the one table of ports: the contract on their names and shapes. A dimension is a size of the layout ("head",
// "d_head", "d_model"), a number, or a name for a size that the caller chooses.
var portKinds = []struct {
	kind PortKind
	io   string // "out", "in"
	name string
	dims []any
	doc  string
}{
	{PortZ, "out", "blocks.%d.attn.hook_z", []any{"batch", "pos", "head", "d_head"}, "attention-weighted values, before W_O"},
	{PortResult, "out", "blocks.%d.attn.hook_result", []any{"batch", "pos", "head", "d_model"}, "z times the head's rows of W_O, without b_O"},
	{PortPattern, "out", "blocks.%d.attn.hook_pattern", []any{"batch", "head", "query", "key"}, "attention probabilities"},
	{PortOut, "out", "blocks.%d.attn.hook_out", []any{"batch", "pos", "d_model"}, "output of W_O, b_O included: what the heads add up to"},
	{PortAttnOut, "out", "blocks.%d.hook_attn_out", []any{"batch", "pos", "d_model"}, "what attention adds to the residual stream, before this layer's memory"},
	{PortResidPre, "out", "blocks.%d.hook_resid_pre", []any{"batch", "pos", "d_model"}, "the residual stream before the layer"},
	{PortResidMid, "out", "blocks.%d.hook_resid_mid", []any{"batch", "pos", "d_model"}, "resid_pre + attn_out + tau * memory"},
	{PortResidPost, "out", "blocks.%d.hook_resid_post", []any{"batch", "pos", "d_model"}, "the residual stream after the layer"},
	{PortMLPOut, "out", "blocks.%d.hook_mlp_out", []any{"batch", "pos", "d_model"}, "output of the MLP, bias included"},
	{PortMemory, "in", "blocks.%d.attn.memory", []any{"1|batch", "1|pos", "d_model"}, "the vector that is added to attn_out"},
	{PortTau, "in", "blocks.%d.attn.tau", []any{"1|batch", "1|pos", 1}, "the magnitude of the memory; 0 is off"},
}

// PortKinds lists the kinds of one direction, "in" or "out", in the order of the contract.
func PortKinds(io string) []PortKind {
	var out []PortKind
	for _, p := range portKinds {
		if p.io == io {
			out = append(out, p.kind)
		}
	}
	return out
}

// ParseOutput reads the name of a kind of output port, as --expose takes it.
func ParseOutput(s string) (PortKind, error) { return choice.Of("port", s, PortKinds("out")) }

// entry returns the kind's index in the table; a kind that is not there is a mistake in this program.
func (k PortKind) entry() int {
	for i, p := range portKinds {
		if p.kind == k {
			return i
		}
	}
	panic(fmt.Sprintf("models: no port kind %q", string(k)))
}

// Known reports whether the kind is one of this version's.
func (k PortKind) Known() bool {
	return slices.Contains(PortKinds("in"), k) || slices.Contains(PortKinds("out"), k)
}

// Name returns the port's name at a layer, such as "blocks.7.attn.hook_z".
func (k PortKind) Name(layer int) string { return fmt.Sprintf(portKinds[k.entry()].name, layer) }

// IO returns "in" or "out".
func (k PortKind) IO() string { return portKinds[k.entry()].io }

// Doc returns what the port carries, in words.
func (k PortKind) Doc() string { return portKinds[k.entry()].doc }

// Type returns the port's type in a model of the given layout: float32, with the sizes of the layout filled in. Dimensions
// written "1|batch" and "1|pos" may be 1 or the size of the prompt; as an ONNX dimension they are unnamed.
func (k PortKind) Type(l *Layout) graph.Type {
	sizes := map[any]int{"head": l.Heads, "d_head": l.DHead, "d_model": l.DModel}
	dims := slices.Clone(portKinds[k.entry()].dims)
	for i, d := range dims {
		if n, ok := sizes[d]; ok {
			dims[i] = n
		} else if name, ok := d.(string); ok && strings.Contains(name, "|") {
			dims[i] = nil
		}
	}
	return graph.TensorType(graph.Float32, dims...)
}

// Port describes the kind at one layer of a model, for the manifest.
func (k PortKind) Port(layer int, l *Layout) ManifestPort {
	p := ManifestPort{Name: k.Name(layer), Kind: k, Layer: layer, IO: k.IO(), DType: graph.Float32.String()}
	for i, d := range k.Type(l).Dims {
		if d.Size >= 0 {
			p.Shape = append(p.Shape, d.Size)
		} else {
			p.Shape = append(p.Shape, portKinds[k.entry()].dims[i])
		}
	}
	return p
}
