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

// Encoding is the way to make the vector of a memory.
type Encoding string

// The encodings of the paper.
const (
	EncodingUnembed Encoding = "unembed" // the sum of the tokens' columns of W_U
	EncodingEmbed   Encoding = "embed"   // the sum of the tokens' rows of W_E
	EncodingLayer   Encoding = "layer"   // the attention output of the injected layer at the last token of BOS + text
)

// Encodings lists the choices, the paper's own first.
var Encodings = []Encoding{EncodingUnembed, EncodingEmbed, EncodingLayer}

// parseEncoding reads the name of an encoding.
func parseEncoding(s string) (Encoding, error) { return choice.Of("encoding", s, Encodings) }

// Convention is the coordinate system of a memory: that of TransformerLens, which folds the final norm into W_U and, if the
// norms are LayerNorms, centres everything that is written to the residual stream; or the file's own.
type Convention string

// The conventions. Injected into the same model, they give different vectors. The paper's code uses the folded ones.
const (
	ConventionFolded Convention = "tl-folded"
	ConventionRaw    Convention = "raw"
)

// Conventions lists the choices, the default first.
var Conventions = []Convention{ConventionFolded, ConventionRaw}

// parseConvention reads the name of a convention.
func parseConvention(s string) (Convention, error) { return choice.Of("convention", s, Conventions) }

// Encoder makes memory vectors [d_model] from the weights of one model.
//
// Let E be the rows of the tokens (columns of W_U, or rows of W_E), gamma the weight of the final norm, S the set of distinct
// tokens of the text, n its size, mean E the mean over the whole vocabulary, and C(x) = x - mean of x over d_model. Then the
// vectors are:
//
//	                     final norm is a LayerNorm                    final norm is an RMSNorm
//	unembed, tl-folded   C(gamma * (sum over S of E_v - n * mean E))  gamma * (sum over S of E_v - n * mean E)
//	unembed, raw         sum over S of E_v                            sum over S of E_v
//	embed,   tl-folded   C(sum over S of E_v)                         sum over S of E_v
//	embed,   raw         sum over S of E_v                            sum over S of E_v
//
// A LayerNorm subtracts the mean of the stream, so nothing reads the component along the vector of ones, and C changes no
// output. An RMSNorm reads that component, so there is no C. If logits are soft-capped (Gemma 2), mean E is left out, because
// subtracting the same number from all logits would change the result of the cap.
//
// Gamma is the whole gain, 1 + w in Gemma. A factor on embeddings or logits (the root of d_model in Gemma, separate numbers in
// Granite and Cohere) is part of W_E and W_U under tl-folded, as in TransformerLens. It is not part of the raw tables, which
// are the file's stored numbers. If W_E and W_U are not tied, they are two tables.
//
// Source: arXiv 2309.05605 and its code, in which a token that occurs twice in the text counts once. The folded forms are the
// weights as TransformerLens transforms them (fold_ln, center_writing_weights, center_unembed), expressed in the file's own
// parameters. The biases of the final norm and of the unembedding are not used. There is one deviation: TransformerLens does
// not fold the norms of OLMo 2, because its blocks have no norms to fold. Here its final norm is folded like any other.
// norms of OLMo 2 as they are, because its blocks have none to fold into; its final norm is folded here, as every other.
type Encoder struct {
	token   func(int64) ([]float32, error) // E_v
	vocab   int64
	gamma   []float32 // nil: 1
	mean    []float64 // mean E; nil: 0
	centred bool      // C is applied
}

// NewEncoder prepares memories of one encoding and convention. It reads the mean of the unembedding once, if the formula
// uses it. It refuses a model without the required parameters, and [EncodingLayer], which requires a run of the model: see
// [LayerVector].
func NewEncoder(l *models.Layout, enc Encoding, conv Convention) (*Encoder, error) {
	e, err := newEncoder(l, enc, conv)
	if err != nil {
		return nil, fmt.Errorf("memory encoding %q, convention %q: %w", enc, conv, err)
	}
	return e, nil
}

func newEncoder(l *models.Layout, enc Encoding, conv Convention) (*Encoder, error) {
	if _, err := parseConvention(string(conv)); err != nil {
		return nil, err
	}
	c, err := centred(l, conv)
	if err != nil {
		return nil, err
	}
	e := &Encoder{centred: c}
	switch enc {
	case EncodingEmbed:
		if l.Embed == nil {
			return nil, hint.With(errors.New("the file has no table of token embeddings that could be read"), "use --encoding unembed or layer")
		}
		w := inConvention(l.Embed, conv)
		e.token, e.vocab = w.Row, w.In
		return e, checkWidth(l, w.Out)
	case EncodingUnembed:
		if l.Unembed == nil {
			return nil, hint.With(errors.New("the file ends in hidden states: it has no unembedding"),
				"use --encoding embed or layer, or a file exported for text generation")
		}
		w := inConvention(l.Unembed, conv)
		e.token, e.vocab = w.Col, w.Out
		if err := checkWidth(l, w.In); err != nil || conv == ConventionRaw {
			return e, err
		}
		e.gamma = slices.Repeat([]float32{1}, l.DModel)
		if gamma := l.Bodies[0].Norm.Gamma; gamma != nil {
			if e.gamma, err = weights.Vector(gamma); err != nil {
				return nil, err
			}
		}
		if len(e.gamma) != l.DModel {
			return nil, fmt.Errorf("the final norm has %d weights, d_model is %d", len(e.gamma), l.DModel)
		}
		if l.SoftCap == 0 {
			e.mean, err = w.MeanCol()
		}
		return e, err
	case EncodingLayer:
		return nil, errors.New("this vector is an activation, which requires a run of the model")
	}
	_, err = parseEncoding(string(enc))
	return nil, err
}

// inConvention returns a table with its factor, or as it is stored.
func inConvention(w *weights.Weight, conv Convention) *weights.Weight {
	if conv == ConventionRaw && w.Alpha != 1 {
		own := *w
		own.Alpha = 1
		return &own
	}
	return w
}

// centred reports whether vectors of a convention have their mean subtracted: TransformerLens centres everything that is
// written to the stream if the final norm itself subtracts the mean.
func centred(l *models.Layout, conv Convention) (bool, error) {
	if conv == ConventionRaw {
		return false, nil
	}
	if len(l.Bodies) == 0 || l.Bodies[0].Norm == nil {
		return false, hint.With(errors.New("the final norm was not found"), "use --convention raw")
	}
	switch kind := l.Bodies[0].Norm.Kind; kind {
	case models.LayerNorm:
		return true, nil
	case models.RMSNorm:
		return false, nil
	default:
		return false, fmt.Errorf("a final norm of the kind %q: want %s or %s", kind, models.LayerNorm, models.RMSNorm)
	}
}

func checkWidth(l *models.Layout, got int64) error {
	if got != int64(l.DModel) {
		return fmt.Errorf("the table is %d wide, d_model is %d", got, l.DModel)
	}
	return nil
}

// Vector returns the memory [d_model] of a text given as tokens, without a beginning-of-text token. The order and
// repetition of tokens do not matter. Sums are computed in float64.
func (e *Encoder) Vector(tokens []int64) ([]float32, error) {
	set := slices.Compact(slices.Sorted(slices.Values(tokens)))
	if len(set) == 0 {
		return nil, errors.New("the memory has no tokens")
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
	return rounded(x, e.centred), nil
}

// Vector makes one memory vector. Use an [Encoder] for many.
func Vector(l *models.Layout, tokens []int64, enc Encoding, conv Convention) ([]float32, error) {
	e, err := NewEncoder(l, enc, conv)
	if err != nil {
		return nil, err
	}
	return e.Vector(tokens)
}

// LayerVector makes the memory of [EncodingLayer] from attn_out of the layer that the memory will be injected into, at the
// last token of BOS + text. The result is attn_out, or attn_out minus its mean over d_model under [ConventionFolded] if the
// final norm is a LayerNorm. attn_out is the value that joins the stream: after the post-attention norm in Gemma 2 and OLMo
// 2, after the multiplier in Granite.
func LayerVector(l *models.Layout, attnOut []float32, conv Convention) ([]float32, error) {
	c, err := centred(l, conv)
	if err != nil {
		return nil, fmt.Errorf("memory encoding %q, convention %q: %w", EncodingLayer, conv, err)
	}
	x := make([]float64, len(attnOut))
	for i, v := range attnOut {
		x[i] = float64(v)
	}
	return rounded(x, c), nil
}

// Faint is the length below which a memory is practically zero. Weight decay leaves the rows of tokens that never occurred
// in training at about 1e-8; the rows of other tokens are about 1.
const Faint = 1e-6

// Length is the Euclidean length of a vector.
func Length(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// rounded rounds to float32, after subtracting the mean if centred is set.
func rounded(x []float64, centred bool) []float32 {
	mean := 0.0
	if centred {
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
