package models

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/choice"
)

// Intervention is a site at which the value x of a layer can be changed to x + tau * memory. It holds everything that the
// program knows about the site: ports, neutral feeds, the manifest, flags, help and the laws of verify follow from the
// literal.
type Intervention struct {
	Site PortKind // the value that is changed, named by the kind that exposes it
	Doc  string
	Bake bool // a fixed memory can be stored in the file, without inputs

	// At is the operand through which x enters the rest of the model. Other readers of x still get the unchanged value.
	At func(*Layer) graph.Use

	prefix string // of port names, with %d for the layer
	inputs []Port // Kind, Doc, Neutral and dims; the other fields follow from the site
}

// DefaultSite is the site of a port or memory that names none, because the first files had only this one.
const DefaultSite = PortAttnOut

// interventions is the one table of sites, in the order of the data flow.
var interventions = []Intervention{
	{Site: PortAttnOut, Doc: "what attention adds to the residual stream", Bake: true,
		At: func(l *Layer) graph.Use { return l.Join }, prefix: "blocks.%d.attn", inputs: added},
	{Site: PortMLPOut, Doc: "what the MLP adds to the residual stream", Bake: true,
		At: func(l *Layer) graph.Use { return l.MLPJoin }, prefix: "blocks.%d.hook_mlp_out", inputs: added},
}

// added lists the inputs of a site [batch, pos, d_model].
var added = []Port{
	{Kind: PortMemory, dims: []any{"1|batch", "1|pos", "d_model"}, Doc: "the vector that is added"},
	{Kind: PortTau, dims: []any{"1|batch", "1|pos", 1}, Doc: "the magnitude of the memory; 0 is off"},
}

// Sites lists the sites of the interventions.
func Sites() []PortKind {
	var out []PortKind
	for _, s := range interventions {
		out = append(out, s.Site)
	}
	return out
}

// ParseSite reads the name of a site, as given to --inject. The error lists the names.
func ParseSite(s string) (PortKind, error) { return choice.Of("site", s, Sites()) }

// Intervention returns the intervention at a site. It panics if there is none.
func (k PortKind) Intervention() Intervention {
	i := slices.Index(Sites(), k)
	if i < 0 {
		panic(fmt.Sprintf("models: no intervention at %q", string(k)))
	}
	return interventions[i]
}

// Inputs lists the ports of the site.
func (s Intervention) Inputs() []Port {
	out := slices.Clone(s.inputs)
	for i := range out {
		out[i].Site, out[i].IO, out[i].name = s.Site, "in", s.prefix+"."+string(out[i].Kind)
	}
	return out
}

// Name returns the name of a part of the site at a layer, such as "blocks.7.attn.memory".
func (s Intervention) Name(layer int, what string) string {
	return fmt.Sprintf(s.prefix, layer) + "." + what
}

// Missing returns the reason why a layer does not have the site, or "" if it does.
func (s Intervention) Missing(l *Layer) string {
	if s.At(l).Node != nil {
		return ""
	}
	return cmp.Or(l.Missing[string(s.Site)], "the operand through which it enters the model was not found")
}

// Input returns the input port of a kind at a site. It panics if the site or the kind does not exist.
func (k PortKind) Input(kind PortKind) Port {
	p, ok := inputPort(k, kind)
	if !ok {
		panic(fmt.Sprintf("models: no input port %q at site %q", string(kind), string(k)))
	}
	return p
}

func inputPort(site, kind PortKind) (Port, bool) {
	if !slices.Contains(Sites(), site) {
		return Port{}, false
	}
	ports := site.Intervention().Inputs()
	i := slices.IndexFunc(ports, func(p Port) bool { return p.Kind == kind })
	if i < 0 {
		return Port{}, false
	}
	return ports[i], true
}

// recorded returns the name of a site in files, which is "" for the default.
func (k PortKind) recorded() PortKind {
	if k == DefaultSite {
		return ""
	}
	return k
}
