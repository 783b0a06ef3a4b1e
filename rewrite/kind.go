package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// Kind is one thing that can be exposed at a layer. To add one, write a literal here; flags, help and the manifest follow.
type Kind struct {
	Name string
	Doc  string
	// value adds what computes the tensor of the port to the patch. It returns nil when the layer does not have it: then
	// Layer.Missing tells why.
	value func(p *patch, l *models.Layer) *graph.Value
	// dims are the dimensions of the port; see patch.dims for the words.
	dims []string
}

// Kinds lists what can be exposed, in the order that help shows them. The names are TransformerLens' own without "hook_".
var Kinds = []*Kind{
	{"z", "attention-weighted values of each head, before W_O", (*patch).z, []string{"batch", "pos", "head", "d_head"}},
	{"result", "what each head writes into the residual stream: z times its rows of W_O, without b_O", (*patch).result, []string{"batch", "pos", "head", "d_model"}},
	{"pattern", "attention probabilities", (*patch).pattern, []string{"batch", "head", "query", "key"}},
	{"attn_out", "output of attention, b_O included, before this layer's memory", site("attn_out", func(l *models.Layer) models.Site { return l.AttnOut }), stream},
	{"resid_pre", "residual stream before the layer", site("resid_pre", func(l *models.Layer) models.Site { return l.ResidPre }), stream},
	{"resid_mid", "residual stream between attention and MLP, memory included", site("resid_mid", func(l *models.Layer) models.Site { return l.ResidMid }), stream},
	{"resid_post", "residual stream behind the layer", site("resid_post", func(l *models.Layer) models.Site { return l.ResidPost }), stream},
	{"mlp_out", "output of the MLP, bias included", site("mlp_out", func(l *models.Layer) models.Site { return l.MLPOut }), stream},
}

var stream = []string{"batch", "pos", "d_model"}

// KindByName finds a kind; the error lists those there are.
func KindByName(name string) (*Kind, error) {
	var names []string
	for _, k := range Kinds {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return nil, fmt.Errorf("unknown kind %q, want one of %s", name, strings.Join(names, ", "))
}

// site makes a kind of a place in the residual stream: the sum of its terms.
func site(name string, at func(*models.Layer) models.Site) func(*patch, *models.Layer) *graph.Value {
	return func(p *patch, l *models.Layer) *graph.Value {
		terms := at(l)
		if len(terms) == 0 {
			return nil
		}
		sum := terms[0]
		for _, t := range terms[1:] {
			sum = p.node("Add", models.PortName(name, l.Index)+"/sum", sum, t)
		}
		return sum
	}
}

// z is [batch, pos, head, d_head]: as the graph has it behind the transpose that merges the heads, or a view of the flat form.
func (p *patch) z(l *models.Layer) *graph.Value {
	if !l.ZFlat {
		return l.Z
	}
	shape := p.ints("z_shape", 0, 0, int64(p.layout.Heads), int64(p.layout.DHead))
	return p.node("Reshape", models.PortName("z", l.Index)+"/heads", l.Z, shape)
}

// result is z · W_O head by head. Row-major [heads*d_head, d_model] and [heads, d_head, d_model] are the same bytes, so that
// W_O needs a Reshape only, which a host folds into a constant:
//
//	z [batch, pos, head, d_head] → Transpose → MatMul(·, [head, d_head, d_model]) → Transpose → [batch, pos, head, d_model]
func (p *patch) result(l *models.Layer) *graph.Value {
	name := models.PortName("result", l.Index)
	w := p.matrix(name, l.WO)
	w = p.node("Reshape", name+"/W_O", w, p.ints("w_o_shape", int64(p.layout.Heads), int64(p.layout.DHead), int64(p.layout.DModel)))
	z := p.convert(name+"/z", p.z(l), p.dtype(w))
	z = p.nodeAttrs("Transpose", name+"/by_head", graph.Attrs{"perm": []int64{0, 2, 1, 3}}, z)
	r := p.node("MatMul", name+"/product", z, w)
	return p.nodeAttrs("Transpose", name+"/by_pos", graph.Attrs{"perm": []int64{0, 2, 1, 3}}, r)
}

// pattern is the value that multiplies v; an attention operator of opset 23 gives it as its fourth output in mode 3.
func (p *patch) pattern(l *models.Layer) *graph.Value {
	if l.Pattern != nil || l.PatternOut == nil {
		return l.Pattern
	}
	p.edit.SetAttr(l.PatternOut, "qk_matmul_output_mode", 3)
	return p.edit.SetOutput(l.PatternOut, 3, models.PortName("pattern", l.Index)+"/probabilities")
}

// missing makes the error for a kind that a layer does not have.
func missing(k *Kind, l *models.Layer) error {
	why := l.Missing[k.Name]
	if why == "" {
		why = "the graph does not compute it"
	}
	var others []string
	for _, o := range Kinds {
		if o.Name != k.Name && l.Missing[o.Name] == "" {
			others = append(others, o.Name)
		}
	}
	slices.Sort(others)
	return graph.Hint(fmt.Errorf("expose %s: layer %d: %s", k.Name, l.Index, why), "these kinds can be exposed: "+strings.Join(others, ", "))
}
