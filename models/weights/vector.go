package weights

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
)

// Vector returns the value of v before the model runs, such as a norm's gamma, as a flat list of floats. v is an
// initializer, a Constant node, or the result of a few operators on these: moved, converted, dequantised, computed
// elementwise (a gain of 1 + w), or one number repeated. Numbers are computed in float32 and not rounded to narrower types
// in between. Large expressions are refused.
func Vector(v *graph.Value) ([]float32, error) {
	if v == nil {
		return nil, errors.New("read constant: no value")
	}
	e := expression{left: maxOperators}
	k, err := e.of(v)
	if err == nil && k.whole {
		err = fmt.Errorf("want a float tensor, got %v", k.dtype)
	}
	if err != nil {
		return nil, fmt.Errorf("read constant %v: %w", v, err)
	}
	return slices.Clone(k.x), nil
}

// Constants of real models need far less. The limits protect against hostile files.
const (
	maxOperators = 64      // in an expression; an operator that is read twice counts twice
	maxComputed  = 1 << 20 // numbers in a result
)

// expression is the state of computing one constant.
type expression struct {
	left  int // operators that it may still use
	facts *ops.Facts
}

// numbered is a known value.
type numbered struct {
	x     []float32 // may be memory of the file: do not change
	whole bool      // the numbers are integers
	dtype graph.DType
}

func (e *expression) of(v *graph.Value) (numbered, error) {
	if c := v.Const(); c != nil {
		if !c.DType.IsFloat() && c.Len() > maxComputed {
			return numbered{}, fmt.Errorf("%v%v is not a vector of a model", c.DType, c.Dims)
		}
		x, err := numbers(c)
		return numbered{x, !c.DType.IsFloat(), c.DType}, err
	}
	n := v.Producer()
	o := ops.Of(n)
	if e.left--; e.left < 0 {
		return numbered{}, fmt.Errorf("it is made of more than %d operators", maxOperators)
	}
	switch {
	case n == nil || v.Index() != 0:
	case n.Is("DequantizeLinear"):
		return e.dequantised(n)
	case n.Is("Cast"):
		return e.cast(n)
	case n.Is("Identity") || o.In(ops.Reshape):
		return e.operand(n, 0)
	case n.Is("Expand"):
		return e.expanded(n)
	case o.Unary != nil && n.NumIn() == 1:
		k, err := e.float(n, 0)
		if err != nil {
			return k, err
		}
		return numbered{x: each(k.x, k.x, func(x, _ float32) float32 { return o.Unary(x) })}, nil
	case o.Binary != nil && n.NumIn() == 2:
		return e.combined(n, o.Binary)
	}
	return numbered{}, fmt.Errorf("want a constant, got %s", origin(v))
}

// operand returns an input of a node. The input must exist.
func (e *expression) operand(n *graph.Node, slot int) (numbered, error) {
	if n.In(slot) == nil {
		return numbered{}, fmt.Errorf("%v has no input %d", n, slot)
	}
	return e.of(n.In(slot))
}

// float returns an operand for arithmetic. It refuses integers and large constants.
func (e *expression) float(n *graph.Node, slot int) (numbered, error) {
	k, err := e.operand(n, slot)
	switch {
	case err != nil:
	case k.whole:
		err = fmt.Errorf("want floats, %v reads %v", n, k.dtype)
	case len(k.x) > maxComputed:
		err = fmt.Errorf("%v computes %d numbers, at most %d are supported", n, len(k.x), maxComputed)
	}
	return k, err
}

// cast passes floats through and converts integers to floats. A conversion to integers would round, and is refused.
func (e *expression) cast(n *graph.Node) (numbered, error) {
	k, err := e.operand(n, 0)
	to := graph.DType(n.Int("to", 0))
	switch {
	case err != nil:
	case to.IsFloat():
		k.whole = false
	case !k.whole:
		err = fmt.Errorf("want a constant, got %s, which rounds", origin(n.Out(0)))
	}
	k.dtype = to
	return k, err
}

// expanded repeats one number.
func (e *expression) expanded(n *graph.Node) (numbered, error) {
	k, err := e.operand(n, 0)
	if err != nil {
		return k, err
	}
	dims, known := e.shape(n.Out(0))
	size := int64(1)
	for _, d := range dims {
		size = min(size*d, maxComputed+1)
	}
	switch {
	case !known || size > maxComputed:
		err = fmt.Errorf("%v makes a size that is not known, or more than %d numbers", n, maxComputed)
	case len(k.x) == 1:
		k.x = slices.Repeat(k.x, int(size))
	case int64(len(k.x)) != size:
		err = fmt.Errorf("%v repeats %d numbers, want one", n, len(k.x))
	}
	return k, err
}

// combined computes elementwise. One operand may be a single number; otherwise both need the same numbers in the same
// order.
func (e *expression) combined(n *graph.Node, f func(x, y float32) float32) (numbered, error) {
	a, err := e.float(n, 0)
	if err != nil {
		return a, err
	}
	b, err := e.float(n, 1)
	if err != nil {
		return b, err
	}
	if len(a.x) > 1 && len(b.x) > 1 {
		s, known := e.shape(n.In(0))
		t, too := e.shape(n.In(1))
		if !known || !too || len(a.x) != len(b.x) || !slices.Equal(s, t) {
			return a, fmt.Errorf("%v combines shapes %v and %v: want the same, or one number", n, s, t)
		}
	}
	return numbered{x: each(a.x, b.x, f)}, nil
}

// each computes elementwise. An operand of one number is repeated.
func each(a, b []float32, f func(x, y float32) float32) []float32 {
	out := make([]float32, max(len(a), len(b)))
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	for i := range out {
		out[i] = f(a[i%len(a)], b[i%len(b)])
	}
	return out
}

// shape returns the shape of a value without leading ones, which do not change the order of its numbers.
func (e *expression) shape(v *graph.Value) (dims []int64, known bool) {
	if e.facts == nil {
		e.facts = ops.NewFacts(ops.NewBudget(context.Background(), 100*maxOperators))
	}
	f := e.facts.Of(v)
	dims = f.Dims
	for len(dims) > 0 && dims[0] == 1 {
		dims = dims[1:]
	}
	return dims, f.Ranked && !slices.ContainsFunc(dims, func(d int64) bool { return d < 0 })
}

// dequantised computes (q - zero) * scale. scale and zero are either one number or one number per element.
func (e *expression) dequantised(n *graph.Node) (numbered, error) {
	parts := [3][]float32{2: {0}} // no zero point
	for i := range parts {
		if i == 2 && n.In(i) == nil {
			continue
		}
		k, err := e.operand(n, i)
		if err != nil {
			return k, err
		}
		parts[i] = k.x
	}
	q, scale, zero := slices.Clone(parts[0]), parts[1], parts[2]
	for _, x := range [][]float32{scale, zero} {
		if len(x) != 1 && len(x) != len(q) {
			return numbered{}, fmt.Errorf("%d scales or zero points of %d numbers", len(x), len(q))
		}
	}
	for i := range q {
		q[i] = (q[i] - zero[i%len(zero)]) * scale[i%len(scale)]
	}
	return numbered{x: q, dtype: graph.Float32}, nil
}

// origin describes where a value comes from.
func origin(v *graph.Value) string {
	if n := v.Producer(); n != nil {
		return fmt.Sprintf("the result of %v", n)
	}
	return fmt.Sprintf("graph input %v", v)
}

// numbers reads a small constant, floats or integers, as float32.
func numbers(c *graph.Const) ([]float32, error) {
	t, err := c.Load()
	if err != nil {
		return nil, err
	}
	if t.DType.IsFloat() {
		return t.Float32s()
	}
	ints, err := t.Int64s()
	out := make([]float32, len(ints))
	for i, x := range ints {
		out[i] = float32(x)
	}
	return out, err
}
