package inputs

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// isPast recognises a cache. The nodes that read it determine which axis counts positions, and the other axes must have
// sizes that keys and values can have. attended means that attention reads its numbers in some way.
func (r *Input) isPast(v *graph.Value, l *models.Layout, attended bool) bool {
	n := len(r.Type.Dims)
	if n < 3 || n > 6 || !r.Type.DType.IsFloat() {
		return false
	}
	if r.carry.Axis = pastAxis(v); r.carry.Axis < 0 {
		if n == 3 || attended {
			return false
		}
		r.carry.Axis = n - 2 // no node reads its numbers
	}
	shape := r.pastShape(l, 1)
	for i, d := range r.Type.Dims {
		if batch := i == max(0, n-4); shape == nil || !batch && i != r.carry.Axis && d.Size >= 0 && d.Size != shape[i] {
			return false
		}
	}
	return true
}

// pastShape returns the shape of an empty cache: [batch, heads, positions, d_head] with the last three axes in any order,
// in some files with keys and values stacked as a first axis, or with all layers stacked too. A cache of three axes is either [batch, positions,
// heads*d_head], for keys alone or with values, or [batch*heads, positions, d_head] in any order; the declared size of the
// last axis decides. pastShape returns nil for any other form.
func (r *Input) pastShape(l *models.Layout, batch int64) []int64 {
	heads, width := int64(l.KVHeads), int64(l.DHead)
	d := r.Type.Dims
	n, p := len(d), r.carry.Axis
	shape := make([]int64, n)
	switch {
	case n == 3 && p > 0:
		other := 3 - p
		shape[other] = d[other].Size
		switch shape[other] {
		case width:
			shape[0] = batch * heads
		case heads * width, 2 * heads * width:
			shape[0] = batch
		default:
			return nil
		}
	case n >= 4 && p > n-4:
		switch {
		case n == 6 && d[0].Size == 2 && l.Layers != 2:
			shape[0], shape[1] = 2, int64(l.Layers)
		case n == 6:
			shape[0], shape[1] = int64(l.Layers), 2
		default:
			shape[0] = 2
		}
		shape[n-4] = batch
		rest := []int64{heads, width}
		for i := n - 3; i < n; i++ {
			if i != p {
				shape[i], rest = rest[0], rest[1:]
			}
		}
	default:
		return nil
	}
	return shape
}

// past makes a cache of zeros, usually an empty one.
func (r *Input) past(l *models.Layout, batch, positions int64) (*graph.Tensor, error) {
	shape := r.pastShape(l, batch)
	shape[r.carry.Axis] = positions
	rows := max(0, len(shape)-4)
	for i, d := range r.Type.Dims {
		switch {
		case d.Size < 0 || d.Size == shape[i]:
		case i == rows:
			return nil, fmt.Errorf("a cache of %d rows, the batch has %d", d.Size, batch)
		default:
			return nil, hint.With(fmt.Errorf("the cache has a fixed length of %d, want an empty one", d.Size), otherFile)
		}
	}
	return graph.Zeros(r.Type.DType, shape...), nil
}

// pastAxis returns the axis of a cache that counts positions, from the attention operator that reads it or from the Concat
// with the new keys or values. It returns -1 if there is neither.
func pastAxis(v *graph.Value) int {
	rank := len(v.Type().Dims)
	seen := map[*graph.Value]bool{}
	todo := []*graph.Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == nil || seen[v] {
			continue
		}
		seen[v] = true
		for _, u := range v.Uses() {
			switch o := ops.Of(u.Node); {
			case o.Attn != nil && slices.Contains(o.Attn.Past, u.Slot):
				return rank - 2
			case u.Node.Is("Concat"):
				axis := int(u.Node.Int("axis", 0))
				if axis >= 0 {
					axis -= min(rank, 4) // a stack of five or six axes is split before the Concat
				}
				if axis += rank; axis > 0 && axis < rank {
					return axis
				}
			case o.In(ops.Convert|ops.Pick) && o.Carries(u.Slot), u.Node.Is("Squeeze"):
				todo = append(todo, u.Node.Outputs()...)
			}
		}
	}
	return -1
}
