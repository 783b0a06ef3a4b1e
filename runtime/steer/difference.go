package steer

import (
	"fmt"
	"math"

	"github.com/onnx-inject/onnx-inject/graph"
)

// lastPosition cuts [batch, pos, d] to [batch, 1, d].
func lastPosition(t *graph.Tensor) *graph.Tensor {
	row := int64(len(t.Data)) / (t.Dims[0] * t.Dims[1])
	out := &graph.Tensor{DType: t.DType, Dims: []int64{t.Dims[0], 1, t.Dims[2]}}
	for b := range t.Dims[0] {
		end := (b + 1) * t.Dims[1] * row
		out.Data = append(out.Data, t.Data[end-row:end]...)
	}
	return out
}

// worstDifference is the largest absolute difference. What is the same on both sides differs by 0, infinite and NaN too; a NaN on
// one side only counts as infinite.
func worstDifference(a, b *graph.Tensor) (float64, error) {
	x, err := a.Float32s()
	if err != nil {
		return 0, err
	}
	y, err := b.Float32s()
	if err != nil {
		return 0, err
	}
	if len(x) != len(y) {
		return 0, fmt.Errorf("shape %v, want %v", a.Dims, b.Dims)
	}
	worst := 0.0
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		switch d := math.Abs(a - b); {
		case a == b, math.IsNaN(a) && math.IsNaN(b):
		case math.IsNaN(d):
			return math.Inf(1), nil
		default:
			worst = max(worst, d)
		}
	}
	return worst, nil
}
