package models

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// ends finds what lies before the first and behind the last layer: embeddings, final norm, unembedding, logits.
func (a *analysis) ends(l *Layout, b *Body) *miss {
	last := b.Layers[len(b.Layers)-1]
	a.unembed(l, b, last)
	return a.embed(l, b)
}

// embed finds the token and position tables behind resid_pre of layer 0.
func (a *analysis) embed(l *Layout, b *Body) *miss {
	first := b.Layers[0].ResidPre[0]
	if n := first.Producer(); n.Is("com.microsoft.EmbedLayerNormalization") {
		// input_ids, segment_ids, word_embedding, position_embedding, …
		l.Embed, l.Positions = a.table(n, n.In(2)), a.table(n, n.In(3))
	} else {
		over := append([]string{"Add", "Mul", "DequantizeLinear", "Where", "Slice"}, through...)
		tables := a.back(first, over, func(n *graph.Node) bool {
			return n.Is("Gather", "com.microsoft.GatherBlockQuantized") && a.is(n.In(0))
		})
		var tokens []*graph.Node
		for _, n := range tables {
			w := a.table(n, n.In(0))
			if w == nil || int(w.Out) != l.DModel {
				continue
			}
			if l.Vocab > 0 && w.In != int64(l.Vocab) && !a.padded(w.In, int64(l.Vocab)) || !a.tokensOnly(n.In(1)) {
				if l.Positions == nil {
					l.Positions = w
				}
				continue
			}
			tokens = append(tokens, n)
		}
		if len(tokens) == 2 { // without an unembedding to compare with, both tables may fit: the larger one holds the vocabulary
			x, y := a.table(tokens[0], tokens[0].In(0)), a.table(tokens[1], tokens[1].In(0))
			if x.In < y.In {
				x, y = y, x
				tokens[0], tokens[1] = tokens[1], tokens[0]
			}
			if x.In != y.In {
				l.Positions = y
				tokens = tokens[:1]
			}
		}
		if len(tokens) != 1 {
			return &miss{8, b.Layers[0].Core, "one table of token embeddings [vocab, d_model] indexed by an input", fmt.Sprintf("%d", len(tokens))}
		}
		l.Embed = a.table(tokens[0], tokens[0].In(0))
	}
	if l.Embed == nil {
		return &miss{8, first.Producer(), "a constant table of token embeddings", "none"}
	}
	if l.Positions != nil {
		l.NCtx = int(l.Positions.In)
	}
	return nil
}

// padded reports whether a table has a few more rows than the vocabulary: exporters round up for fast kernels.
func (a *analysis) padded(rows, vocab int64) bool { return rows > vocab && rows-vocab < 128 }

// tokensOnly reports whether indices are an integer graph input, moved and converted but not computed with.
func (a *analysis) tokensOnly(v *graph.Value) bool {
	for v != nil {
		if v.IsInput() {
			return !v.Type.DType.IsFloat()
		}
		n := v.Producer()
		if !n.Is("Identity", "Cast", "Reshape", "Unsqueeze", "Squeeze", "Flatten") {
			return false
		}
		v = n.In(0)
	}
	return false
}

// table reads an embedding table, dequantised by the DequantizeLinear behind the Gather where there is one.
func (a *analysis) table(n *graph.Node, data *graph.Value) *Weight {
	w := a.matrix(data)
	if w == nil {
		return nil
	}
	w.Node = n
	if w.Scale == nil && !w.Store.DType.IsFloat() {
		for _, u := range n.Out(0).Uses() {
			if u.Slot == 0 && u.Node.Is("DequantizeLinear") {
				w.Scale, w.Zero = u.Node.In(1).Const(), u.Node.In(2).Const()
				w.Axis = 1
			}
		}
		if w.Scale == nil {
			return nil
		}
	}
	return w
}

// unembed finds the graph output that is a projection of the normalised last residual stream. A file that ends in hidden
// states has none; its memories can still be made by the other encodings.
func (a *analysis) unembed(l *Layout, b *Body, last *Layer) {
	for _, out := range a.g.Outputs() {
		if a.depth(out) != len(b.Layers) {
			continue // a cache output, or a port in the middle
		}
		v := out
		for v != nil && v.Producer() != nil {
			n := v.Producer()
			if w := a.readProjection(n); w != nil {
				if int(w.In) == l.DModel && a.fromStream(n.In(0), b, last) {
					l.Unembed, l.Vocab, b.Logits = w, int(w.Out), out
					b.Norm = a.norm(n.In(0))
				}
				break
			}
			switch {
			case n.Is("Reshape", "Cast", "Identity", "Slice", "Gather", "Squeeze", "Unsqueeze", "DynamicQuantizeLinear"):
				v = n.In(0)
			case n.Is("Add", "Mul"):
				v = n.In(0)
				if a.is(v) || n.Is("Mul") && v.Producer().Is("Mul") {
					v = n.In(1)
				}
			default:
				v = nil
			}
		}
		if b.Logits != nil {
			return
		}
	}
	// No logits: the norm is what reads the last residual stream.
	for _, out := range a.g.Outputs() {
		if a.depth(out) == len(b.Layers) {
			if n := a.norm(out); n != nil {
				b.Norm = n
				return
			}
		}
	}
}

// fromStream reports whether v is computed from the end of the last block by nothing but a norm and moves.
func (a *analysis) fromStream(v *graph.Value, b *Body, last *Layer) bool {
	n := a.norm(v)
	return n != nil && a.dependsOn(n.Out, last.AttnOut[0])
}

// norm reads the normalisation that v comes out of: one operator, or the expansion of opset 16 and before,
//
//	x → ReduceMean, Sub, Pow 2, ReduceMean, Add eps, Sqrt, Div → Mul(gamma) → Add(beta)
func (a *analysis) norm(v *graph.Value) *Norm {
	for v != nil {
		n := v.Producer()
		switch {
		case n == nil:
			return nil
		case n.Is("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"):
			return &Norm{Node: n, Gamma: n.In(1), Beta: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-5)}
		case n.Is("com.microsoft.SkipLayerNormalization"):
			return &Norm{Node: n, Gamma: n.In(2), Beta: n.In(3), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
		case n.Is("com.microsoft.SkipSimplifiedLayerNormalization"):
			return &Norm{Node: n, Gamma: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
		case n.Is("Reshape", "Cast", "Identity", "Slice", "Gather", "Squeeze", "Unsqueeze", "DynamicQuantizeLinear"):
			v = n.In(0)
		case n.Is("Add"):
			beta, scaled := constAnd(a, n)
			if beta == nil || !scaled.Producer().Is("Mul") {
				return nil
			}
			gamma, unit := constAnd(a, scaled.Producer())
			if gamma == nil || !unit.Producer().Is("Div") {
				return nil
			}
			return &Norm{Node: n, Gamma: gamma, Beta: beta, Out: v, Eps: a.epsilon(unit.Producer())}
		default:
			return nil
		}
	}
	return nil
}

// epsilon reads eps from Div(x - mean, Sqrt(variance + eps)).
func (a *analysis) epsilon(div *graph.Node) float64 {
	if sqrt := div.In(1).Producer(); sqrt.Is("Sqrt") && sqrt.In(0).Producer().Is("Add") {
		eps, _ := constAnd(a, sqrt.In(0).Producer())
		if f := a.floats(eps); len(f) == 1 {
			return float64(f[0])
		}
	}
	return 0
}

// constAnd splits the operands of a commutative node into the constant and the other one; nil when there is no constant.
func constAnd(a *analysis, n *graph.Node) (constant, other *graph.Value) {
	ins := n.Inputs()
	i := slices.IndexFunc(ins, a.is)
	if len(ins) != 2 || i < 0 {
		return nil, nil
	}
	return ins[i], ins[1-i]
}

// Tokens returns the graph input that holds the token ids, nil when it cannot be told.
func (l *Layout) Tokens() *graph.Value {
	if l.Embed == nil || l.Embed.Node == nil {
		return nil
	}
	v := l.Embed.Node.In(1)
	if l.Embed.Node.Is("com.microsoft.EmbedLayerNormalization") {
		v = l.Embed.Node.In(0)
	}
	for v != nil && !v.IsInput() {
		if v.Producer() == nil {
			return nil
		}
		v = v.Producer().In(0)
	}
	return v
}

// Logits returns the main graph's output that holds the logits, nil when the file ends in hidden states. In a merged file it
// is the If's output, not the branch's.
func (l *Layout) Logits() *graph.Value {
	b := l.Bodies[0]
	owner := b.Graph.Owner()
	if b.Logits == nil || owner == nil {
		return b.Logits
	}
	return owner.Out(slices.Index(b.Graph.Outputs(), b.Logits))
}
