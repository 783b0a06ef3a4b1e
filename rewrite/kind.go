package rewrite

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// Kind is a value that can be exposed at a layer. To add one, add its port to package models and a literal here; flags,
// help and the manifest follow.
type Kind struct {
	Port models.PortKind
	// value adds the computation of the port's tensor to the patch. It is called only for layers that have the kind.
	value func(p *patch, l *models.Layer) *graph.Value
}

// Kinds lists the kinds that can be exposed, in the order of the contract.
var Kinds = []*Kind{
	{models.PortZ, (*patch).z},
	{models.PortResult, (*patch).result},
	{models.PortPattern, (*patch).pattern},
	{models.PortOut, site(models.PortOut, func(l *models.Layer) models.Site { return l.Out })},
	{models.PortAttnOut, site(models.PortAttnOut, func(l *models.Layer) models.Site { return l.AttnOut })},
	{models.PortResidPre, site(models.PortResidPre, func(l *models.Layer) models.Site { return l.ResidPre })},
	{models.PortResidMid, site(models.PortResidMid, func(l *models.Layer) models.Site { return l.ResidMid })},
	{models.PortResidPost, (*patch).residPost},
	{models.PortMLPOut, site(models.PortMLPOut, func(l *models.Layer) models.Site { return l.MLPOut })},
}

// Name returns the kind's name, as given to --expose.
func (k *Kind) Name() string { return string(k.Port) }

// Doc returns a description of the exposed value.
func (k *Kind) Doc() string { return k.Port.Output().Doc }

// KindByName finds a kind. The error lists all kinds.
func KindByName(name string) (*Kind, error) {
	port, err := models.ParseOutput(name)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(Kinds, func(k *Kind) bool { return k.Port == port })
	return Kinds[i], nil
}

// site makes a kind for a place in the residual stream, which is the sum of its terms.
func site(port models.PortKind, at func(*models.Layer) models.Site) func(*patch, *models.Layer) *graph.Value {
	return func(p *patch, l *models.Layer) *graph.Value {
		name := port.Name(l.Index)
		return p.unfold(name, at(l)[0], p.total(name, at(l)), l)
	}
}

// unfold gives v the axes [batch, pos, d_model] if the file computes it as [batch*pos, d_model], as for the MLP of OPT.
// like has the axes that v has.
func (p *patch) unfold(name string, like, v *graph.Value, l *models.Layer) *graph.Value {
	if !slices.Contains(l.Folded, like) {
		return v
	}
	shape := p.node("Shape", name+"/shape", l.Sized)
	return p.node("Reshape", name+"/unfolded", v, shape)
}

// fold gives v, which is [1|batch, 1|pos, d_model], the axes [batch*pos, d_model] if the file computes x in that form. It
// is the inverse of unfold.
func (p *patch) fold(name string, x, v *graph.Value, l *models.Layer) *graph.Value {
	if !slices.Contains(l.Folded, x) {
		return v
	}
	shape := p.node("Shape", name+"/shape", l.Sized)
	v = p.node("Expand", name+"/expanded", v, shape)
	return p.node("Reshape", name+"/folded", v, p.ints("folded", -1, int64(p.layout.DModel)))
}

// z returns [batch, pos, head, d_head]: the graph's own value after the transpose that merges the heads, or a converted
// value.
func (p *patch) z(l *models.Layer) *graph.Value {
	return p.byHead(models.PortZ.Name(l.Index), l, l.Z)
}

// byHead gives z the axes [batch, pos, head, d_head].
func (p *patch) byHead(name string, l *models.Layer, z *graph.Value) *graph.Value {
	switch l.ZForm {
	case models.ZByHead:
		return p.nodeAttrs("Transpose", name+"/by_pos", graph.Attrs{"perm": []int64{0, 2, 1, 3}}, z)
	case models.ZFlat:
		shape := p.ints("z_shape", 0, 0, int64(p.layout.Heads), int64(p.layout.DHead))
		return p.node("Reshape", name+"/heads", z, shape)
	}
	return z
}

// result computes z · W_O head by head. Row-major [heads*d_head, d_model] and [heads, d_head, d_model] are the same bytes, so
// W_O needs only a Reshape, which a host folds into a constant:
//
//	z [batch, pos, head, d_head] → Transpose → MatMul(·, [head, d_head, d_model]) → Transpose → [batch, pos, head, d_model]
func (p *patch) result(l *models.Layer) *graph.Value {
	name := models.PortResult.Name(l.Index)
	w := p.matrix(name, l.WO)
	w = p.node("Reshape", name+"/W_O", w, p.ints("w_o_shape", int64(p.layout.Heads), int64(p.layout.DHead), int64(p.layout.DModel)))
	z := l.Z
	if len(l.ZAt.Uses) > 0 { // with the interventions at z
		z = p.read(l.ZAt.Uses[0])
	}
	z = p.convert(name+"/z", p.byHead(models.PortZ.Name(l.Index), l, z), p.dtype(w))
	z = p.nodeAttrs("Transpose", name+"/by_head", graph.Attrs{"perm": []int64{0, 2, 1, 3}}, z)
	r := p.node("MatMul", name+"/product", z, w)
	return p.nodeAttrs("Transpose", name+"/by_pos", graph.Attrs{"perm": []int64{0, 2, 1, 3}}, r)
}

// residPost returns the stream after the layer. A skip norm at the end of a fused file returns it as its fourth output.
func (p *patch) residPost(l *models.Layer) *graph.Value {
	name := models.PortResidPost.Name(l.Index)
	if l.ResidPostOut != nil {
		return p.sumOf(l.ResidPostOut, name+"/sum")
	}
	return p.unfold(name, l.ResidPost[0], l.ResidPost[0], l)
}

// pattern returns the value that multiplies v. An attention operator returns it as a further output if an attribute is set.
func (p *patch) pattern(l *models.Layer) *graph.Value {
	name := models.PortPattern.Name(l.Index)
	switch {
	case l.PatternFolded: // the heads of a row of the batch follow each other
		sizes := p.node("Slice", name+"/sizes", p.node("Shape", name+"/shape", l.Pattern), p.ints("pattern_from", 1), p.ints("pattern_to", 3), p.ints("pattern_axis", 0))
		target := p.nodeAttrs("Concat", name+"/target", graph.Attrs{"axis": 0}, p.ints("pattern_heads", -1, int64(p.layout.Heads)), sizes)
		return p.node("Reshape", name+"/unfolded", l.Pattern, target)
	case l.Pattern != nil:
		return l.Pattern
	}
	s := ops.Of(l.PatternOut).Attn
	p.edit.SetAttr(l.PatternOut, s.Mode, s.Value)
	return p.edit.SetOutput(l.PatternOut, s.Pattern, name+"/probabilities")
}

// has reports whether a layer has the kind's value.
func (k *Kind) has(l *models.Layer) bool { return l.Missing[k.Name()] == "" }
