package lens

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
)

// Attribution splits the logit of a token at the last position into what each part of the residual stream adds to it: direct logit
// attribution. Each part, as it joins the stream, is multiplied with the token's column of W_U times the gain of the final norm, over the
// scale that the final norm has for the whole stream. The parts add up to the logit, before a soft cap.
type Attribution struct {
	Answer Token       `json:"answer"` // with the logit and log-probability that the model gives it
	Rank   int         `json:"rank"`   // number of tokens with a larger logit
	Parts  []Component `json:"components"`
	Sum    float64     `json:"sum"` // of the components
}

// Component is one part of the stream.
type Component struct {
	Kind  ComponentKind `json:"kind"`
	Layer int           `json:"layer"` // -1 for a part that belongs to no layer
	Head  int           `json:"head"`  // -1 for a part that is no head
	Logit float64       `json:"logit"`
}

// ComponentKind names a part of the stream.
type ComponentKind string

// The kinds of parts.
const (
	PartEmbed    ComponentKind = "embed"    // what enters layer 0
	PartHead     ComponentKind = "head"     // result, after the norm or the factor that follows W_O in some families
	PartBO       ComponentKind = "b_O"      // the bias of W_O, and the bias of a norm that follows W_O
	PartMLP      ComponentKind = "mlp"      // mlp_out
	PartBaked    ComponentKind = "baked"    // memories that are stored in the file
	PartConstant ComponentKind = "constant" // bias of the final norm times the token's column of W_U, plus the token's entry of b_U
)

// Of returns the sum of the parts of a kind at a layer; -1 is no layer.
func (a *Attribution) Of(kind ComponentKind, layer int) (sum float64) {
	for _, c := range a.Parts {
		if c.Kind == kind && c.Layer == layer {
			sum += c.Logit
		}
	}
	return sum
}

// Layer returns the sum of the parts of a layer.
func (a *Attribution) Layer(layer int) (sum float64) {
	for _, c := range a.Parts {
		if c.Layer == layer {
			sum += c.Logit
		}
	}
	return sum
}

// Has reports whether there is a part of a kind.
func (a *Attribution) Has(kind ComponentKind) bool {
	return slices.ContainsFunc(a.Parts, func(c Component) bool { return c.Kind == kind })
}

// Largest is the size of the largest part of a layer.
func (a *Attribution) Largest() (largest float64) {
	for _, c := range a.Parts {
		if c.Layer >= 0 {
			largest = max(largest, math.Abs(c.Logit))
		}
	}
	return largest
}

// largest lists the n heads that change the logit most, in either direction.
func (a *Attribution) largest(n int) []HeadAt {
	var heads []Component
	for _, c := range a.Parts {
		if c.Kind == PartHead {
			heads = append(heads, c)
		}
	}
	slices.SortStableFunc(heads, func(x, y Component) int { return cmp.Compare(math.Abs(y.Logit), math.Abs(x.Logit)) })
	var out []HeadAt
	for _, c := range heads[:min(n, len(heads))] {
		out = append(out, HeadAt{c.Layer, c.Head})
	}
	return out
}

// attribute splits the logit of a token; -1 means the likeliest one.
func (l *Lens) attribute(s *sight, answer int64) (*Attribution, error) {
	if answer < 0 {
		answer = int64(slices.Index(s.logits, slices.Max(s.logits)))
	}
	columns, err := l.Layout.Unembed.Columns()
	if err != nil {
		return nil, err
	}
	column, err := columns.Read(answer, 1)
	if err != nil {
		return nil, err
	}
	d := l.Layout.DModel
	stream := s.posts[len(s.posts)-1]
	stream = stream[len(stream)-d:]
	a := &Attribution{Answer: Token{Token: l.texts.Token(answer), ID: answer, Logit: float64(s.logits[answer])}}
	logZ := math.Inf(-1)
	for _, x := range s.logits {
		logZ = logAdd(logZ, float64(x))
		if x > s.logits[answer] {
			a.Rank++
		}
	}
	a.Answer.LogP = a.Answer.Logit - logZ

	direction := l.ending.direction(column, stream)
	rest := floats64(stream) // what no part has claimed yet
	add := func(kind ComponentKind, layer, head int, x []float64) {
		c := Component{kind, layer, head, 0}
		for i, v := range x {
			c.Logit += v * direction[i]
			rest[i] -= v
		}
		a.Parts = append(a.Parts, c)
	}
	add(PartEmbed, -1, -1, floats64(s.embed[len(s.embed)-d:]))
	for i, x := range s.parts {
		for k, r := range x.results {
			v := floats64(r)
			x.step.apply(v)
			add(PartHead, i, k, v)
		}
		if b := l.heads.biases[i]; b != nil || x.step != nil {
			v := make([]float64, d)
			copy(v, floats64(b))
			x.step.apply(v)
			x.step.shift(v)
			add(PartBO, i, -1, v)
		}
		if x.mlp != nil {
			add(PartMLP, i, -1, floats64(x.mlp))
		}
	}
	if man := l.texts.Decoder.Manifest; man != nil && len(man.Baked) > 0 {
		add(PartBaked, -1, -1, slices.Clone(rest))
	}
	constant := 0.0
	for i, b := range l.ending.beta {
		constant += float64(b) * float64(column[i])
	}
	if l.bias != nil {
		constant += float64(l.bias[answer])
	}
	if l.ending.beta != nil || l.bias != nil {
		a.Parts = append(a.Parts, Component{PartConstant, -1, -1, constant})
	}
	around := 0.0
	for _, c := range a.Parts {
		a.Sum += c.Logit
		around += math.Abs(c.Logit)
	}
	// In files of 8 bits the parts add up to within some hundredths.
	if off := math.Abs(l.ending.capped(a.Sum) - a.Answer.Logit); !(off <= 0.05*around+1e-6) {
		return nil, fmt.Errorf("attribution: the parts of the stream add up to a logit of %.4g for token %d, the model gives %.4g: "+
			"something is added to the stream that was not recognised", l.ending.capped(a.Sum), answer, a.Answer.Logit)
	}
	return a, nil
}

// biasOf adds up the terms of b_O of a layer; nil for none.
func biasOf(l *models.Layer, d int) ([]float32, error) {
	var sum []float32
	for _, v := range l.BO {
		b, err := parameterOf(v, "bias of W_O", d)
		if err != nil {
			return nil, err
		}
		if sum == nil {
			sum = make([]float32, d)
		}
		for i := range b {
			sum[i] += b[i]
		}
	}
	return sum, nil
}

func floats64(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

// Table is an attribution as a table of layers: the heads, what else a layer has, and the sum of the layer.
type Table struct {
	Columns []string
	Rows    [][]float64 // by layer
}

// Table arranges the parts by layer. heads is the number of heads of a layer.
func (a *Attribution) Table(heads int) Table {
	var t Table
	kinds := []ComponentKind{}
	for h := range heads {
		t.Columns = append(t.Columns, fmt.Sprintf(".%d", h))
	}
	for _, kind := range []ComponentKind{PartBO, PartMLP} {
		if a.Has(kind) {
			kinds, t.Columns = append(kinds, kind), append(t.Columns, string(kind))
		}
	}
	t.Columns = append(t.Columns, "layer")
	for _, c := range a.Parts {
		if c.Layer == len(t.Rows) {
			t.Rows = append(t.Rows, nil)
		}
		if c.Kind == PartHead {
			t.Rows[c.Layer] = append(t.Rows[c.Layer], c.Logit)
		}
	}
	for layer := range t.Rows {
		for _, kind := range kinds {
			t.Rows[layer] = append(t.Rows[layer], a.Of(kind, layer))
		}
		t.Rows[layer] = append(t.Rows[layer], a.Layer(layer))
	}
	return t
}
