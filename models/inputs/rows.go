package inputs

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Spread repeats the cache of one row for a batch: past is what a step of one row left, by the names of the cache inputs.
func (in *Signature) Spread(past map[string]*graph.Tensor, rows int) (map[string]*graph.Tensor, error) {
	one, err := in.EmptyCache(1)
	if err != nil {
		return nil, err
	}
	two, err := in.EmptyCache(2)
	if err != nil {
		return nil, err
	}
	out := map[string]*graph.Tensor{}
	for name, t := range past {
		// The axis that counts rows, possibly together with heads.
		a, b := one[name].Dims, two[name].Dims
		axis := 0
		for axis < len(a) && a[axis] == b[axis] {
			axis++
		}
		if axis == len(a) || len(t.Dims) != len(a) || t.Dims[axis] != a[axis] {
			return nil, fmt.Errorf("cache input %q %v: no axis of rows", name, t.Dims)
		}
		block := len(t.Data)
		for _, d := range t.Dims[:axis] {
			block /= int(d)
		}
		var data []byte
		for at := 0; at < len(t.Data); at += block {
			for range rows {
				data = append(data, t.Data[at:at+block]...)
			}
		}
		dims := slices.Clone(t.Dims)
		dims[axis] *= int64(rows)
		out[name] = &graph.Tensor{DType: t.DType, Dims: dims, Data: data}
	}
	return out, nil
}
