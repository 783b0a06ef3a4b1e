package recognise

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// consts answers what is known about values before the model runs.
type consts struct {
	memo    []constness // of each value, by its ID
	vectors map[*graph.Value]vector
	ranks   map[*graph.Value]int
}

// vector is what ints found: a value may be needed many times over.
type vector struct {
	elems    []int64
	complete bool
}

// constness is whether a value is known to be a constant.
type constness uint8

const (
	untold constness = iota
	constant
	variable
)

func newConsts(m *graph.Model) *consts { return &consts{memo: make([]constness, m.ValueIDs())} }

// is reports whether v is a constant of the file: an initializer, a Constant node, or anything computed from such alone.
func (c *consts) is(v *graph.Value) bool {
	if v == nil {
		return false
	}
	if known := c.memo[v.ID()]; known != untold {
		return known == constant
	}
	c.memo[v.ID()] = variable
	n := v.Producer()
	out := v.Initializer() != nil
	if !out && n != nil && len(n.Branches()) == 0 {
		out = n.Is("Constant") || len(n.Inputs()) > 0
		for _, in := range n.Inputs() {
			if in != nil && !c.is(in) {
				out = false
				break
			}
		}
	}
	if out {
		c.memo[v.ID()] = constant
	}
	return out
}

// unknown stands for an element of a shape vector that only a run can tell.
const unknown = int64(-1 << 62)

// ints evaluates a small vector of integers: a Reshape target as the exporters build it, from Constant, Concat, Unsqueeze
// and the like. Elements that depend on an input are unknown. complete is false when even their number is not certain:
// then only the elements after the last uncertain part are returned.
func (c *consts) ints(v *graph.Value) (elems []int64, complete bool) {
	if v == nil {
		return nil, false
	}
	known, ok := c.vectors[v]
	if !ok {
		known.elems, known.complete = c.evaluate(v)
		if len(known.elems) > longest {
			known = vector{}
		}
		if c.vectors == nil {
			c.vectors = map[*graph.Value]vector{}
		}
		c.vectors[v] = known
	}
	return slices.Clone(known.elems), known.complete
}

// longest is how many elements a shape vector may have.
const longest = 64

func (c *consts) evaluate(v *graph.Value) ([]int64, bool) {
	if k := v.Const(); k != nil {
		if k.DType.IsFloat() || k.Len() > longest {
			return nil, false
		}
		t, err := k.Load()
		if err != nil {
			return nil, false
		}
		out, err := t.Int64s()
		return out, err == nil
	}
	n := v.Producer()
	switch {
	case n.Is("Identity", "Cast", "Unsqueeze", "Squeeze", "Flatten"):
		out, complete := c.ints(n.In(0))
		if !complete && n.Is("Unsqueeze") {
			return []int64{unknown}, true // a scalar made a vector of one
		}
		return out, complete
	case n.Is("Shape") && n.HasAttr("end"): // of some axes: how many is known
		if from, to := n.Int("start", 0), n.Int("end", 0); 0 <= from && from < to && to-from <= longest {
			return slices.Repeat([]int64{unknown}, int(to-from)), true
		}
	case n.Is("Reshape"):
		if target, ok := c.ints(n.In(1)); ok && slices.Equal(target, []int64{-1}) {
			out, complete := c.ints(n.In(0))
			if !complete {
				return []int64{unknown}, true
			}
			return out, complete
		}
	case n.Is("Concat"):
		var out []int64
		complete := true
		for _, in := range n.Inputs() {
			part, ok := c.ints(in)
			if !ok {
				out, complete = nil, false
			}
			out = append(out, part...)
		}
		return out, complete
	}
	return nil, false
}

// floats returns the elements of a small float constant, looking through Identity, Cast and Reshape.
func (c *consts) floats(v *graph.Value) []float32 {
	for v != nil {
		if k := v.Const(); k != nil {
			if k.Len() > 1<<20 {
				return nil
			}
			t, err := k.Load()
			if err != nil {
				return nil
			}
			out, err := t.Float32s()
			if err != nil {
				return nil
			}
			return out
		}
		if !v.Producer().Is("Identity", "Cast", "Reshape", "Unsqueeze", "Squeeze") {
			return nil
		}
		v = v.Producer().In(0)
	}
	return nil
}

// elements counts the elements of a constant that is converted or reshaped at most, 0 when v is none.
func (c *consts) elements(v *graph.Value) int64 {
	for v != nil {
		if k := v.Const(); k != nil {
			return k.Len()
		}
		if !v.Producer().Is("Identity", "Cast", "Reshape", "Unsqueeze", "Squeeze", "QuantizeLinear", "DequantizeLinear") {
			return 0
		}
		v = v.Producer().In(0)
	}
	return 0
}

// matrix finds the constant behind a two-dimensional operand, through Identity, Cast, Transpose and DequantizeLinear.
func (c *consts) matrix(v *graph.Value) *weights.Weight {
	w := &weights.Weight{Alpha: 1, Operand: v}
	for v != nil {
		if k := v.Const(); k != nil {
			dims := weights.MatrixDims(k)
			if dims == nil || len(k.Dims) > 2 && w.Scale != nil {
				return nil
			}
			w.Store = k
			w.In, w.Out = dims[0], dims[1]
			if w.Transposed {
				w.In, w.Out = w.Out, w.In
			}
			return w
		}
		n := v.Producer()
		switch {
		case n.Is("Identity", "Cast"):
		case n.Is("Transpose"):
			if perm := n.Ints("perm"); perm != nil && !slices.Equal(perm, []int64{1, 0}) {
				return nil
			}
			w.Transposed = !w.Transposed
			if w.Scale != nil { // the axis was counted before this
				w.Axis = 1 - w.Axis
			}
		case n.Is("DequantizeLinear") && n.In(0).Producer().Is("QuantizeLinear"): // floats in the file, rounded when it runs
			n = n.In(0).Producer()
		case n.Is("DequantizeLinear", "com.microsoft.DequantizeLinear"):
			if w.Scale != nil {
				return nil
			}
			w.Scale, w.Zero = n.In(1).Const(), n.In(2).Const()
			w.Axis = int(n.Int("axis", 1)+2) % 2
			w.ScaleBlock = n.Int("block_size", 0)
			if w.Scale == nil || n.In(2) != nil && w.Zero == nil {
				return nil
			}
		default:
			return nil
		}
		v = n.In(0)
	}
	return nil
}
