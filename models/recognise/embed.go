package recognise

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// beforeStream lists the operations between tables of embeddings and the first layer: sums, a factor, a norm.
const beforeStream = ops.Flows | ops.Pointwise | ops.Normalise | ops.Reduce

// embed finds the token and position tables before resid_pre of layer 0.
func (a *analysis) embed(l *models.Layout, b *models.Body, cfg *models.Config) *miss {
	first := b.Layers[0].ResidPre[0]
	find := a.lookedUp
	if first.Producer().Is("com.microsoft.EmbedLayerNormalization") {
		find = a.fusedTables
	}
	if m := find(l, b, cfg); m != nil {
		return m
	}
	if l.Positions != nil {
		l.NCtx = int(l.Positions.In)
	}
	return nil
}

// fusedTables reads the tables of EmbedLayerNormalization: input_ids, segment_ids, word_embedding, position_embedding, …
func (a *analysis) fusedTables(l *models.Layout, b *models.Body, _ *models.Config) *miss {
	n := b.Layers[0].ResidPre[0].Producer()
	l.Embed, l.Positions = a.table(n, n.In(2)), a.table(n, n.In(3))
	if l.Embed == nil {
		return &miss{8, n, "a constant table of token embeddings", "none"}
	}
	return nil
}

// lookedUp reads the tables from which the stream before layer 0 is looked up.
func (a *analysis) lookedUp(l *models.Layout, b *models.Body, cfg *models.Config) *miss {
	first, at := b.Layers[0].ResidPre[0], b.Layers[0].Core
	var fed, computed []*weights.Weight // tables indexed by an input, and by computed values
	for _, n := range a.lookups(first) {
		if a.readProjection(n) != nil {
			return &miss{8, n, "only embeddings before the first layer", "a projection (in a layer whose attention was not recognised?)"}
		}
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
	if m := a.tokenTable(l, b, cfg, fed); m != nil {
		return m
	}
	if len(computed) == 0 { // then an input may give the positions; if positions are computed, the input has another purpose
		computed = slices.DeleteFunc(fed, func(w *weights.Weight) bool { return w == l.Embed })
	}
	switch {
	case l.Positions != nil:
	case len(computed) > 1:
		return &miss{8, at, "one table of positions [n_ctx, d_model]", fmt.Sprintf("%d", len(computed))}
	case len(computed) == 1:
		l.Positions = computed[0]
	default:
		l.Positions = a.folded(first, l.DModel)
	}
	return nil
}

// lookups returns the look-ups in constant tables that a value is computed from, and any projections.
func (a *analysis) lookups(v *graph.Value) []*graph.Node {
	var found []*graph.Node
	next := func(v *graph.Value) []*graph.Value {
		n := v.Producer()
		switch {
		case n == nil || a.Is(v):
		case n.Is("Gather", "com.microsoft.GatherBlockQuantized", "Slice") && a.Is(n.In(0)), a.readProjection(n) != nil:
			if !slices.Contains(found, n) {
				found = append(found, n)
			}
		case ops.Is(n, beforeStream):
			return ops.Data(n)
		}
		return nil
	}
	for range ops.Reach(a.budget, next, v) {
	}
	return found
}

// tokenTable chooses W_E among the tables that an input indexes.
func (a *analysis) tokenTable(l *models.Layout, b *models.Body, cfg *models.Config, fed []*weights.Weight) *miss {
	first := b.Layers[0].ResidPre[0]
	if a.embedded(first) {
		return nil
	}
	tokens := a.tokenTables(fed, int64(l.Vocab), cfg)
	if len(tokens) == 0 && l.Vocab > 0 { // the output does not score tokens: a classifier on top of the decoder
		l.Vocab, l.Unembed, b.Logits, b.BU = 0, nil, nil, nil
		tokens = a.tokenTables(fed, 0, cfg)
	}
	if len(tokens) != 1 {
		return &miss{8, b.Layers[0].Core, "one table of token embeddings [vocab, d_model] indexed by an input", fmt.Sprintf("%d", len(tokens))}
	}
	l.Embed = tokens[0]
	factor, ok := a.factor(first, l.Embed.Node.Out(0))
	if !ok {
		return &miss{8, l.Embed.Node, "embeddings that are multiplied by at most one number before the first layer", "a product with another value"}
	}
	l.Embed.Alpha *= factor
	return nil
}

// factor returns the number that embeddings are multiplied by before the first layer: sqrt(d_model) in Gemma, a separate
// number in Granite. A norm on the path (BLOOM) cancels factors before it and ends the search. ok is false if the
// embeddings are multiplied by anything other than one number.
func (a *analysis) factor(first, table *graph.Value) (x float64, ok bool) {
	x = 1
	for v := first; v != table; {
		n := v.Producer()
		if a.norm(v) != nil || n == nil {
			return x, true
		}
		var on *graph.Value
		for _, in := range ops.Data(n) {
			if !a.Is(in) && a.leadsTo(in, table) {
				on = in
			}
		}
		if n.Is("Mul", "Div") && on != nil {
			c, isNumber := a.scalar(n.In(0))
			if n.In(0) == on {
				c, isNumber = a.scalar(n.In(1))
			}
			switch {
			case !isNumber || n.Is("Div") && (n.In(0) != on || c == 0):
				return 0, false
			case n.Is("Mul"):
				x *= c
			default:
				x /= c
			}
		}
		if v = on; v == nil {
			return 0, false
		}
	}
	return x, true
}

// leadsTo reports whether v is computed from table by operations that are allowed before the stream.
func (a *analysis) leadsTo(v, table *graph.Value) bool {
	for w := range ops.Reach(a.budget, ops.Through(beforeStream), v) {
		if w == table {
			return true
		}
	}
	return false
}

// embedded reports whether the caller looks up the embeddings, so that an input holds them.
func (a *analysis) embedded(stream *graph.Value) bool {
	return slices.ContainsFunc(a.inputsBefore(stream), func(v *graph.Value) bool { return v.Type().DType.IsFloat() })
}

// tokenTables returns the tables that can be W_E: those with as many rows as the logits or config.json have tokens, else
// those with a few more. If neither gives a number, a table as long as the causal mask holds positions, and the longest
// table holds tokens.
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
		return with(func(rows int64) bool { return padded(rows, vocab) })
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

// maskSize returns the longest text for which a stored causal mask is made, or 0 if the file stores none.
func (a *analysis) maskSize() int64 {
	size := int64(0)
	for k, triangle := range a.triangles {
		if triangle {
			size = max(size, k.Dims[len(k.Dims)-1])
		}
	}
	return size
}

// folded finds the positions of a file with one fixed length: constant rows that are added to the token embeddings. The
// exporter may have looked them up, or left Gather(table, constant) in the graph.
func (a *analysis) folded(first *graph.Value, dModel int) *weights.Weight {
	for v := range ops.Reach(a.budget, ops.Through(beforeStream), first) {
		if n := v.Producer(); n.Is("Add", "com.microsoft.SkipLayerNormalization") {
			for _, in := range ops.Data(n) {
				if w := a.rows(in, int64(dModel)); w != nil && a.Is(in) {
					return w
				}
			}
		}
	}
	return nil
}

// rows reads the shape of a constant [pos, d_model], without leading ones. For a look-up it returns the whole table.
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
		case ops.Is(n, ops.Copies) || n.Is("Expand", "Slice"):
			v = n.In(0)
		default:
			return nil
		}
	}
	return nil
}

// padded reports whether a table has a few more rows than the vocabulary, because exporters round up to a multiple of 8 or
// more.
func padded(rows, vocab int64) bool { return rows > vocab && rows-vocab < 128 && rows%8 == 0 }

// tokensOnly reports whether indices are an integer graph input, moved or converted but not computed with.
func (a *analysis) tokensOnly(v *graph.Value) bool {
	in := a.root(v)
	return in.IsInput() && !in.Type().DType.IsFloat()
}

// table reads an embedding table. A DequantizeLinear after the Gather dequantises it.
func (a *analysis) table(n *graph.Node, data *graph.Value) *weights.Weight {
	if n.Is("com.microsoft.GatherBlockQuantized") {
		return a.blockTable(n)
	}
	w := a.matrix(data)
	if w == nil || w.Store == nil || len(w.Store.Dims) != 2 {
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

// blockTable reads a table in blocks of 4 bits: data, indices, scales, zero points. A tied table is the packed W_U of
// MatMulNBits, reshaped from [vocab, blocks, bytes] to [vocab, blocks * bytes]. The padding of d_model to whole blocks is
// cut off after the look-up.
func (a *analysis) blockTable(n *graph.Node) *weights.Weight {
	packed, scales, zeros := a.root(n.In(0)).Const(), a.root(n.In(2)).Const(), a.root(n.In(3)).Const()
	if packed == nil || scales == nil || n.In(3) != nil && zeros == nil || len(packed.Dims) < 2 || packed.Dims[0] <= 0 {
		return nil
	}
	perByte := int64(1)
	bits := n.Int("bits", 4)
	if packed.DType == graph.Uint8 && bits > 0 && bits < 8 {
		perByte = 8 / bits // several values in a byte
	}
	width := packed.Len() / packed.Dims[0] * perByte
	w := &weights.Weight{In: packed.Dims[0], Out: width, Alpha: 1, Node: n,
		Block: &weights.Block{Bits: bits, Size: n.Int("block_size", 128), Packed: packed, Scales: scales, Zeros: zeros}}
	for _, u := range n.Out(0).Uses() {
		if u.Node.Is("Slice") && u.Slot == 0 {
			if d := a.facts.Of(u.Node.Out(0)).Dim(-1); d > 0 && d < width {
				w.Out = d
			}
		}
	}
	return w
}
