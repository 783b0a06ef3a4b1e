package ops

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// ShapeRule computes the shape of a node's first output (for Split, of every output; for a skip norm, also of the sum) from
// the facts of its inputs. ok is false if even the number of axes is unknown.
type ShapeRule func(n *graph.Node, of func(*graph.Value) Fact) (dims []int64, ok bool)

// like returns the shape of an input.
func like(slot int) ShapeRule {
	return func(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
		f := of(n.In(slot))
		return f.Dims, f.Ranked
	}
}

// sameRank returns as many axes as input 0 has, of unknown sizes.
func sameRank(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	return unknowns(f.Rank()), f.Ranked
}

// ranked returns the given number of axes, of unknown sizes.
func ranked(axes int) ShapeRule {
	return func(*graph.Node, func(*graph.Value) Fact) ([]int64, bool) { return unknowns(axes), true }
}

func unknowns(n int) []int64 { return slices.Repeat([]int64{Unknown}, n) }

// broadcast returns the shape of elementwise operators, with broadcasting.
func broadcast(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	var out []int64
	for _, v := range n.Inputs() {
		f := of(v)
		if v == nil {
			continue
		}
		if !f.Ranked {
			return nil, false
		}
		out = broadcastDims(out, f.Dims)
	}
	return out, true
}

func broadcastDims(a, b []int64) []int64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i := range b {
		at := len(a) - len(b) + i
		switch x, y := a[at], b[i]; {
		case x == 1:
			out[at] = y
		case x == Unknown && y != 1: // y is not 1, and sizes other than 1 must agree
			out[at] = y
		}
	}
	return out
}

// target returns the shape in the second input of a Reshape. A -1 is computed only if it can only be part of the input's
// last axis, as when the last axis is split into heads.
func target(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	to := of(n.In(1))
	if n.In(1) == nil { // opset 1 to 4
		to.Ints, to.Complete = n.Ints("shape"), true
	}
	if !to.Complete {
		return nil, false
	}
	x := of(n.In(0))
	out := make([]int64, len(to.Ints))
	for i, d := range to.Ints {
		switch {
		case d > 0:
			out[i] = d
		case d == 0 && n.Int("allowzero", 0) == 0:
			out[i] = x.Dim(i)
			if i >= x.Rank() {
				out[i] = Unknown
			}
		default:
			out[i] = Unknown
		}
	}
	free := slices.Index(to.Ints, -1)
	if free < 0 {
		return out, true
	}
	if total := times(x.Dims); x.Ranked && total != Unknown { // all other sizes are known
		rest := times(slices.Concat(out[:free], out[free+1:]))
		if rest > 0 && total%rest == 0 {
			out[free] = total / rest
		}
		return out, true
	}
	// [batch, pos, width] → [batch, pos, -1, d_head]: the axes before the last one are kept.
	if k := x.Rank(); k > 0 && free >= k-1 && x.Dims[k-1] != Unknown {
		rest := times(slices.Concat(out[k-1:free], out[free+1:]))
		if rest > 0 && x.Dims[k-1]%rest == 0 {
			out[free] = x.Dims[k-1] / rest
		}
	}
	return out, true
}

// times returns the product of sizes, or Unknown if one is unknown or the product is out of range.
func times(dims []int64) int64 {
	out := int64(1)
	for _, d := range dims {
		if d == Unknown || d < 0 || d > 0 && out > 1<<40/d {
			return Unknown
		}
		out *= d
	}
	return out
}

// axesOf reads axes from input 1 or the attribute, counted from 0. ok is false if they are unknown.
func axesOf(n *graph.Node, of func(*graph.Value) Fact, rank int) (axes []int64, ok bool) {
	axes, ok = bound(n, of, 1, "axes")
	if !ok {
		return nil, false
	}
	axes = slices.Clone(axes)
	for i := range axes {
		if axes[i] < 0 {
			axes[i] += int64(rank)
		}
		if axes[i] < 0 || axes[i] >= int64(rank) {
			return nil, false
		}
	}
	return axes, true
}

func squeezed(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	axes, ok := axesOf(n, of, f.Rank())
	if !f.Ranked || !ok {
		return nil, false
	}
	var out []int64
	for i, d := range f.Dims {
		if !slices.Contains(axes, int64(i)) {
			out = append(out, d)
		}
	}
	return out, true
}

func unsqueezed(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	raw, ok := bound(n, of, 1, "axes")
	if !f.Ranked || !ok || len(raw) > longest {
		return nil, false
	}
	rank := f.Rank() + len(raw)
	axes, ok := axesOf(n, of, rank)
	if !ok {
		return nil, false
	}
	out := make([]int64, 0, rank)
	next := 0
	for i := range rank {
		switch {
		case slices.Contains(axes, int64(i)):
			out = append(out, 1)
		case next < len(f.Dims):
			out = append(out, f.Dims[next])
			next++
		}
	}
	return out, len(out) == rank
}

func permuted(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f, perm := of(n.In(0)), n.Ints("perm")
	if perm == nil && f.Ranked { // reversed
		out := slices.Clone(f.Dims)
		slices.Reverse(out)
		return out, true
	}
	out := unknowns(len(perm))
	for i, p := range perm {
		out[i] = f.Dim(int(p))
	}
	return out, perm != nil
}

func sliced(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	if !f.Ranked {
		return nil, false
	}
	out := slices.Clone(f.Dims)
	from, ok1 := bound(n, of, 1, "starts")
	to, ok2 := bound(n, of, 2, "ends")
	axes, ok3 := bound(n, of, 3, "axes")
	if !ok3 && n.In(3) == nil { // the default is all axes, starting from the first
		ok3 = true
		for i := range from {
			axes = append(axes, int64(i))
		}
	}
	step, hasStep := bound(n, of, 4, "")
	if !ok3 || n.In(4) != nil && !hasStep {
		return unknowns(len(out)), true
	}
	for i, axis := range axes {
		if axis < 0 {
			axis += int64(len(out))
		}
		if axis < 0 || axis >= int64(len(out)) {
			return unknowns(len(out)), true
		}
		size := out[axis]
		out[axis] = Unknown
		if ok1 && ok2 && size != Unknown && i < len(from) && i < len(to) && (i >= len(step) || step[i] == 1) {
			a, b := span(from[i], to[i], size)
			out[axis] = b - a
		}
	}
	return out, true
}

// split returns the shape of every output: equal parts, or the parts given by the second input.
func split(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	if !f.Ranked {
		return nil, false
	}
	axis := n.Int("axis", 0)
	if axis < 0 {
		axis += int64(f.Rank())
	}
	if axis < 0 || axis >= int64(f.Rank()) {
		return nil, false
	}
	out := slices.Clone(f.Dims)
	parts, ok := bound(n, of, 1, "split")
	count := int64(len(n.Outputs()))
	switch same := ok && len(parts) > 0 && !slices.ContainsFunc(parts, func(x int64) bool { return x != parts[0] }); {
	case same:
		out[axis] = parts[0]
	case !ok && n.In(1) == nil && out[axis] != Unknown && count > 0 && out[axis]%count == 0:
		out[axis] /= count
	default:
		out[axis] = Unknown
	}
	return out, true
}

// gathered computes Gather: the axes of the indices replace the indexed axis.
func gathered(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f, at := of(n.In(0)), of(n.In(1))
	axis := int(n.Int("axis", 0))
	if axis < 0 {
		axis += f.Rank()
	}
	if !f.Ranked || !at.Ranked || axis < 0 || axis >= f.Rank() {
		return nil, false
	}
	return slices.Concat(f.Dims[:axis], at.Dims, f.Dims[axis+1:]), true
}

// gatheredND computes GatherND: each row of the indices selects along the first axes after those of the batch.
func gatheredND(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f, at := of(n.In(0)), of(n.In(1))
	first := int64(at.Rank()) - 1
	if counted := at.Dim(-1) + n.Int("batch_dims", 0); f.Ranked && first >= 0 && 0 <= counted && counted <= int64(f.Rank()) {
		return slices.Concat(at.Dims[:first], f.Dims[counted:]), true
	}
	return nil, false
}

// gatheredBlocks computes GatherBlockQuantized of rows. A byte may hold several numbers.
func gatheredBlocks(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f, at := of(n.In(0)), of(n.In(1))
	v, bits := n.In(0), n.Int("bits", 4)
	for v.Producer().Is("Reshape") {
		v = v.Producer().In(0)
	}
	if f.Rank() != 2 || !at.Ranked || n.Int("gather_axis", 0) != 0 || v.Const() == nil || bits <= 0 || f.Dim(1) == Unknown {
		return nil, false
	}
	return slices.Concat(at.Dims, []int64{f.Dim(1) * v.Const().DType.Bits() / bits}), true
}

func expanded(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f, to := of(n.In(0)), of(n.In(1))
	if !f.Ranked || !to.Complete {
		return nil, false
	}
	sizes := slices.Clone(to.Ints)
	for i, d := range sizes {
		if d < 0 {
			sizes[i] = Unknown
		}
	}
	return broadcastDims(f.Dims, sizes), true
}

func joined(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	var out []int64
	axis := n.Int("axis", 0)
	for i, v := range n.Inputs() {
		f := of(v)
		switch {
		case !f.Ranked:
			return nil, false
		case i == 0:
			out = slices.Clone(f.Dims)
			if axis < 0 {
				axis += int64(len(out))
			}
			if axis < 0 || axis >= int64(len(out)) {
				return nil, false
			}
			continue
		case len(f.Dims) != len(out):
			return nil, false
		}
		for k, d := range f.Dims {
			switch {
			case int64(k) == axis && (d == Unknown || out[k] == Unknown):
				out[k] = Unknown
			case int64(k) == axis:
				out[k] += d
			case out[k] == Unknown:
				out[k] = d
			}
		}
	}
	return out, len(out) > 0
}

// reduced keeps the axes that are not reduced. Without a list, all axes are reduced.
func reduced(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	axes, ok := axesOf(n, of, f.Rank())
	if all := n.In(1) == nil && !ok && n.Int("noop_with_empty_axes", 0) == 0; all {
		for i := range f.Dims {
			axes = append(axes, int64(i))
		}
	} else if !ok {
		return nil, false
	}
	if !f.Ranked {
		return nil, false
	}
	var out []int64
	for i, d := range f.Dims {
		switch {
		case !slices.Contains(axes, int64(i)):
			out = append(out, d)
		case n.Int("keepdims", 1) == 1:
			out = append(out, 1)
		}
	}
	return out, true
}

// product computes MatMul: the axes before the last two are broadcast.
func product(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	a, b := of(n.In(0)), of(n.In(1))
	if a.Rank() < 2 || b.Rank() < 2 {
		return nil, false
	}
	rows, cols := a.Dim(-2), b.Dim(-1)
	if n.Int("transA", 0) != 0 {
		rows = a.Dim(-1)
	}
	if n.Int("transB", 0) != 0 {
		cols = b.Dim(-2)
	}
	return append(broadcastDims(a.Dims[:a.Rank()-2], b.Dims[:b.Rank()-2]), rows, cols), true
}

func gemm(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	a, b := of(n.In(0)), of(n.In(1))
	rows, cols := a.Dim(0), b.Dim(1)
	if n.Int("transA", 0) != 0 {
		rows = a.Dim(1)
	}
	if n.Int("transB", 0) != 0 {
		cols = b.Dim(0)
	}
	return []int64{rows, cols}, true
}

// attributeN replaces the last axis with the attribute N.
func attributeN(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	if f.Rank() == 0 {
		return nil, false
	}
	out := slices.Clone(f.Dims)
	out[len(out)-1] = n.Int("N", Unknown)
	return out, true
}

// attended computes the standard Attention: q's shape with the last axis of v.
func attended(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	q, v := of(n.In(0)), of(n.In(2))
	if !q.Ranked || q.Rank() != 3 && q.Rank() != 4 {
		return nil, false
	}
	out := slices.Clone(q.Dims)
	out[len(out)-1] = Unknown
	if q.Rank() == 4 {
		out[3] = v.Dim(-1)
	}
	return out, true
}

// flat computes an attention operator that puts heads side by side: [batch, pos, heads * d_head].
func flat(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	out := unknowns(3)
	if x := of(n.In(0)); x.Rank() == 3 {
		copy(out, x.Dims[:2])
	}
	return out, true
}

// grouped computes GroupQueryAttention: [batch, pos, heads * d_head].
func grouped(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	out, ok := flat(n, of)
	if q := of(n.In(0)); q.Rank() == 3 && n.In(1) != nil {
		out[2] = q.Dims[2]
	}
	return out, ok
}

// filled computes ConstantOfShape.
func filled(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	return f.Ints, f.Complete
}
