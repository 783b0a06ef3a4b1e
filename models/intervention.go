package models

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/choice"
)

// Intervention is a site at which the value x of a layer can be changed to keep * x + tau * memory. It holds everything that
// the program knows about the site: ports, neutral feeds, the manifest, flags, help and the laws of verify follow from the
// literal. To add a site, add a literal.
type Intervention struct {
	Site PortKind // the value that is changed, named by the kind that exposes it
	Doc  string

	// At is where x enters the rest of the model. For attn_out and mlp_out it is an operand of an addition, and other readers
	// of x still get the unchanged value.
	At func(*Layer) Place

	prefix string // of port names, with %d for the layer
	inputs []Port // Kind, Doc, Neutral and dims; the other fields follow from the site
}

// DefaultSite is the site of a port or memory that names none, because the first files had only this one.
const DefaultSite = PortAttnOut

// interventions is the one table of sites, in the order of the data flow.
var interventions = []Intervention{
	{Site: PortResidPre, Doc: "the residual stream before the layer",
		At: func(l *Layer) Place { return l.PreAt }, prefix: "blocks.%d.hook_resid_pre", inputs: ofStream},
	{Site: PortZ, Doc: "what each head reads from the values, before W_O",
		At: func(l *Layer) Place { return l.ZAt }, prefix: "blocks.%d.attn.hook_z", inputs: ofHeads},
	{Site: PortAttnOut, Doc: "what attention adds to the residual stream",
		At: func(l *Layer) Place { return joins(l.AttnOut, l.Join) }, prefix: "blocks.%d.attn", inputs: ofStream},
	{Site: PortMLPOut, Doc: "what the MLP adds to the residual stream",
		At: func(l *Layer) Place { return joins(l.MLPOut, l.MLPJoin) }, prefix: "blocks.%d.hook_mlp_out", inputs: ofStream},
	{Site: PortResidPost, Doc: "the residual stream after the layer",
		At: func(l *Layer) Place { return l.PostAt }, prefix: "blocks.%d.hook_resid_post", inputs: ofStream},
}

// joins is the place of a value that joins the residual stream at one operand.
func joins(x Site, at graph.Use) Place {
	if at.Node == nil {
		return Place{}
	}
	return Place{Own: x, Uses: []graph.Use{at}}
}

// ofStream lists the inputs of a site [batch, pos, d_model].
var ofStream = []Port{
	{Kind: PortMemory, dims: []any{"1|batch", "1|pos", "d_model"}, Doc: "the vector that is added"},
	{Kind: PortTau, dims: []any{"1|batch", "1|pos", 1}, Doc: "the magnitude of the memory; 0 is off"},
	{Kind: PortKeep, Neutral: 1, dims: []any{"1|batch", "1|pos", 1}, Doc: "the factor of the model's own x; 1 is off"},
}

// ofHeads lists the inputs of a site [batch, pos, head, d_head].
var ofHeads = []Port{
	{Kind: PortMemory, dims: []any{"1|batch", "1|pos", "head", "d_head"}, Doc: "the vector of each head that is added"},
	{Kind: PortTau, dims: []any{"1|batch", "1|pos", "head", 1}, Doc: "the magnitude of the memory of each head; 0 is off"},
	{Kind: PortKeep, Neutral: 1, dims: []any{"1|batch", "1|pos", "head", 1}, Doc: "the factor of the model's own x of each head; 1 is off"},
}

// Sites lists the sites of the interventions.
func Sites() []PortKind {
	var out []PortKind
	for _, s := range interventions {
		out = append(out, s.Site)
	}
	return out
}

// Memorable lists the sites at which a memory can be added, the default first.
func Memorable() []PortKind {
	return append([]PortKind{DefaultSite}, slices.DeleteFunc(Sites(), func(k PortKind) bool { return k == DefaultSite })...)
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

// ByHead reports whether the site has a value for each head.
func (s Intervention) ByHead() bool { return s.Site == PortZ }

// MemoryDims returns the sizes of a memory of the site: [d_model], or [head, d_head] at a site by head.
func (s Intervention) MemoryDims(l *Layout) []int64 {
	if s.ByHead() {
		return []int64{int64(l.Heads), int64(l.DHead)}
	}
	return []int64{int64(l.DModel)}
}

// MemoryLen returns how many numbers a memory of the site has.
func (s Intervention) MemoryLen(l *Layout) int {
	n := int64(1)
	for _, d := range s.MemoryDims(l) {
		n *= d
	}
	return int(n)
}

// Inputs lists the ports of the site: memory, tau and keep.
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
	at := s.At(l)
	if len(at.Uses) > 0 || at.Fused != nil {
		return ""
	}
	return cmp.Or(at.Missing, l.Missing[string(s.Site)], "the operand through which it enters the model was not found")
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
