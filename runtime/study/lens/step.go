package lens

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
)

// step is what is between a head's result and the residual stream at one position, for layers that have something there: a norm
// (Gemma 2, OLMo 2) or a multiplier (Granite). With the size that the norm divides by held where it is, it is a factor for each
// number, so that what the heads write still adds up to attn_out except for what belongs to none of them.
type step struct {
	centred bool
	factor  []float64 // [d_model]
	offset  []float64 // the bias of the norm, times a multiplier; nil for none
}

// joinsLater reports whether a layer has a step.
func joinsLater(l *models.Layer) bool { return l.PostNorm != nil || l.Scaled }

// joint is what a step depends on beside the numbers of a run.
type joint struct {
	layer             *models.Layer
	bias, gamma, beta []float32 // of W_O and of the norm; nil: 0, 1 and 0
}

// openJoint reads the parameters of a layer that has a step.
func openJoint(l *models.Layer, d int) (*joint, error) {
	j := &joint{layer: l, bias: make([]float32, d)}
	b, err := biasOf(l, d)
	if err != nil {
		return nil, err
	}
	copy(j.bias, b)
	if l.PostNorm == nil {
		return j, nil
	}
	if j.gamma, err = parameterOf(l.PostNorm.Gamma, "weight of the norm after attention", d); err != nil {
		return nil, err
	}
	j.beta, err = parameterOf(l.PostNorm.Beta, "bias of the norm after attention", d)
	return j, err
}

// step measures the step from the results of the heads and from what joins the stream, at the same position. One that does not lead
// from the sum of the results to what joins is refused.
func (j *joint) step(results [][]float32, attnOut []float32) (*step, error) {
	out := slices.Clone(j.bias)
	for _, r := range results {
		for i, v := range r {
			out[i] += v
		}
	}
	s := &step{factor: slices.Repeat([]float64{1}, len(out))}
	if n := j.layer.PostNorm; n != nil {
		s.centred = n.Kind == models.LayerNorm
		size := sizeOf(out, s.centred, n.Eps)
		for i := range s.factor {
			s.factor[i] /= size
			if j.gamma != nil {
				s.factor[i] *= float64(j.gamma[i])
			}
		}
	}
	x := make([]float64, len(out))
	for i, v := range out {
		x[i] = float64(v)
	}
	s.apply(x)
	for i, b := range j.beta {
		x[i] += float64(b)
	}
	var dot, square, around, off float64
	for i := range x {
		dot, square = dot+x[i]*float64(attnOut[i]), square+x[i]*x[i]
	}
	multiplier := 1.0
	if j.layer.Scaled && square > 0 {
		multiplier = dot / square
	}
	for _, b := range j.beta {
		s.offset = append(s.offset, float64(b)*multiplier)
	}
	for i := range x {
		s.factor[i] *= multiplier
		d := x[i]*multiplier - float64(attnOut[i])
		off, around = off+d*d, around+float64(attnOut[i])*float64(attnOut[i])
	}
	if !(math.Sqrt(off) <= 0.1*math.Sqrt(around)) { // of 8 bits each, heads add up to within some hundredths
		return nil, fmt.Errorf("layer %d: what attention adds to the stream is not its output after the norm or the multiplier that was recognised", j.layer.Index)
	}
	return s, nil
}

// apply turns what a head writes into what it adds to the stream.
func (s *step) apply(x []float64) {
	if s == nil {
		return
	}
	if s.centred {
		centre(x)
	}
	for i := range x {
		x[i] *= s.factor[i]
	}
}

// shift adds what the step adds to whatever the heads write.
func (s *step) shift(x []float64) {
	if s == nil {
		return
	}
	for i, b := range s.offset {
		x[i] += b
	}
}

// centre takes the mean away.
func centre(x []float64) {
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for i := range x {
		x[i] -= mean
	}
}

// sizeOf is what a norm divides by: the root of the variance plus eps, or of the mean square plus eps.
func sizeOf(x []float32, centred bool, eps float64) float64 {
	mean, sum := 0.0, 0.0
	if centred {
		mean = meanOf(x)
	}
	for _, v := range x {
		sum += (float64(v) - mean) * (float64(v) - mean)
	}
	return math.Sqrt(sum/float64(len(x)) + eps)
}
