package rewrite

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// patch is an unfinished edit of one body, to which kinds add nodes. A merged file has two bodies and one patch for each.
// They share the edit, and the If that chooses between them joins each port of the main graph from both.
type patch struct {
	edit    *graph.Edit
	model   *graph.Model
	layout  *models.Layout
	body    *models.Body
	consts  map[string]*graph.Value
	types   *ops.Types
	facts   *ops.Facts
	now     map[graph.Use]*graph.Value    // operands that were redirected
	moved   map[*graph.Value]*graph.Value // values that were changed for all that reads them
	sums    map[*graph.Node]*graph.Value  // the sums of skip norms that did not return them
	phrases map[string]*graph.Value       // positions at which sequences of tokens end, by the sequences
	suffix  string                        // distinguishes the nodes of the second body from those of the first
}

func newPatch(e *graph.Edit, m *graph.Model, l *models.Layout, b *models.Body) *patch {
	p := &patch{edit: e, model: m, layout: l, body: b, consts: map[string]*graph.Value{}, types: ops.NewTypes(ops.Unlimited()),
		facts: ops.NewFacts(ops.Unlimited()), now: map[graph.Use]*graph.Value{}, moved: map[*graph.Value]*graph.Value{}, sums: map[*graph.Node]*graph.Value{},
		phrases: map[string]*graph.Value{}}
	if a := b.Graph.Attr(); a != "" {
		p.suffix = "/" + a
	}
	return p
}

func (p *patch) node(op, name string, inputs ...*graph.Value) *graph.Value {
	return p.nodeAttrs(op, name, nil, inputs...)
}

func (p *patch) nodeAttrs(op, name string, attrs graph.Attrs, inputs ...*graph.Value) *graph.Value {
	return p.edit.Node(p.body.Graph, graph.Spec{Op: op, Name: name + p.suffix, Inputs: inputs, Attrs: attrs})
}

// ints returns a constant vector of integers, one for each name.
func (p *patch) ints(name string, v ...int64) *graph.Value {
	return p.constant(name, graph.NewInt64(v, int64(len(v))))
}

func (p *patch) constant(name string, t *graph.Tensor) *graph.Value {
	if v, ok := p.consts[name]; ok {
		return v
	}
	v := p.edit.Const(p.body.Graph, "onnx-inject/"+name+p.suffix, t)
	p.consts[name] = v
	return v
}

// read returns the value that a node reads now.
func (p *patch) read(u graph.Use) *graph.Value {
	if v := p.now[u]; v != nil {
		return v
	}
	return u.Node.In(u.Slot)
}

// redirect makes a node read v.
func (p *patch) redirect(u graph.Use, v *graph.Value) {
	p.now[u] = v
	p.edit.Redirect(u, v)
}

// resolve returns what became of a value.
func (p *patch) resolve(v *graph.Value) *graph.Value {
	for p.moved[v] != nil {
		v = p.moved[v]
	}
	return v
}

// sumOf returns the sum that a skip norm computes.
func (p *patch) sumOf(n *graph.Node, name string) *graph.Value {
	if v := n.Out(3); v != nil {
		return p.resolve(v)
	}
	if p.sums[n] == nil {
		p.sums[n] = p.edit.SetOutput(n, 3, name)
	}
	return p.resolve(p.sums[n])
}

// total returns the sum of the terms of a site, as they are now.
func (p *patch) total(name string, terms models.Site) *graph.Value {
	sum := p.resolve(terms[0])
	for _, t := range terms[1:] {
		sum = p.node("Add", name+"/sum", sum, t)
	}
	return sum
}

// convert casts v to a type unless it already has it. A value of unknown type is cast too, because a host removes a cast
// that has no effect.
func (p *patch) convert(name string, v *graph.Value, to graph.DType) *graph.Value {
	if d := p.dtype(v); d == to || to == graph.Undefined {
		return v
	}
	out := p.nodeAttrs("Cast", name+"/cast", graph.Attrs{"to": int64(to)}, v)
	p.types.Set(out, to)
	return out
}

// dtype returns the element type of a value, or Undefined if it is unknown.
func (p *patch) dtype(v *graph.Value) graph.DType { return p.types.Of(v) }

// port gives v the name of a port and makes it an output of the main graph, as float32.
func (p *patch) port(name string, v *graph.Value, t graph.Type, ports *mainPorts) {
	v = p.convert(name, v, graph.Float32)
	if p.body.Graph.Owner() == nil {
		out := p.edit.Node(p.body.Graph, graph.Spec{Op: "Identity", Name: name + "/port", Inputs: []*graph.Value{v}, As: name, Type: t})
		p.edit.Output(p.body.Graph, out)
		return
	}
	out := p.edit.Node(p.body.Graph, graph.Spec{Op: "Identity", Name: name + "/port" + p.suffix, Inputs: []*graph.Value{v}, Type: t})
	p.edit.Output(p.body.Graph, out)
	ports.add(p, name, t)
}

// mainPorts adds one output per port to the If of a merged file, once both branches have it.
type mainPorts struct {
	seen map[string]bool
}

func (m *mainPorts) add(p *patch, name string, t graph.Type) {
	if m.seen[name] {
		return
	}
	m.seen[name] = true
	owner := p.body.Graph.Owner()
	out := p.edit.NodeOutput(owner, name, t)
	p.edit.Output(owner.Graph(), out)
}

// matrix returns the weight as a value [in, out] of the graph, as floats for every stored form.
func (p *patch) matrix(name string, w *weights.Weight) *graph.Value {
	var v *graph.Value
	switch {
	case w.Operand == nil:
		v = p.unpack(name, w)
	case w.ScaleValue != nil: // (q - zero) * scale, columns are along the last axis
		to := graph.Attrs{"to": int64(w.Scale.DType)}
		q := p.nodeAttrs("Cast", name+"/W_q", to, w.Operand)
		if w.ZeroValue != nil {
			zero := p.nodeAttrs("Cast", name+"/W_zero", to, w.ZeroValue)
			q = p.node("Sub", name+"/W_centred", q, zero)
		}
		v = p.node("Mul", name+"/W", q, w.ScaleValue)
	default:
		v = w.Operand
	}
	if w.OperandT {
		v = p.nodeAttrs("Transpose", name+"/W_T", graph.Attrs{"perm": []int64{1, 0}}, v)
	}
	if w.Alpha != 1 {
		alpha := p.constant(fmt.Sprintf("alpha_%g", w.Alpha), graph.NewFloat32([]float32{float32(w.Alpha)}))
		v = p.node("Mul", name+"/alpha", v, p.like(name+"/alpha", alpha, p.dtype(v), v))
	}
	return v
}

// unpack makes an operator with packed weights dequantise them: its product with the identity matrix, without bias, is W.
// The host folds this product once.
func (p *patch) unpack(name string, w *weights.Weight) *graph.Value {
	d := p.dtype(w.Node.In(2)) // the type of the scales, which is that of the other operand
	if d == graph.Undefined {
		d = p.dtype(w.Node.In(0))
	}
	if !d.IsFloat() {
		p.edit.Fail(fmt.Errorf("%s: %v: want scales of a float type", name, w.Node))
		d = graph.Float32
	}
	shape := p.ints("eye_shape", w.In, w.In)
	eye := p.nodeAttrs("ConstantOfShape", name+"/zeros", graph.Attrs{"value": graph.Zeros(d, 1)}, shape)
	eye = p.nodeAttrs("EyeLike", name+"/eye", graph.Attrs{"dtype": int64(d)}, eye)
	packed := w.Node.Inputs()[1:]
	if len(packed) > 4 { // A, B, scales, zero_points, g_idx, bias
		packed = packed[:4]
	}
	attrs := graph.Attrs{}
	for _, a := range []string{"K", "N", "bits", "block_size", "quant_type"} {
		if w.Node.HasAttr(a) {
			attrs[a] = w.Node.Int(a, 0)
		}
	}
	ins := append([]*graph.Value{eye}, packed...)
	return p.edit.Node(p.body.Graph, graph.Spec{Op: w.Node.Op(), Domain: w.Node.Domain(), Name: name + "/W" + p.suffix, Inputs: ins, Attrs: attrs})
}
