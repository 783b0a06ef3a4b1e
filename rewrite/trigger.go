package rewrite

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// A stored intervention that acts at a phrase finds it in the tokens. With ids [batch, pos] and a sequence t of n tokens, it acts
// at the positions p with
//
//	ids[p-n+1] = t[0], …, ids[p] = t[n-1]
//
// The ids are extended to the left by n-1 columns of -1, which is no token, so that each comparison is one Slice and one Equal:
//
//	-1 … -1 ids ─┬─ Slice ─ Equal t[0] ─┐
//	             ├─ Slice ─ Equal t[1] ─ And ─┐
//	             └─ Slice ─ Equal t[2] ────── And ── Where(·, on, off)
//
// Where it does not act, tau is 0 and keep is 1: what ports have when they are off. A graph with a cache sees the tokens of one
// step only, so that it does not find a phrase that a step divides.

// chosen returns on at the tokens at which b acts and off at all others, with the axes of a tau or keep of the site.
func (s *steering) chosen(name string, b Bake, on *graph.Value, off float32) *graph.Value {
	dims := []int64{0, 0, 1}
	if s.site.ByHead() {
		dims = append(dims, 1)
	}
	at := s.node("Reshape", name+"/at", s.endsOf(b.Tokens), s.ints(fmt.Sprintf("positions_%d", len(dims)), dims...))
	return s.node("Where", name+"/chosen", at, on, s.constant(fmt.Sprintf("off_%v", off), graph.NewFloat32([]float32{off})))
}

// endsOf returns the positions at which one of the sequences ends, bool [batch, pos].
func (p *patch) endsOf(sequences [][]int64) *graph.Value {
	key := fmt.Sprint(sequences)
	if v := p.phrases[key]; v != nil {
		return v
	}
	name := fmt.Sprintf("onnx-inject/phrase_%d", len(p.phrases))
	longest := len(slices.MaxFunc(sequences, func(a, b []int64) int { return len(a) - len(b) }))
	ids := p.convert(name+"/ids", p.layout.Tokens(), graph.Int64)
	if longest > 1 {
		first := p.slice(name+"/first", ids, 0, 1)
		none := p.node("Sub", name+"/none", p.node("Sub", name+"/zero", first, first), p.ints("one_token", 1))
		ids = p.nodeAttrs("Concat", name+"/extended", graph.Attrs{"axis": int64(1)}, append(slices.Repeat([]*graph.Value{none}, longest-1), ids)...)
	}
	var found *graph.Value
	for i, sequence := range sequences {
		var all *graph.Value
		for k, token := range sequence {
			name := fmt.Sprintf("%s/%d_%d", name, i, k)
			tokens := ids
			if longest > 1 {
				start, end := int64(longest-len(sequence)+k), int64(k+1-len(sequence))
				if end == 0 {
					end = math.MaxInt32
				}
				tokens = p.slice(name+"/tokens", ids, start, end)
			}
			all = p.both("And", name+"/and", all, p.node("Equal", name+"/equal", tokens, p.ints(fmt.Sprintf("token_%d", token), token)))
		}
		found = p.both("Or", fmt.Sprintf("%s/%d/or", name, i), found, all)
	}
	p.phrases[key] = found
	return found
}

// both joins two conditions. The first may be nil.
func (p *patch) both(op, name string, a, b *graph.Value) *graph.Value {
	if a == nil {
		return b
	}
	return p.node(op, name, a, b)
}

// slice takes positions from start to end, which is not included, of values [batch, pos].
func (p *patch) slice(name string, v *graph.Value, start, end int64) *graph.Value {
	return p.node("Slice", name, v, p.ints(fmt.Sprintf("at_%d", start), start), p.ints(fmt.Sprintf("at_%d", end), end), p.ints("axis_1", 1))
}

// checkTokens refuses an intervention at a phrase that the graph cannot find.
func (b Bake) checkTokens(m *graph.Model, l *models.Layout) error {
	if b.Tokens == nil {
		return nil
	}
	ids := l.Tokens()
	if v := m.Opset(""); v < 10 { // Slice takes its bounds as inputs since opset 10
		return fmt.Errorf("a phrase needs opset 10 or later, the model has %d", v)
	}
	if ids == nil {
		return errors.New("a phrase needs tokens as the input, and the model takes embeddings")
	}
	t := ids.Type()
	if t.Ranked && len(t.Dims) != 2 {
		return fmt.Errorf("a phrase needs tokens [batch, pos], and the input %s has %d axes", ids.Name(), len(t.Dims))
	}
	if len(b.Tokens) == 0 {
		return errors.New("a phrase without tokens")
	}
	for _, sequence := range b.Tokens {
		switch {
		case len(sequence) == 0:
			return errors.New("a phrase without tokens")
		case t.Ranked && t.Dims[1].Size > 0 && int64(len(sequence)) > t.Dims[1].Size:
			err := fmt.Errorf("the phrase %q has %d tokens, and the model takes %d at a time", b.Phrase, len(sequence), t.Dims[1].Size)
			return hint.With(err, "store it in the file that takes the prompt")
		}
		for _, token := range sequence {
			if token < 0 || l.Vocab > 0 && token >= int64(l.Vocab) {
				return fmt.Errorf("token %d of the phrase %q, the vocabulary is 0 to %d; is this the model's own tokenizer?", token, b.Phrase, l.Vocab-1)
			}
		}
	}
	return nil
}

// checkPhrases refuses two replacements at one place whose phrases can end at the same token: the file would have neither.
func (r Request) checkPhrases() error {
	for i, a := range r.Bake {
		for _, b := range r.Bake[:i] {
			if a.Tokens == nil || b.Tokens == nil || a.Keep == nil || b.Keep == nil || a.At() != b.At() {
				continue
			}
			for _, x := range a.Tokens {
				for _, y := range b.Tokens {
					if n := min(len(x), len(y)); slices.Equal(x[len(x)-n:], y[len(y)-n:]) {
						return fmt.Errorf("%q and %q end with the same tokens, and both replace %s of layer %d: want one memory for a phrase", b.Phrase, a.Phrase, a.At().Site, a.Layer)
					}
				}
			}
		}
	}
	return nil
}
