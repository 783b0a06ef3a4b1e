package ops

import "github.com/onnx-inject/onnx-inject/graph"

// Memo computes something of values from what it computed for other values: of shapes from the shapes of inputs, for instance.
// Each value is computed once. Chains of any length are followed without recursion.
type Memo[T any] struct {
	budget *Budget
	needs  func(*graph.Value) []*graph.Value // the values whose results compute asks for
	get    func(v *graph.Value, of func(*graph.Value) T) T
	state  []memoState // by the value's ID
	known  []T
}

type memoState uint8

const (
	untold memoState = iota
	open             // its needs are being computed
	told
)

// NewMemo makes a memo. compute may ask "of" for the values that needs lists; anything else, and nil, gives the zero T.
func NewMemo[T any](b *Budget, needs func(*graph.Value) []*graph.Value, compute func(v *graph.Value, of func(*graph.Value) T) T) *Memo[T] {
	return &Memo[T]{budget: b, needs: needs, get: compute}
}

// Of returns the result for v, the zero T for nil.
func (m *Memo[T]) Of(v *graph.Value) T {
	if v == nil {
		var zero T
		return zero
	}
	if m.at(v) == told {
		return m.known[v.ID()]
	}
	stack := []*graph.Value{v}
	for len(stack) > 0 && m.budget.Step() {
		v := stack[len(stack)-1]
		switch m.at(v) {
		case told:
			stack = stack[:len(stack)-1]
			continue
		case untold:
			m.state[v.ID()] = open
			for _, w := range m.needs(v) {
				if w != nil && m.at(w) == untold {
					stack = append(stack, w)
				}
			}
			if stack[len(stack)-1] != v {
				continue
			}
		}
		m.known[v.ID()] = m.get(v, m.peek)
		m.state[v.ID()] = told
		stack = stack[:len(stack)-1]
	}
	return m.known[v.ID()]
}

// at returns the state of a value; an edit may have made it after the memo.
func (m *Memo[T]) at(v *graph.Value) memoState {
	if v.ID() >= len(m.state) {
		n := max(v.Graph().Model().ValueIDs(), v.ID()+1)
		m.state = append(m.state, make([]memoState, n-len(m.state))...)
		m.known = append(m.known, make([]T, n-len(m.known))...)
	}
	return m.state[v.ID()]
}

func (m *Memo[T]) peek(v *graph.Value) T {
	if v == nil || m.at(v) != told {
		var zero T
		return zero
	}
	return m.known[v.ID()]
}

// Set gives the result for a value beforehand.
func (m *Memo[T]) Set(v *graph.Value, x T) {
	m.at(v)
	m.known[v.ID()], m.state[v.ID()] = x, told
}

// Search finds nodes that values are computed from: those that accept holds for, reached against the data flow through nodes
// that over holds for. It does not look past an accepted node. A value is asked whether it comes from one node, several or none;
// so a result holds no more than two nodes.
type Search struct{ memo *Memo[[]*graph.Node] }

// NewSearch makes a search. Where stop holds for a value, it does not look any further.
func NewSearch(b *Budget, over func(*graph.Node) bool, accept func(*graph.Node) bool, stop func(*graph.Value) bool) *Search {
	needs := func(v *graph.Value) []*graph.Value {
		if n := v.Producer(); n != nil && !stop(v) && !accept(n) && over(n) {
			return Data(n)
		}
		return nil
	}
	return &Search{NewMemo(b, needs, func(v *graph.Value, of func(*graph.Value) []*graph.Node) []*graph.Node {
		n := v.Producer()
		switch {
		case n == nil || stop(v):
			return nil
		case accept(n):
			return []*graph.Node{n}
		case !over(n):
			return nil
		}
		var out []*graph.Node
		for _, in := range Data(n) {
			for _, hit := range of(in) {
				switch {
				case len(out) == 0:
					out = of(in)[:1:1]
				case len(out) == 1 && out[0] != hit:
					out = []*graph.Node{out[0], hit}
				}
			}
		}
		return out
	})}
}

// From returns the accepted nodes that v comes from: none, one, or two where there are two or more.
func (s *Search) From(v *graph.Value) []*graph.Node { return s.memo.Of(v) }
