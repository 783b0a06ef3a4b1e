package memory

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/choice"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// Encoding says where the vector of a memory comes from.
type Encoding string

// The encodings of the paper.
const (
	EncodingUnembed Encoding = "unembed" // the sum of the tokens' columns of W_U
	EncodingEmbed   Encoding = "embed"   // the sum of the tokens' rows of W_E
	EncodingLayer   Encoding = "layer"   // what attention of the injected layer writes at the last token of BOS + text
)

// Encodings lists the choices, the paper's own first.
var Encodings = []Encoding{EncodingUnembed, EncodingEmbed, EncodingLayer}

// ParseEncoding reads the name of an encoding.
func ParseEncoding(s string) (Encoding, error) { return choice.Of("encoding", s, Encodings) }

// Convention says in which coordinates a memory is taken: those of TransformerLens, which folds the final norm into W_U and
// centres what is written to the residual stream, or the file's own.
type Convention string

// The conventions. Injected into the same model they are different vectors: the paper's code has the folded ones.
const (
	ConventionFolded Convention = "tl-folded"
	ConventionRaw    Convention = "raw"
)

// Conventions lists the choices, the default first.
var Conventions = []Convention{ConventionFolded, ConventionRaw}

// ParseConvention reads the name of a convention.
func ParseConvention(s string) (Convention, error) { return choice.Of("convention", s, Conventions) }

// Encoder makes memory vectors [d_model] from the weights of one model.
//
// With E the rows that tokens have (columns of W_U, or rows of W_E), gamma the weight of the final norm, S the set of
// distinct tokens of the text, n its size, mean E the mean over the whole vocabulary and C(x) = x - mean of x over d_model:
//
//	unembed, tl-folded   C(gamma * (sum over S of E_v - n * mean E))
//	unembed, raw         sum over S of E_v
//	embed,   tl-folded   C(sum over S of E_v)
//	embed,   raw         sum over S of E_v
//
// Source: arXiv 2309.05605 and its code, in which a token that stands twice in the text counts once; the folded forms are
// what TransformerLens 1.x makes of the weights (fold_ln, center_writing_weights, center_unembed), written in the file's own
// parameters. The bias of the final norm and that of the unembedding play no part.
type Encoder struct {
	encoding   Encoding
	convention Convention
	token      func(int64) ([]float32, error) // E_v
	vocab      int64
	gamma      []float32 // nil: 1
	mean       []float64 // mean E; nil: 0
}

// NewEncoder prepares memories of one encoding and convention. It reads the mean of the unembedding once, where the formula
// has it. A model without the parameters needed is refused, and so is [EncodingLayer], which takes a run of the model:
// see [LayerVector].
func NewEncoder(l *models.Layout, enc Encoding, conv Convention) (*Encoder, error) {
	e, err := newEncoder(l, enc, conv)
	if err != nil {
		return nil, fmt.Errorf("memory encoding %q, convention %q: %w", enc, conv, err)
	}
	return e, nil
}

func newEncoder(l *models.Layout, enc Encoding, conv Convention) (*Encoder, error) {
	if _, err := ParseConvention(string(conv)); err != nil {
		return nil, err
	}
	e := &Encoder{encoding: enc, convention: conv}
	switch enc {
	case EncodingEmbed:
		if l.Embed == nil {
			return nil, hint.With(errors.New("the file has no table of token embeddings that could be read"), "use --encoding unembed or layer")
		}
		e.token, e.vocab = l.Embed.Row, l.Embed.In
		return e, checkWidth(l, l.Embed.Out)
	case EncodingUnembed:
		if l.Unembed == nil {
			return nil, hint.With(errors.New("the file ends in hidden states: it has no unembedding"),
				"use --encoding embed or layer, or a file exported for text generation")
		}
		e.token, e.vocab = l.Unembed.Col, l.Unembed.Out
		if err := checkWidth(l, l.Unembed.In); err != nil || conv == ConventionRaw {
			return e, err
		}
		if len(l.Bodies) == 0 || l.Bodies[0].Norm == nil {
			return nil, hint.With(errors.New("the final norm was not found"), "use --convention raw or --encoding embed")
		}
		e.gamma = slices.Repeat([]float32{1}, l.DModel)
		var err error
		if gamma := l.Bodies[0].Norm.Gamma; gamma != nil {
			if e.gamma, err = weights.Vector(gamma); err != nil {
				return nil, err
			}
		}
		if len(e.gamma) != l.DModel {
			return nil, fmt.Errorf("the final norm has %d weights, d_model is %d", len(e.gamma), l.DModel)
		}
		e.mean, err = l.Unembed.MeanCol()
		return e, err
	case EncodingLayer:
		return nil, errors.New("this vector is an activation: it takes a run of the model")
	}
	_, err := ParseEncoding(string(enc))
	return nil, err
}

func checkWidth(l *models.Layout, got int64) error {
	if got != int64(l.DModel) {
		return fmt.Errorf("the table is %d wide, d_model is %d", got, l.DModel)
	}
	return nil
}

// Vector returns the memory [d_model] of a text given as tokens, without a beginning-of-text token. Neither order nor
// repetition of tokens matters. Sums are in float64.
func (e *Encoder) Vector(tokens []int64) ([]float32, error) {
	set := slices.Compact(slices.Sorted(slices.Values(tokens)))
	if len(set) == 0 {
		return nil, errors.New("memory of no tokens")
	}
	var x []float64
	for _, v := range set {
		if v < 0 || v >= e.vocab {
			return nil, fmt.Errorf("memory token %d: the vocabulary is 0 to %d; is this the model's own tokenizer?", v, e.vocab-1)
		}
		row, err := e.token(v)
		if err != nil {
			return nil, fmt.Errorf("memory token %d: %w", v, err)
		}
		if x == nil {
			x = make([]float64, len(row))
		}
		for i := range row {
			x[i] += float64(row[i])
		}
	}
	for i := range x {
		if e.mean != nil {
			x[i] -= float64(len(set)) * e.mean[i]
		}
		if e.gamma != nil {
			x[i] *= float64(e.gamma[i])
		}
	}
	return inConvention(x, e.convention), nil
}

// Vector makes one memory vector; see [Encoder] for many.
func Vector(l *models.Layout, tokens []int64, enc Encoding, conv Convention) ([]float32, error) {
	e, err := NewEncoder(l, enc, conv)
	if err != nil {
		return nil, err
	}
	return e.Vector(tokens)
}

// LayerVector makes the memory of [EncodingLayer] from the output of attention (b_O included) of the layer that the memory
// will be injected into, at the last token of BOS + text: attnOut itself, or centred over d_model.
func LayerVector(attnOut []float32, conv Convention) []float32 {
	x := make([]float64, len(attnOut))
	for i, v := range attnOut {
		x[i] = float64(v)
	}
	return inConvention(x, conv)
}

// Faint is the length below which a memory is as good as zero. Rows of tokens that training never met are left with 1e-8 or
// so by weight decay; those of tokens that mean something are about 1.
const Faint = 1e-6

// Length is the Euclidean length of a vector.
func Length(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// inConvention rounds to float32, for ConventionFolded after taking the mean away.
func inConvention(x []float64, conv Convention) []float32 {
	mean := 0.0
	if conv == ConventionFolded {
		for _, v := range x {
			mean += v / float64(len(x))
		}
	}
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v - mean)
	}
	return out
}
