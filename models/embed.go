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
		over := slices.Concat([]string{"Add", "Mul", "Where", "Slice"}, skipNorms, through)
		tables := a.back(first, over, func(n *graph.Node) bool {
			return n.Is("Gather", "com.microsoft.GatherBlockQuantized", "Slice") && a.is(n.In(0))
		})
		var tokens []*graph.Node
		for _, n := range tables {
			if n.Is("Slice") { // positions counted from 0 are the first rows of their table
				l.Positions = a.rows(n.In(0), int64(l.DModel))
				continue
			}
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
		if len(tokens) == 0 && l.Vocab > 0 { // the output is not over tokens: a classifier on top of the decoder
			l.Vocab, l.Unembed, l.Positions, b.Logits = 0, nil, nil, nil
			return a.embed(l, b)
		}
		if len(tokens) != 1 {
			return &miss{8, b.Layers[0].Core, "one table of token embeddings [vocab, d_model] indexed by an input", fmt.Sprintf("%d", len(tokens))}
		}
		l.Embed = a.table(tokens[0], tokens[0].In(0))
		if l.Positions == nil {
			l.Positions = a.folded(first, over, l.DModel)
		}
	}
	if l.Embed == nil {
		return &miss{8, first.Producer(), "a constant table of token embeddings", "none"}
	}
	if l.Positions != nil {
		l.NCtx = int(l.Positions.In)
	}
	return nil
}

// folded finds the positions of a file of one fixed length: rows that are constant and added to the token embeddings, whether
// the exporter looked them up ahead or left Gather(table, constant) in the graph.
func (a *analysis) folded(first *graph.Value, over []string, dModel int) *Weight {
	var found *Weight
	a.back(first, over, func(n *graph.Node) bool {
		for _, in := range dataInputs(n) {
			if found == nil && n.Is("Add", "com.microsoft.SkipLayerNormalization") && a.is(in) {
				found = a.rows(in, int64(dModel))
			}
		}
		return false
	})
	return found
}

// rows reads the shape of a constant [pos, d_model], ones in front of it not counted; of a look-up, the whole table.
func (a *analysis) rows(v *graph.Value, dModel int64) *Weight {
	for v != nil {
		if k := v.Const(); k != nil {
			r := len(k.Dims)
			if r < 2 || k.Dims[r-1] != dModel || k.Len() != k.Dims[r-2]*dModel {
				return nil
			}
			return &Weight{In: k.Dims[r-2], Out: dModel, Alpha: 1}
		}
		n := v.Producer()
		switch {
		case n.Is("Gather"):
			return a.table(n, n.In(0))
		case n.Is("Identity", "Cast", "Reshape", "Unsqueeze", "Squeeze", "Expand", "Slice", "QuantizeLinear", "DequantizeLinear"):
			v = n.In(0)
		default:
			return nil
		}
	}
	return nil
}

// padded reports whether a table has a few more rows than the vocabulary: exporters round up to a multiple of 8 or more.
func (a *analysis) padded(rows, vocab int64) bool {
	return rows > vocab && rows-vocab < 128 && rows%8 == 0
}

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
			case n.Is(picks...):
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

// picks are operations that move, convert or choose among values: what may stand between the last norm and the logits.
var picks = append([]string{"Slice", "Gather", "GatherND"}, through...)

// fromStream reports whether v is computed from the end of the last block by nothing but a norm and moves.
func (a *analysis) fromStream(v *graph.Value, b *Body, last *Layer) bool {
	n := a.norm(v)
	return n != nil && a.dependsOn(n.Out, last.AttnOut[0])
}

// norm reads the normalisation that v comes out of.
func (a *analysis) norm(v *graph.Value) *Norm {
	for v != nil && v.Producer().Is(picks...) {
		v = v.Producer().In(0)
	}
	if v == nil || v.Producer() == nil {
		return nil
	}
	if n := v.Producer(); n.Is("Add") {
		beta, scaled := constAnd(a, n)
		if beta == nil {
			return nil
		}
		norm := a.scaledNorm(a.converted(scaled))
		if norm != nil {
			norm.Beta, norm.Out = beta, v
		}
		return norm
	}
	return a.scaledNorm(v)
}

// scaledNorm reads a normalisation up to gamma, one operator or the expansion of opset 16 and before:
//
//	x → ReduceMean, Sub, Pow 2, ReduceMean, Add eps, Sqrt, Div → Mul(gamma)
//
// What divides x itself is an RMSNorm and is not read. nanoGPT can do without beta.
func (a *analysis) scaledNorm(v *graph.Value) *Norm {
	n := v.Producer()
	switch {
	case n.Is("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"):
		return &Norm{Node: n, Gamma: n.In(1), Beta: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-5)}
	case n.Is("com.microsoft.SkipLayerNormalization"):
		return &Norm{Node: n, Gamma: n.In(2), Beta: n.In(3), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
	case n.Is("com.microsoft.SkipSimplifiedLayerNormalization"):
		return &Norm{Node: n, Gamma: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
	case n.Is("Mul"):
		gamma, unit := constAnd(a, n)
		if gamma == nil {
			return nil
		}
		if div := a.converted(unit).Producer(); div.Is("Div") && a.converted(div.In(0)).Producer().Is("Sub") {
			return &Norm{Node: n, Gamma: gamma, Out: v, Eps: a.epsilon(div)}
		}
	}
	return nil
}

// rms reports whether a norm divides by the root mean square of the stream itself. ONNX Runtime writes a LayerNorm without
// beta as such a norm of x minus its mean, which it is not.
func (a *analysis) rms(n *Norm) bool {
	if !n.Node.Is("RMSNormalization", "SimplifiedLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization") {
		return false
	}
	centred := a.converted(n.Node.In(0)).Producer()
	return !centred.Is("Sub") || !a.converted(centred.In(1)).Producer().Is("ReduceMean")
}

// converted returns what v was before conversions of its type.
func (a *analysis) converted(v *graph.Value) *graph.Value {
	for v != nil && v.Producer().Is("Cast", "Identity", "QuantizeLinear", "DequantizeLinear") {
		v = v.Producer().In(0)
	}
	return v
}

// epsilon reads eps from Div(x - mean, Sqrt(variance + eps)).
func (a *analysis) epsilon(div *graph.Node) float64 {
	if sqrt := a.converted(div.In(1)).Producer(); sqrt.Is("Sqrt") && a.converted(sqrt.In(0)).Producer().Is("Add") {
		eps, _ := constAnd(a, a.converted(sqrt.In(0)).Producer())
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
