package lens

import (
	"errors"
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// Norm says what is between a head's result and the unembedding; the package comment has the formulas.
type Norm string

// The norms.
const (
	NormFinal Norm = "final"
	NormTL    Norm = "tl"
	NormRaw   Norm = "raw"
)

// Norms lists the choices, the default first: under "tl" the constant beta · E is most of what small heads show, the same
// tokens for all of them.
var Norms = []Norm{NormFinal, NormTL, NormRaw}

// Doc says in a few words what a norm does.
func (n Norm) Doc() string {
	switch n {
	case NormTL:
		return "head outputs in TransformerLens' folded coordinates, no norm in between, as in the paper"
	case NormFinal:
		return "divided by the final norm's scale at the last position: what the head adds to the logits"
	}
	return "the file's own numbers, no norm in between"
}

// coordinates turn results into the vectors that meet the unembedding's columns.
type coordinates struct {
	norm        Norm
	d           int
	centred     bool      // the final norm is a LayerNorm, which takes the mean away
	gamma, beta []float32 // nil: 1 and 0
	eps         float64
	mean        []float64 // of the unembedding's columns over the vocabulary; nil: nothing is taken away
	meanBias    float64
}

// coordinates reads the parameters that the norm needs; bias is b_U, nil for none.
func newCoordinates(norm Norm, l *models.Layout, bias []float32) (*coordinates, error) {
	c := &coordinates{norm: norm, d: l.DModel}
	if norm == NormRaw {
		return c, nil
	}
	ln := l.Bodies[0].Norm
	if ln == nil {
		return nil, hint.With(errors.New("the final norm was not found"), "use --norm raw")
	}
	switch ln.Kind {
	case models.LayerNorm, models.RMSNorm:
		c.centred, c.eps = ln.Kind == models.LayerNorm, ln.Eps
	default:
		return nil, hint.With(fmt.Errorf("a final norm of the kind %q: want %s or %s", ln.Kind, models.LayerNorm, models.RMSNorm), "use --norm raw")
	}
	var err error
	if c.gamma, err = parameterOf(ln.Gamma, "weight of the final norm", c.d); err != nil {
		return nil, err
	}
	if norm == NormFinal {
		return c, nil
	}
	if c.beta, err = parameterOf(ln.Beta, "bias of the final norm", c.d); err != nil {
		return nil, err
	}
	if l.SoftCap != 0 {
		return c, nil // a cap makes something else of logits that a number was taken from
	}
	for _, b := range bias {
		c.meanBias += float64(b) / float64(len(bias))
	}
	c.mean, err = l.Unembed.MeanCol()
	return c, err
}

// parameterOf reads a parameter of a norm, nil where it has none.
func parameterOf(v *graph.Value, what string, d int) ([]float32, error) {
	if v == nil {
		return nil, nil
	}
	x, err := weights.Vector(v)
	if err == nil && len(x) != d {
		err = fmt.Errorf("the %s has %d numbers, d_model is %d", what, len(x), d)
	}
	return x, err
}

// scale is what the final norm divides the stream by.
func (c *coordinates) scale(stream []float32) float64 { return sizeOf(stream, c.centred, c.eps) }

// vector turns what a head adds to the stream into what meets the unembedding, and gives what is taken from every logit. sigma is the
// scale of the final norm.
func (c *coordinates) vector(x []float64, sigma float64, out []float32) (shift float64) {
	if c.norm != NormRaw && c.centred {
		centre(x)
	}
	for i := range x {
		if c.gamma != nil {
			x[i] *= float64(c.gamma[i])
		}
		if c.norm == NormFinal {
			x[i] /= sigma
		} else if c.beta != nil {
			x[i] += float64(c.beta[i])
		}
		out[i] = float32(x[i])
		if c.mean != nil {
			shift += x[i] * c.mean[i]
		}
	}
	return shift + c.meanBias
}

func meanOf(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}
