package ops

import "github.com/onnx-inject/onnx-inject/graph"

// Memo computes a result for a value from the results for other values, such as a shape from the shapes of inputs. Each
// value is computed once. Chains of any length are followed without recursion.
type Memo[T any] struct {
	budget *Budget
	needs  func(*graph.Value) []*graph.Value // the values whose results compute may use
	get    func(v *graph.Value, of func(*graph.Value) T) T
	state  []memoState // indexed by the value's ID
	known  []T
}

type memoState uint8

const (
	untold memoState = iota
	open             // its needs are in progress
	told
)

// NewMemo makes a memo. compute may call of for the values that needs lists. Any other value, and nil, gives the zero T.
func NewMemo[T any](b *Budget, needs func(*graph.Value) []*graph.Value, compute func(v *graph.Value, of func(*graph.Value) T) T) *Memo[T] {
	return &Memo[T]{budget: b, needs: needs, get: compute}
}

// Of returns the result for v, or the zero T for nil.
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

// at returns the state of a value, which may be newer than the memo.
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

// Set gives the result for a value in advance.
func (m *Memo[T]) Set(v *graph.Value, x T) {
	m.at(v)
	m.known[v.ID()], m.state[v.ID()] = x, told
}

// Search finds the nodes that a value is computed from. It walks against the data flow through nodes for which over is
// true, to nodes for which accept is true, and not past these. Callers distinguish one node, several and none, so a result
// holds at most two nodes.
type Search struct{ memo *Memo[[]*graph.Node] }

// NewSearch makes a search. It does not look past a value for which stop is true.
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

// From returns the accepted nodes that v comes from: none, one, or two if there are two or more.
func (s *Search) From(v *graph.Value) []*graph.Node { return s.memo.Of(v) }
