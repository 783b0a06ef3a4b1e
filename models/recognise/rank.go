package recognise

import "github.com/onnx-inject/onnx-inject/graph"

// Rank returns how many axes a value has, as far as the file tells without a run: 0 where it does not.
func Rank(v *graph.Value) int { return (&consts{}).rank(v) }

func (c *consts) rank(v *graph.Value) int {
	if v == nil {
		return 0
	}
	r, ok := c.ranks[v]
	if !ok {
		r = c.countAxes(v)
		if c.ranks == nil {
			c.ranks = map[*graph.Value]int{}
		}
		c.ranks[v] = r
	}
	return r
}

func (c *consts) countAxes(v *graph.Value) int {
	n := v.Producer()
	switch {
	case v.Type().Ranked:
		return len(v.Type().Dims)
	case v.Const() != nil:
		return len(v.Const().Dims)
	case n.Is("Gemm"):
		return 2
	case n.Is("Transpose"):
		return len(n.Ints("perm"))
	case n.Is("Reshape"):
		if shape, complete := c.ints(n.In(1)); complete {
			return len(shape)
		}
	case n.Is("Gather"): // rows of a table
		if table, at := c.rank(n.In(0)), c.rank(n.In(1)); table == 2 && at > 0 && n.Int("axis", 0) == 0 {
			return at + 1
		}
	case n.Is("Cast", "Identity", "Dropout", "LayerNormalization", "Softmax", "Slice", "Split", "QuantizeLinear", "DequantizeLinear", "com.microsoft.SkipLayerNormalization"):
		return c.rank(n.In(0))
	case n.Is("MatMul"):
		if left := c.rank(n.In(0)); left > 1 && c.rank(n.In(1)) > 1 {
			return max(left, c.rank(n.In(1)))
		}
	case n.Is("Add", "Sub", "Mul", "Div", "Where", "Pow"):
		most := 0
		for _, in := range n.Inputs() {
			r := c.rank(in)
			if r == 0 {
				return 0
			}
			most = max(most, r)
		}
		return most
	}
	return 0
}
