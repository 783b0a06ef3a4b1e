package rewrite

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// An output is a cache if it is the value that attention reads as keys or values, possibly moved, or if it is the output of an
// attention operator for new keys or values:
//
//	[past ─┐]
//	 k, v ─ Concat ─┬─ Transpose, Mul(scale) ── MatMul(q, ·), MatMul(pattern, ·)
//	                └─ present
//
// The shape alone does not identify a cache: scores and patterns also have four axes, and half of the exporters declare no
// sizes.

// moves are operations that keep all of a value. cuts are those that take a part of it, such as the keys of a combined
// cache.
var (
	moves = ops.Moves | ops.Repeat
	cuts  = ops.Pick
)

// isPresent reports whether a computed value is a cache.
func isPresent(v *graph.Value, b *models.Body) bool {
	return find(v, func(v *graph.Value) (bool, []*graph.Value) {
		n := v.Producer()
		switch {
		case (v.Index() == 1 || v.Index() == 2) && isCore(n, b) || attended(v, b, moves):
			return true, nil
		case n.Is("Concat"):
			return false, n.Inputs()
		case ops.Is(n, moves):
			return false, []*graph.Value{n.In(0)}
		}
		return false, nil
	})
}

// attended reports whether attention reads a value as keys or values, possibly after some operations or a scale.
func attended(v *graph.Value, b *models.Body, over ops.Class) bool {
	return find(v, func(v *graph.Value) (read bool, on []*graph.Value) {
		for _, u := range v.Uses() {
			switch n := u.Node; {
			case ops.Is(n, ops.Attention):
				read = read || u.Slot == 1 || u.Slot == 2 || slices.Contains(ops.Of(n).Attn.Past, u.Slot)
			case ops.Is(n, ops.Product): // keys and values are the right operand
				read = read || u.Slot == 1
			case n.Is("Concat", "Mul", "Div"), u.Slot == 0 && ops.Is(n, over):
				on = append(on, n.Outputs()...)
			}
		}
		return read, on
	})
}

// find reports whether look finds something at a value or at one of the values that it leads to.
func find(v *graph.Value, look func(*graph.Value) (found bool, on []*graph.Value)) bool {
	seen := map[*graph.Value]bool{nil: true}
	todo := []*graph.Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[v] {
			continue
		}
		seen[v] = true
		found, on := look(v)
		if found {
			return true
		}
		todo = append(todo, on...)
	}
	return false
}

func isCore(n *graph.Node, b *models.Body) bool {
	return n != nil && slices.ContainsFunc(b.Layers, func(l *models.Layer) bool { return l.Core == n })
}
