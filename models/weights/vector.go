package weights

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Vector returns the float constant behind v, such as a norm's gamma, flat: an initializer or Constant node, through
// operations that only move or convert it. A conversion to a narrower type on the way is not rounded to.
func Vector(v *graph.Value) ([]float32, error) {
	if v == nil {
		return nil, fmt.Errorf("read constant: no value")
	}
	at := v
	for at.Const() == nil {
		n := at.Producer()
		if n.Is("DequantizeLinear") && n.In(0).Const() != nil {
			return dequantised(n)
		}
		if !n.Is("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten") || n.In(0) == nil {
			return nil, fmt.Errorf("read constant %v: want a constant, got %s", v, origin(at))
		}
		at = n.In(0)
	}
	t, err := at.Const().Load()
	if err != nil {
		return nil, fmt.Errorf("read constant %v: %w", v, err)
	}
	x, err := t.Float32s()
	if err != nil {
		return nil, fmt.Errorf("read constant %v: %w", v, err)
	}
	return slices.Clone(x), nil
}

// dequantised computes (q - zero) * scale of a constant vector; scale and zero are one number, or one for each.
func dequantised(n *graph.Node) ([]float32, error) {
	var parts [3][]float32
	for i := range parts {
		k := n.In(i).Const()
		switch {
		case n.In(i) == nil:
			parts[i] = []float32{0} // no zero point
			continue
		case k == nil:
			return nil, fmt.Errorf("read constant %v: want a constant, got %s", n.Out(0), origin(n.In(i)))
		}
		var err error
		if parts[i], err = numbers(k); err != nil {
			return nil, fmt.Errorf("read constant %v: %w", n.In(i), err)
		}
	}
	q, scale, zero := slices.Clone(parts[0]), parts[1], parts[2]
	for _, x := range [][]float32{scale, zero} {
		if len(x) != 1 && len(x) != len(q) {
			return nil, fmt.Errorf("read constant %v: %d scales or zero points of %d numbers", n.Out(0), len(x), len(q))
		}
	}
	for i := range q {
		q[i] = (q[i] - zero[i%len(zero)]) * scale[i%len(scale)]
	}
	return q, nil
}

// origin says in words where a value comes from.
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
