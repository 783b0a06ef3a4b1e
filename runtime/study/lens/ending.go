package lens

import (
	"errors"
	"math"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// ending is what follows the residual stream in a model: the final norm, the unembedding, and the soft cap on the logits.
type ending struct {
	norm *coordinates
	beta []float32 // of the final norm; nil for none
	cap  float64   // logits are cap * tanh(x / cap); 0: they are x
}

// newEnding reads the parameters of the final norm.
func newEnding(l *models.Layout) (*ending, error) {
	c, err := newCoordinates(NormFinal, l, nil)
	if err != nil {
		return nil, err
	}
	e := &ending{norm: c, cap: l.SoftCap}
	e.beta, err = parameterOf(l.Bodies[0].Norm.Beta, "bias of the final norm", l.DModel)
	return e, err
}

// shown refuses a file in which what the final norm reads is not the resid_post that a port shows.
func shown(l *models.Layout, man *models.Manifest) error {
	if man == nil {
		return nil
	}
	for _, b := range man.Baked {
		if b.At() == (models.BakedAt{Site: models.PortResidPost, Layer: l.Layers - 1}) {
			return hint.With(errors.New("the file stores an intervention at resid_post of the last layer: no port shows what the final norm reads"),
				"use the file that it was made from")
		}
	}
	return nil
}

// apply takes the stream at one position, [d_model], through the final norm.
func (e *ending) apply(stream []float32) []float32 {
	x, out := make([]float64, len(stream)), make([]float32, len(stream))
	for i, v := range stream {
		x[i] = float64(v)
	}
	e.norm.vector(x, e.norm.scale(stream), out)
	for i, b := range e.beta {
		out[i] += b
	}
	return out
}

// direction returns the vector [d_model] that a part of the stream is multiplied with to give its part of a token's logit: the token's
// column of W_U, times the gain of the final norm, over the scale that the norm has for the whole stream. A LayerNorm takes the mean from
// the part; here it is taken from the vector, which gives the same product.
func (e *ending) direction(column, stream []float32) []float64 {
	u := make([]float64, len(column))
	scale := e.norm.scale(stream)
	for i, w := range column {
		u[i] = float64(w) / scale
		if e.norm.gamma != nil {
			u[i] *= float64(e.norm.gamma[i])
		}
	}
	if e.norm.centred {
		centre(u)
	}
	return u
}

// capped applies the soft cap to a logit.
func (e *ending) capped(x float64) float64 {
	if e.cap == 0 {
		return x
	}
	return e.cap * math.Tanh(x/e.cap)
}
