package steer

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// unembedWork is how many products of W_U a check computes for all positions; of a larger W_U it takes the last position alone.
const unembedWork = 1 << 24

// logitsOf says that the logits are the final norm, W_U, b_U and the soft cap of what the last layer leaves.
func logitsOf(r *outcome, w *law, x *models.Layer) (s sides, err error) {
	l, logits := r.layout, r.layout.Logits()
	stream, err := r.port(w.ports[0], x.Index)
	if err != nil || stream == nil || r.out[logits.Name()] == nil {
		return sides{}, err
	}
	at := models.BakedAt{Site: w.ports[0], Layer: x.Index}
	if r.stored[at] != (models.Stored{}) {
		return sides{}, nil
	}
	if more := r.added[at]; more != nil {
		for i := range stream {
			stream[i] += more[i%len(more)]
		}
	}
	if s.want, err = wide(r.out[logits.Name()]); err != nil {
		return sides{}, err
	}
	d, batch := l.DModel, int(r.out[w.ports[0].Name(x.Index)].Dims[0])
	if len(s.want) == 0 || len(s.want)%(batch*l.Vocab) != 0 || len(stream)%(batch*d) != 0 {
		return sides{}, fmt.Errorf("%d logits of %d rows, the vocabulary is %d", len(s.want), batch, l.Vocab)
	}
	pos, have := len(stream)/(batch*d), len(s.want)/(batch*l.Vocab) // a file may unembed the last position alone
	if have > pos {
		return sides{}, fmt.Errorf("logits of %d positions, the stream has %d", have, pos)
	}
	n := have
	if batch*have*d*l.Vocab > unembedWork {
		n = 1
	}
	var rows, want [][]float64
	for b := range batch {
		for i := range n {
			at, of := b*pos+pos-n+i, b*have+have-n+i
			rows, want = append(rows, stream[at*d:(at+1)*d]), append(want, s.want[of*l.Vocab:(of+1)*l.Vocab])
		}
	}
	s.want = slices.Concat(want...)
	s.got, err = unembed(l, rows)
	return s, err
}

// unembed computes the logits [row][vocab] of rows of the residual stream.
func unembed(l *models.Layout, rows [][]float64) ([]float64, error) {
	for i, x := range rows {
		var err error
		if rows[i], err = normed(l.Bodies[0].Norm, x); err != nil {
			return nil, err
		}
	}
	columns, err := l.Unembed.Columns()
	if err != nil {
		return nil, err
	}
	bias, err := l.UnembedBias()
	if err != nil {
		return nil, err
	}
	const chunk = 4096
	out := make([]float64, len(rows)*l.Vocab)
	for from := 0; from < l.Vocab; from += chunk {
		n := min(chunk, l.Vocab-from)
		w, err := columns.Read(int64(from), int64(n))
		if err != nil {
			return nil, err
		}
		for i, x := range rows {
			multiply(out[i*l.Vocab+from:i*l.Vocab+from+n], x, w, columns.Transposed)
		}
	}
	for i := range out {
		if bias != nil {
			out[i] += float64(bias[i%l.Vocab])
		}
		if l.SoftCap > 0 {
			out[i] = l.SoftCap * math.Tanh(out[i]/l.SoftCap)
		}
	}
	return out, nil
}

// multiply adds x times a matrix [in, out] to y; transposed, the matrix is [out, in].
func multiply(y, x []float64, w []float32, transposed bool) {
	if transposed {
		for j := range y {
			row := w[j*len(x) : (j+1)*len(x)]
			for i, f := range row {
				y[j] += x[i] * float64(f)
			}
		}
		return
	}
	for i, v := range x {
		row := w[i*len(y) : (i+1)*len(y)]
		for j, f := range row {
			y[j] += v * float64(f)
		}
	}
}

// normed is a row of the stream after a norm.
func normed(norm *models.Norm, row []float64) ([]float64, error) {
	d := float64(len(row))
	mean, variance := 0.0, 0.0
	if norm.Kind == models.LayerNorm {
		for _, x := range row {
			mean += x / d
		}
	}
	for _, x := range row {
		variance += (x - mean) * (x - mean) / d
	}
	gamma, err := vectorOf(norm.Gamma)
	if err != nil {
		return nil, err
	}
	beta, err := vectorOf(norm.Beta)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(row))
	for i, x := range row {
		out[i] = (x - mean) / math.Sqrt(variance+norm.Eps)
		if gamma != nil {
			out[i] *= float64(gamma[i%len(gamma)])
		}
		if beta != nil {
			out[i] += float64(beta[i%len(beta)])
		}
	}
	return out, nil
}

// vectorOf is the numbers of a constant, nil for none.
func vectorOf(v *graph.Value) ([]float32, error) {
	if v == nil {
		return nil, nil
	}
	return weights.Vector(v)
}
