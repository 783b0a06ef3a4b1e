package models

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// ends finds what lies before the first and behind the last layer: embeddings, final norm, unembedding, logits.
func (a *analysis) ends(l *Layout, b *Body, cfg *Config) *miss {
	last := b.Layers[len(b.Layers)-1]
	a.unembed(l, b, last)
	return a.embed(l, b, cfg)
}

// embed finds the token and position tables behind resid_pre of layer 0.
func (a *analysis) embed(l *Layout, b *Body, cfg *Config) *miss {
	first := b.Layers[0].ResidPre[0]
	if n := first.Producer(); n.Is("com.microsoft.EmbedLayerNormalization") {
		// input_ids, segment_ids, word_embedding, position_embedding, …
		l.Embed, l.Positions = a.table(n, n.In(2)), a.table(n, n.In(3))
	} else {
		over := slices.Concat([]string{"Add", "Mul", "Where", "Slice"}, skipNorms, through)
		var fed, computed []*Weight
		for _, n := range a.back(first, over, func(n *graph.Node) bool {
			return n.Is("Gather", "com.microsoft.GatherBlockQuantized", "Slice") && a.is(n.In(0))
		}) {
			if n.Is("Slice") { // positions counted from 0 are the first rows of their table
				l.Positions = a.rows(n.In(0), int64(l.DModel))
				continue
			}
			switch w := a.table(n, n.In(0)); {
			case w == nil || int(w.Out) != l.DModel:
			case a.tokensOnly(n.In(1)):
				fed = append(fed, w)
			default:
				computed = append(computed, w)
			}
		}
		tokens := a.tokenTables(fed, int64(l.Vocab), cfg)
		embedded := a.embedded(first)
		if len(tokens) == 0 && l.Vocab > 0 && !embedded { // the output is not over tokens: a classifier on top of the decoder
			l.Vocab, l.Unembed, b.Logits = 0, nil, nil
			tokens = a.tokenTables(fed, 0, cfg)
		}
		switch {
		case embedded:
		case len(tokens) != 1:
			return &miss{8, b.Layers[0].Core, "one table of token embeddings [vocab, d_model] indexed by an input", fmt.Sprintf("%d", len(tokens))}
		default:
			l.Embed = tokens[0]
		}
		if len(computed) == 0 { // then an input may give the positions; beside computed ones it is for something else
			computed = slices.DeleteFunc(fed, func(w *Weight) bool { return w == l.Embed })
		}
		switch {
		case l.Positions != nil:
		case len(computed) > 1:
			return &miss{8, b.Layers[0].Core, "one table of positions [n_ctx, d_model]", fmt.Sprintf("%d", len(computed))}
		case len(computed) == 1:
			l.Positions = computed[0]
		default:
			l.Positions = a.folded(first, over, l.DModel)
		}
	}
	if l.Embed == nil && !a.embedded(first) {
		return &miss{8, first.Producer(), "a constant table of token embeddings", "none"}
	}
	if l.Positions != nil {
		l.NCtx = int(l.Positions.In)
	}
	return nil
}

// embedded reports whether the caller looks tokens up: then an input holds their embeddings.
func (a *analysis) embedded(stream *graph.Value) bool {
	return slices.ContainsFunc(a.inputsBehind(stream), func(v *graph.Value) bool { return v.Type.DType.IsFloat() })
}

// tokenTables returns those of the tables that can be W_E: with as many rows as there are logits or config.json says, else
// with a few more. Where neither tells, a table as long as the causal mask holds positions, and the longest one tokens.
func (a *analysis) tokenTables(fed []*Weight, vocab int64, cfg *Config) []*Weight {
	if vocab == 0 && cfg != nil {
		vocab = int64(cfg.Vocab)
	}
	with := func(ok func(rows int64) bool) (out []*Weight) {
		for _, w := range fed {
			if ok(w.In) {
				out = append(out, w)
			}
		}
		return out
	}
	if vocab > 0 {
		if exact := with(func(rows int64) bool { return rows == vocab }); len(exact) > 0 {
			return exact
		}
		return with(func(rows int64) bool { return a.padded(rows, vocab) })
	}
	mask := a.maskSize()
	longest := int64(0)
	for _, w := range fed {
		if w.In != mask || len(fed) == 1 {
			longest = max(longest, w.In)
		}
	}
	return with(func(rows int64) bool { return rows == longest })
}

// maskSize is the longest text that a stored causal mask is made for, 0 where the file stores none.
func (a *analysis) maskSize() int64 {
	size := int64(0)
	for k, triangle := range a.triangles {
		if triangle {
			size = max(size, k.Dims[len(k.Dims)-1])
		}
	}
	return size
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
	if n.Is("com.microsoft.GatherBlockQuantized") { // data, indices, scales, zero points
		w.Scale, w.ScaleBlock = n.In(2).Const(), n.Int("block_size", 128)
		if bits := n.Int("bits", 4); w.Store.DType == graph.Uint8 && bits > 0 && bits < 8 { // several values in a byte
			w.Out *= 8 / bits
		}
		return w
	}
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

// unembed finds the graph output that is a projection of the normalised last residual stream; of several, the widest one. A
// file that ends in hidden states has none; its memories can still be made by the other encodings.
func (a *analysis) unembed(l *Layout, b *Body, last *Layer) {
	for _, out := range a.g.Outputs() {
		if a.depth(out) != len(b.Layers) {
			continue // a cache output, or a port in the middle
		}
		if w := a.logits(out); w != nil && int(w.In) == l.DModel && int(w.Out) > l.Vocab {
			if n := a.finalNorm(w.Node.In(0), last); n != nil {
				l.Unembed, l.Vocab, b.Logits, b.Norm = w, int(w.Out), out, n
			}
		}
	}
	if b.Logits != nil {
		return
	}
	for _, out := range a.g.Outputs() { // no logits: the norm is what reads the last residual stream
		if a.depth(out) == len(b.Layers) {
			if n := a.finalNorm(out, last); n != nil {
				b.Norm = n
				return
			}
		}
	}
}

// picks are operations that move, convert or choose among values: what may stand between the last norm and the logits.
var picks = append([]string{"Slice", "Gather", "GatherND"}, through...)

// logits reads the projection that out comes from: biases may be added behind it, and all of it may be multiplied by a number,
// which becomes part of W_U. nil when there is none, or when something else is done to the product.
func (a *analysis) logits(out *graph.Value) *Weight {
	factor, biased := 1.0, false
	for v := out; v != nil && v.Producer() != nil; {
		n := v.Producer()
		if w := a.readProjection(n); w != nil {
			if factor != 1 && (biased || biasOf(n) != nil) {
				return nil // b_U would be scaled, too
			}
			w.Alpha *= factor
			return w
		}
		constant, other := constAnd(a, n)
		switch {
		case n.Is(picks...):
			v = n.In(0)
		case n.Is("Add") && constant != nil:
			v, biased = other, true
		case n.Is("Mul") && constant != nil && len(a.floats(constant)) == 1:
			v, factor = other, factor*float64(a.floats(constant)[0])
		case n.Is("Mul"):
			v = integersBehind(n)
		default:
			v = nil
		}
	}
	return nil
}

// integersBehind returns the product of integers that a Mul makes floats of, nil when it does something else; see scaled.
func integersBehind(mul *graph.Node) *graph.Value {
	for _, in := range mul.Inputs() {
		if c := in.Producer(); c.Is("Cast") {
			if p := c.In(0).Producer(); p.Is("MatMulInteger") && scaled(p) == mul {
				return c.In(0)
			}
		}
	}
	return nil
}

// finalNorm reads the norm that v comes out of, nil unless it normalises what the last block gives: a head on top of the
// decoder may have a norm of its own.
func (a *analysis) finalNorm(v *graph.Value, last *Layer) *Norm {
	n := a.norm(v)
	switch {
	case n == nil:
		return nil
	case last.ResidPost == nil:
		if n.Node != last.ResidPostOut {
			n = nil
		}
		return n
	case n.Node == last.ResidPost[0].Producer(): // a skip norm
		return n
	}
	for x := n.In; x != nil; x = x.Producer().In(0) {
		if x == last.ResidPost[0] {
			return n
		}
		if !x.Producer().Is(picks...) {
			break
		}
	}
	a.stray = n
	return nil
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
		return &Norm{Node: n, In: a.centred(n.In(0)), Gamma: n.In(1), Beta: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-5)}
	case n.Is("com.microsoft.SkipLayerNormalization"):
		return &Norm{Node: n, Gamma: n.In(2), Beta: n.In(3), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
	case n.Is("com.microsoft.SkipSimplifiedLayerNormalization"):
		return &Norm{Node: n, Gamma: n.In(2), Out: n.Out(0), Eps: n.Float("epsilon", 1e-12)}
	case n.Is("Div"):
		if x, eps, ok := a.standardised(n); ok { // an optimiser leaves out a gamma of ones
			return &Norm{Node: n, In: x, Out: v, Eps: eps}
		}
	case n.Is("Mul"):
		gamma, unit := constAnd(a, n)
		if gamma == nil {
			return nil
		}
		if x, eps, ok := a.standardised(a.converted(unit).Producer()); ok {
			return &Norm{Node: n, In: x, Gamma: gamma, Out: v, Eps: eps}
		}
	}
	return nil
}

// rms reports whether a norm divides by the root mean square of the stream itself. ONNX Runtime writes a LayerNorm without
// beta as such a norm of x minus its mean, which it is not.
func (a *analysis) rms(n *Norm) bool {
	return n.Node.Is("RMSNormalization", "SimplifiedLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization") && a.centred(n.Node.In(0)) == n.Node.In(0)
}

// centred returns x where v is x minus its mean, else v.
func (a *analysis) centred(v *graph.Value) *graph.Value {
	if sub := a.converted(v).Producer(); sub.Is("Sub") && a.converted(sub.In(1)).Producer().Is("ReduceMean") {
		return sub.In(0)
	}
	return v
}

// converted returns what v was before conversions of its type.
func (a *analysis) converted(v *graph.Value) *graph.Value {
	for v != nil && v.Producer().Is("Cast", "Identity", "QuantizeLinear", "DequantizeLinear") {
		v = v.Producer().In(0)
	}
	return v
}

// standardised reads x and eps of Div(x - mean, Sqrt(mean((x - mean)²) + eps)).
func (a *analysis) standardised(div *graph.Node) (x *graph.Value, eps float64, ok bool) {
	if !div.Is("Div") {
		return nil, 0, false
	}
	sub, sqrt := a.converted(div.In(0)).Producer(), a.converted(div.In(1)).Producer()
	if !sub.Is("Sub") || !sqrt.Is("Sqrt") || !a.meanOf(sub.In(1), func(v *graph.Value) bool { return a.same(v, sub.In(0)) }) {
		return nil, 0, false
	}
	sum := a.converted(sqrt.In(0)).Producer()
	if !sum.Is("Add") {
		return nil, 0, false
	}
	constant, variance := constAnd(a, sum)
	if constant == nil {
		return nil, 0, false
	}
	if f := a.floats(constant); len(f) == 1 {
		eps = float64(f[0])
	}
	deviation := func(v *graph.Value) bool { // the same difference, or one computed once more
		again := a.converted(v).Producer()
		return again == sub || again.Is("Sub") && a.same(again.In(0), sub.In(0)) && a.same(again.In(1), sub.In(1))
	}
	return sub.In(0), eps, a.meanOf(variance, func(v *graph.Value) bool {
		switch square := a.converted(v).Producer(); {
		case square.Is("Pow"):
			two := a.floats(square.In(1))
			return len(two) == 1 && two[0] == 2 && deviation(square.In(0))
		case square.Is("Mul"):
			return deviation(square.In(0)) && deviation(square.In(1))
		}
		return false
	})
}

// meanOf reports whether v is a mean over the last axis of something that of holds for.
func (a *analysis) meanOf(v *graph.Value, of func(*graph.Value) bool) bool {
	n := a.converted(v).Producer()
	if !n.Is("ReduceMean") {
		return false
	}
	axes := n.Ints("axes")
	if n.In(1) != nil {
		axes, _ = a.ints(n.In(1))
	}
	return len(axes) == 1 && (axes[0] == -1 || axes[0] == 2) && of(n.In(0))
}

// same reports whether two values differ by conversions at most.
func (a *analysis) same(v, w *graph.Value) bool { return v != nil && a.converted(v) == a.converted(w) }

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
