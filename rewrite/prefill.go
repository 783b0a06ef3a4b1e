package rewrite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// prefill drops the cache: inputs of earlier keys and values, outputs of present ones, and in a merged file the branch that
// reads them. The result takes a whole prompt. The shape of a cache input is often used for positions and masks; this still
// works, because an empty tensor of the same shape replaces the input. A file without a cache is unchanged.
func prefill(ctx context.Context, m *graph.Model, l *models.Layout) (*models.Layout, error) {
	if len(l.Bodies) > 1 {
		if err := choose(m, l.Bodies[0].Graph); err != nil {
			return nil, err
		}
		var err error
		if l, err = locateAgain(ctx, m, l); err != nil {
			return nil, err
		}
	}
	body := l.Bodies[0]
	pasts, err := pastsOf(m, l)
	if err != nil {
		return nil, err
	}
	var presents []*graph.Value
	for _, v := range m.Graph.Outputs() {
		if (isCache(v.Type(), l) || !v.Type().Ranked) && isPresent(v, body) {
			presents = append(presents, v)
		}
	}
	if len(pasts)+len(presents) == 0 {
		return l, nil
	}
	tokens := l.Tokens()
	if tokens == nil {
		return nil, errors.New("the token input was not found")
	}
	if d := tokens.Type().Dims; len(d) == 2 && d[1].Size == 1 {
		return nil, hint.With(fmt.Errorf("input %q takes one token at a time", tokens.Name()), "use the file of the folder that takes whole prompts (decoder_model.onnx or model.onnx)")
	}
	e := m.Edit()
	for _, v := range presents {
		e.RemoveOutput(m.Graph, v)
	}
	p := newPatch(e, m, l, body)
	for _, past := range pasts {
		var empty *graph.Value
		for _, u := range past.Uses() {
			joined := u.Node.Out(0)
			if u.Node.Is("Concat") && len(u.Node.Inputs()) == 2 && (!joined.IsOutput() || slices.Contains(presents, joined)) {
				fresh := u.Node.In(1 - u.Slot) // Concat with an empty tensor is the other operand
				for _, r := range joined.Uses() {
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
	return locateAgain(ctx, m, l)
}

// locateAgain recognises a changed model again. was provides information that the graph may no longer contain.
func locateAgain(ctx context.Context, m *graph.Model, was *models.Layout) (*models.Layout, error) {
	cfg := &models.Config{Heads: was.Heads}
	if was.Embed != nil {
		cfg.Vocab = int(was.Embed.In)
	}
	return recognise.Locate(ctx, m, cfg)
}

// choose replaces the If that holds a branch with the branch, and removes the inputs that only the condition or the other
// branch read.
func choose(m *graph.Model, branch *graph.Graph) error {
	inputs := m.Graph.Inputs()
	read := slices.DeleteFunc(inputs, func(v *graph.Value) bool { return len(v.Uses()) == 0 })
	e := m.Edit()
	e.InlineBranch(branch)
	e.Prune()
	if err := e.Commit(); err != nil {
		return err
	}
	e = m.Edit()
	for _, v := range read {
		if len(v.Uses()) == 0 && !v.IsOutput() {
			e.RemoveInput(v)
		}
	}
	return e.Commit()
}

// pastsOf returns the inputs that are caches, because attention reads them as keys or values.
func pastsOf(m *graph.Model, l *models.Layout) ([]*graph.Value, error) {
	var pasts []*graph.Value
	for _, v := range m.Graph.Inputs() {
		switch {
		case !v.Type().DType.IsFloat() || !attended(v, l.Bodies[0], moves|cuts): // a mask also has four axes
		case !isCache(v.Type(), l):
			return nil, fmt.Errorf("input %q is %v, want keys or values [batch, %d, past, %d]", v.Name(), v.Type(), l.KVHeads, l.DHead)
		default:
			if d := v.Type().Dims[len(v.Type().Dims)-2]; d.Size > 0 {
				return nil, fmt.Errorf("input %q holds exactly %d earlier positions, want a cache that may be empty", v.Name(), d.Size)
			}
			pasts = append(pasts, v)
		}
	}
	return pasts, nil
}

// isCache reports whether a type is that of keys and values: [batch, head, past, d_head], or stacked [2, batch, head, past,
// d_head]. The declared number of heads must agree, because a mask may also have four axes.
func isCache(t graph.Type, l *models.Layout) bool {
	d := t.Dims
	k := len(d)
	if !t.DType.IsFloat() || k != 4 && !(k == 5 && d[0].Size == 2) {
		return false
	}
	agrees := func(d graph.Dim, n int) bool { return d.Size < 0 || d.Size == int64(n) }
	return agrees(d[k-3], l.KVHeads) && agrees(d[k-1], l.DHead)
}

// empty builds a tensor like past but without positions: the batch of the tokens, and heads and d_head as declared.
func (p *patch) empty(past, tokens *graph.Value) *graph.Value {
	d := past.Type().Dims
	shape := p.node("Shape", past.Name()+"/tokens_shape", tokens)
	batch := p.node("Gather", past.Name()+"/batch", shape, p.ints("batch_axis", 0))
	parts := []*graph.Value{batch}
	if len(d) == 5 {
		parts = []*graph.Value{p.ints("two", 2), batch}
	}
	tail := p.ints("cache_tail", int64(p.layout.KVHeads), 0, int64(p.layout.DHead))
	dims := p.nodeAttrs("Concat", past.Name()+"/empty_shape", graph.Attrs{"axis": 0}, append(parts, tail)...)
	zero := graph.Zeros(past.Type().DType, 1)
	return p.nodeAttrs("ConstantOfShape", past.Name()+"/empty", graph.Attrs{"value": zero}, dims)
}
