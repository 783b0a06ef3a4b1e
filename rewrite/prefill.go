package rewrite

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// prefill drops the cache: inputs of earlier keys and values, outputs of present ones, and of a merged file the branch that
// reads them. What is left takes a whole prompt. The shape of a cache input often feeds positions and masks; that goes on
// working, for in the place of the input stands an empty tensor of its shape.
func prefill(m *graph.Model, l *models.Layout) (*models.Layout, error) {
	if len(l.Bodies) > 1 {
		e := m.Edit()
		e.InlineBranch(l.Bodies[0].Graph)
		e.Prune()
		if err := e.Commit(); err != nil {
			return nil, err
		}
		var err error
		if l, err = models.Locate(m, &models.Config{Heads: l.Heads}); err != nil {
			return nil, err
		}
	}
	tokens := l.Tokens()
	if tokens == nil {
		return nil, errors.New("the token input was not found")
	}
	if d := tokens.Type.Dims; len(d) == 2 && d[1].Size == 1 {
		return nil, graph.Hint(fmt.Errorf("input %q takes one token at a time", tokens.Name()), "use the file of the folder that takes whole prompts (decoder_model.onnx or model.onnx)")
	}
	e := m.Edit()
	body := l.Bodies[0]
	for _, v := range m.Graph.Outputs() {
		if v != body.Logits && isCache(v, l) && !isPort(m, v) && !isPattern(v, body) {
			e.RemoveOutput(m.Graph, v)
		}
	}
	p := newPatch(e, m, l, body)
	for _, past := range m.Graph.Inputs() {
		if past.Type.DType == graph.Bool && len(past.Uses()) == 0 {
			e.RemoveInput(past) // the flag that chose the branch
		}
		if !isCache(past, l) {
			continue
		}
		if d := past.Type.Dims; d[len(d)-2].Size > 0 {
			return nil, fmt.Errorf("input %q holds exactly %d earlier positions, want a cache that may be empty", past.Name(), d[len(d)-2].Size)
		}
		var empty *graph.Value
		for _, u := range past.Uses() {
			if u.Node.Is("Concat") && len(u.Node.Inputs()) == 2 {
				fresh := u.Node.In(1 - u.Slot) // Concat with nothing is the rest
				for _, r := range u.Node.Out(0).Uses() {
					e.Redirect(r, fresh)
				}
				continue
			}
			if empty == nil {
				empty = p.empty(past, tokens)
			}
			e.Redirect(u, empty)
		}
		e.RemoveInput(past)
	}
	e.ForgetTypes(m.Graph)
	e.Prune()
	if err := e.Commit(); err != nil {
		return nil, err
	}
	return models.Locate(m, &models.Config{Heads: l.Heads})
}

// isCache reports whether a value of the main graph has the shape of keys and values: [batch, head, past, d_head], or stacked
// [2, batch, head, past, d_head]. What is declared about heads must agree: a mask may have four axes too.
func isCache(v *graph.Value, l *models.Layout) bool {
	d := v.Type.Dims
	k := len(d)
	if !v.Type.DType.IsFloat() || k != 4 && !(k == 5 && d[0].Size == 2) {
		return false
	}
	agrees := func(d graph.Dim, n int) bool { return d.Size < 0 || d.Size == int64(n) }
	return agrees(d[k-3], l.Heads) && agrees(d[k-1], l.DHead)
}

// isPattern reports whether an exporter gave out the attention probabilities of a layer.
func isPattern(v *graph.Value, b *models.Body) bool {
	for v.Producer().Is("Identity", "Cast") {
		v = v.Producer().In(0)
	}
	return slices.ContainsFunc(b.Layers, func(l *models.Layer) bool { return l.Pattern == v })
}

func isPort(m *graph.Model, v *graph.Value) bool {
	man, err := models.ReadManifest(m)
	if err != nil || man == nil {
		return false
	}
	for _, p := range man.Ports {
		if p.Name == v.Name() {
			return true
		}
	}
	return false
}

// empty builds a tensor like past with no positions in it: the batch of the tokens, heads and d_head as declared.
func (p *patch) empty(past, tokens *graph.Value) *graph.Value {
	d := past.Type.Dims
	shape := p.node("Shape", past.Name()+"/tokens_shape", tokens)
	batch := p.node("Gather", past.Name()+"/batch", shape, p.ints("batch_axis", 0))
	parts := []*graph.Value{batch}
	if len(d) == 5 {
		parts = []*graph.Value{p.ints("two", 2), batch}
	}
	tail := p.ints("cache_tail", int64(p.layout.Heads), 0, int64(p.layout.DHead))
	dims := p.nodeAttrs("Concat", past.Name()+"/empty_shape", graph.Attrs{"axis": 0}, append(parts, tail)...)
	zero := graph.Zeros(past.Type.DType, 1)
	return p.nodeAttrs("ConstantOfShape", past.Name()+"/empty", graph.Attrs{"value": zero}, dims)
}
