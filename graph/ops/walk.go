package ops

import (
	"iter"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Reach yields the values in from, and every value to which next leads from a yielded value, each once, near values first.
// Nil values are left out. The sequence ends when the budget is exhausted.
func Reach(b *Budget, next func(*graph.Value) []*graph.Value, from ...*graph.Value) iter.Seq[*graph.Value] {
	return func(yield func(*graph.Value) bool) {
		seen := map[*graph.Value]bool{nil: true}
		var todo []*graph.Value
		push := func(vs []*graph.Value) {
			for _, v := range vs {
				if !seen[v] {
					seen[v] = true
					todo = append(todo, v)
				}
			}
		}
		push(from)
		for len(todo) > 0 && b.Step() {
			v := todo[0]
			todo = todo[1:]
			if !yield(v) {
				return
			}
			push(next(v))
		}
	}
}

// Through returns a step of [Reach] against the data flow: from a value to the data inputs of its producer, if the producer
// belongs to one of the classes.
func Through(c Class) func(*graph.Value) []*graph.Value {
	return func(v *graph.Value) []*graph.Value {
		if n := v.Producer(); n != nil && Is(n, c) {
			return Data(n)
		}
		return nil
	}
}

// Root returns the value that v is a copy of. It goes back through operators of the given classes, along their first data
// input.
func Root(v *graph.Value, c Class) *graph.Value {
	for v != nil {
		n := v.Producer()
		o := Of(n)
		if n == nil || !o.In(c) || n.In(o.Skip) == nil {
			break
		}
		v = n.In(o.Skip)
	}
	return v
}

// Readers yields every use of v, and of every value that operators of the given classes derive from v, together with the
// value that is read. It leaves out uses by those operators themselves, and uses in other graphs.
func Readers(b *Budget, v *graph.Value, c Class) iter.Seq2[graph.Use, *graph.Value] {
	return func(yield func(graph.Use, *graph.Value) bool) {
		g := v.Graph()
		seen := map[*graph.Value]bool{v: true}
		todo := []*graph.Value{v}
		for len(todo) > 0 {
			v := todo[0]
			todo = todo[1:]
			for _, u := range v.Uses() {
				switch o := Of(u.Node); {
				case !b.Step():
					return
				case u.Node.Graph() != g:
				case o.In(c) && o.Carries(u.Slot):
					for _, w := range u.Node.Outputs() {
						if w != nil && !seen[w] {
							seen[w] = true
							todo = append(todo, w)
						}
					}
				case !yield(u, v):
					return
				}
			}
		}
	}
}
