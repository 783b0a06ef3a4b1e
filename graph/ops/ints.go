package ops

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// IntsRule computes the elements of a small integer vector from the facts of a node's inputs; see [Fact]. The operators that
// exporters compute shapes with have one.
type IntsRule func(n *graph.Node, of func(*graph.Value) Fact) (elems []int64, complete bool)

// sameInts returns the elements of input 0.
func sameInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	return f.Ints, f.Complete
}

// oneInt evaluates Unsqueeze: a scalar becomes a vector of one.
func oneInt(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	if f := of(n.In(0)); f.Complete {
		return f.Ints, true
	}
	return []int64{Unknown}, true
}

// flatInts evaluates Reshape to [-1].
func flatInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	if to := of(n.In(1)); !to.Complete || len(to.Ints) != 1 || to.Ints[0] != -1 {
		return nil, false
	}
	return oneInt(n, of)
}

// shapeInts evaluates Shape, of all axes or of some.
func shapeInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	f := of(n.In(0))
	if !f.Ranked { // the axes are unknown, but their number may be known
		if from, to := n.Int("start", 0), n.Int("end", 0); 0 <= from && from < to && to-from <= longest {
			return slices.Repeat([]int64{Unknown}, int(to-from)), true
		}
		return nil, false
	}
	from, to := span(n.Int("start", 0), n.Int("end", 1<<31), int64(len(f.Dims)))
	return f.Dims[from:to], true
}

// gatheredInts evaluates Gather with known indices.
func gatheredInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	x, at := of(n.In(0)), of(n.In(1))
	if !at.Complete {
		return nil, false
	}
	out := make([]int64, len(at.Ints))
	for i, k := range at.Ints {
		if k < 0 {
			k += int64(len(x.Ints))
		}
		out[i] = Unknown
		if x.Complete && k >= 0 && k < int64(len(x.Ints)) {
			out[i] = x.Ints[k]
		}
	}
	return out, true
}

// joinedInts evaluates Concat. After a part of unknown length only the parts that follow are known.
func joinedInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	var out []int64
	complete := true
	for i := range n.NumIn() {
		part := of(n.In(i))
		if !part.Complete {
			out, complete = nil, false
		}
		out = append(out, part.Ints...)
	}
	return out, complete
}

// filledInts evaluates ConstantOfShape of a known length.
func filledInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	x, t := of(n.In(0)), n.Tensor("value")
	if !x.Complete || len(x.Ints) != 1 || x.Ints[0] < 0 || x.Ints[0] > longest || t == nil {
		return nil, false
	}
	fill, ok := constInts(t)
	if !ok || len(fill) != 1 {
		return nil, false
	}
	return slices.Repeat(fill, int(x.Ints[0])), true
}

// slicedInts evaluates Slice of a vector with constant bounds and step 1.
func slicedInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	x := of(n.In(0))
	from, ok1 := bound(n, of, 1, "starts")
	to, ok2 := bound(n, of, 2, "ends")
	step, _ := bound(n, of, 4, "")
	if !x.Complete || !ok1 || !ok2 || len(from) != 1 || len(to) != 1 || len(step) == 1 && step[0] != 1 {
		return nil, false
	}
	a, b := span(from[0], to[0], int64(len(x.Ints)))
	return x.Ints[a:b], true
}

// bound reads a list of integers from an input, or from an attribute before opset 10.
func bound(n *graph.Node, of func(*graph.Value) Fact, slot int, attr string) ([]int64, bool) {
	if n.In(slot) == nil {
		x := n.Ints(attr)
		return x, x != nil
	}
	f := of(n.In(slot))
	return f.Ints, f.Complete && !slices.Contains(f.Ints, Unknown)
}

// span returns the range of a slice of n elements. Negative bounds are counted from the end.
func span(from, to, n int64) (int64, int64) {
	fix := func(x int64) int64 {
		if x < 0 {
			x += n
		}
		return min(max(x, 0), n)
	}
	a := fix(from)
	return a, max(a, fix(to))
}

// eachInt applies an operator to two vectors, one of which may have a single element.
func eachInt(f func(x, y int64) int64) IntsRule {
	return func(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
		a, b := of(n.In(0)), of(n.In(1))
		if !a.Complete || !b.Complete || len(a.Ints) == 0 || len(b.Ints) == 0 {
			return nil, false
		}
		out := make([]int64, max(len(a.Ints), len(b.Ints)))
		if len(a.Ints) != len(out) && len(a.Ints) != 1 || len(b.Ints) != len(out) && len(b.Ints) != 1 {
			return nil, false
		}
		for i := range out {
			x, y := a.Ints[min(i, len(a.Ints)-1)], b.Ints[min(i, len(b.Ints)-1)]
			if out[i] = Unknown; x != Unknown && y != Unknown {
				out[i] = f(x, y)
			}
		}
		return out, true
	}
}

// integer holds the operators that exporters compute sizes with.
var integer = map[string]IntsRule{
	"Add": eachInt(func(x, y int64) int64 { return x + y }),
	"Sub": eachInt(func(x, y int64) int64 { return x - y }),
	"Mul": eachInt(func(x, y int64) int64 { return x * y }),
	"Div": eachInt(func(x, y int64) int64 {
		if y == 0 {
			return Unknown
		}
		return x / y
	}),
}

// equalInts evaluates Equal.
var equalInts = eachInt(func(x, y int64) int64 {
	if x == y {
		return 1
	}
	return 0
})

// chosenInts evaluates Where over vectors.
func chosenInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	c, a, b := of(n.In(0)), of(n.In(1)), of(n.In(2))
	if !a.Complete || !b.Complete || len(a.Ints) == 0 || len(b.Ints) == 0 {
		return nil, false
	}
	out := make([]int64, max(len(a.Ints), len(b.Ints)))
	for i := range out {
		x, y := a.Ints[min(i, len(a.Ints)-1)], b.Ints[min(i, len(b.Ints)-1)]
		out[i] = Unknown
		switch {
		case x == y:
			out[i] = x
		case !c.Complete || i >= len(c.Ints):
		case c.Ints[i] == 1:
			out[i] = x
		case c.Ints[i] == 0:
			out[i] = y
		}
	}
	return out, true
}
