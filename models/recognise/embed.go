package recognise

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// ends finds what lies before the first and behind the last layer: embeddings, final norm, unembedding, logits.
func (a *analysis) ends(l *models.Layout, b *models.Body, cfg *models.Config) *miss {
	last := b.Layers[len(b.Layers)-1]
	a.unembed(l, b, last)
	return a.embed(l, b, cfg)
}

// embed finds the token and position tables behind resid_pre of layer 0.
func (a *analysis) embed(l *models.Layout, b *models.Body, cfg *models.Config) *miss {
	first := b.Layers[0].ResidPre[0]
	if n := first.Producer(); n.Is("com.microsoft.EmbedLayerNormalization") {
		// input_ids, segment_ids, word_embedding, position_embedding, …
		l.Embed, l.Positions = a.table(n, n.In(2)), a.table(n, n.In(3))
		if l.Embed == nil {
			return &miss{8, n, "a constant table of token embeddings", "none"}
		}
	} else {
		over := slices.Concat([]string{"Add", "Mul", "Where", "Slice"}, skipNorms, through)
		if found := a.back(first, over, func(n *graph.Node) bool { return a.readProjection(n) != nil }); len(found) > 0 {
			return &miss{8, found[0], "nothing but embeddings in front of the first layer", "a projection (of a layer whose attention was not recognised?)"}
		}
		var fed, computed []*weights.Weight
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
			l.Vocab, l.Unembed, b.Logits, b.BU = 0, nil, nil, nil
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
			computed = slices.DeleteFunc(fed, func(w *weights.Weight) bool { return w == l.Embed })
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
	if l.Positions != nil {
		l.NCtx = int(l.Positions.In)
	}
	return nil
}

// embedded reports whether the caller looks tokens up: then an input holds their embeddings.
func (a *analysis) embedded(stream *graph.Value) bool {
	return slices.ContainsFunc(a.inputsBehind(stream), func(v *graph.Value) bool { return v.Type().DType.IsFloat() })
}

// tokenTables returns those of the tables that can be W_E: with as many rows as there are logits or config.json says, else
// with a few more. Where neither tells, a table as long as the causal mask holds positions, and the longest one tokens.
func (a *analysis) tokenTables(fed []*weights.Weight, vocab int64, cfg *models.Config) []*weights.Weight {
	if vocab == 0 && cfg != nil {
		vocab = int64(cfg.Vocab)
	}
	with := func(ok func(rows int64) bool) (out []*weights.Weight) {
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
func (a *analysis) folded(first *graph.Value, over []string, dModel int) *weights.Weight {
	var found *weights.Weight
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
func (a *analysis) rows(v *graph.Value, dModel int64) *weights.Weight {
	for v != nil {
		if k := v.Const(); k != nil {
			r := len(k.Dims)
			if r < 2 || k.Dims[r-1] != dModel || k.Len() != k.Dims[r-2]*dModel {
				return nil
			}
			return &weights.Weight{In: k.Dims[r-2], Out: dModel, Alpha: 1}
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
			return !v.Type().DType.IsFloat()
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
func (a *analysis) table(n *graph.Node, data *graph.Value) *weights.Weight {
	w := a.matrix(data)
	if w == nil || w.Store == nil || len(w.Store.Dims) != 2 {
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

// constAnd splits the operands of a commutative node into the constant and the other one; nil when there is no constant.
func constAnd(a *analysis, n *graph.Node) (constant, other *graph.Value) {
	ins := n.Inputs()
	i := slices.IndexFunc(ins, a.is)
	if len(ins) != 2 || i < 0 {
		return nil, nil
	}
	return ins[i], ins[1-i]
}
