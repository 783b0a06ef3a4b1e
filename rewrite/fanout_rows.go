package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
)

// freeRows makes everything after the first place work for any number of rows. last holds the nodes that compute only the last
// position. Masks and rotary positions have one row and broadcast. These need a change:
//
//	Reshape to [batch, …]        the target follows the rows
//	attention operators          lose the padding inputs, because a prompt has no padding, and the cache, or get it for each row
//	lengths and positions        are repeated for each row if an operator requires it
//	[batch × heads, …] + ALiBi   the bias of the heads is repeated for each row
//	Concat with other values     constants, or the keys and values of the cache, are repeated for each row
//
// An operation that may compute a row from other rows is refused.
func (f *fan) freeRows(last *nodeSet) {
	first := f.growths[0].after
	axes := f.traceRows(first)
	if last != nil {
		for _, n := range last.list {
			if n.Is("Reshape") {
				f.freeLast(n)
			}
		}
	}
	for _, n := range first.list {
		rows := f.rowsOf(n, axes)
		if rows == nil || last != nil && last.has[n] {
			continue
		}
		switch o := ops.Of(n); {
		case n.Is("Reshape"):
			f.freeReshape(n)
		case o.In(ops.Pointwise | ops.Product | ops.Join):
			for slot, v := range n.Inputs() {
				if _, grown := axes[v]; v != nil && !grown && f.now[graph.Use{Node: n, Slot: slot}] == nil && f.perRow(n, slot) {
					f.repeat(graph.Use{Node: n, Slot: slot}, 0, rows)
				}
			}
		default:
			f.freeOperator(n, axes, rows)
		}
	}
}

// traceRows finds the axis of rows of each value after the first place. It refuses the graph if an operation may mix rows.
func (f *fan) traceRows(first nodeSet) map[*graph.Value]int {
	axes := map[*graph.Value]int{}
	for _, g := range f.growths {
		for _, u := range append(f.entering(g.after), g.uses...) {
			axes[u.Node.In(u.Slot)] = 0
		}
	}
	for _, n := range first.list {
		out := -1
		for slot, v := range n.Inputs() {
			at, grown := axes[v]
			if !grown {
				continue
			}
			to, ok := ops.Follow(n, slot, at, f.facts)
			if ops.Of(n).Whole { // rounds by the range of all rows; the caller measures the resulting error
				to, ok = at, true
			}
			if !ok || out >= 0 && to != out {
				f.edit.Fail(fmt.Errorf("%v may compute a row of a batch from other rows, so rows cannot be added", n))
				return axes
			}
			out = to
		}
		for i, v := range n.Outputs() {
			if out >= 0 && v != nil && (i == 0 || !ops.Of(n).Whole) {
				axes[v] = out
			}
		}
	}
	return axes
}

// rowsOf returns an input of a node that has rows along its first axis, or nil if there is none.
func (f *fan) rowsOf(n *graph.Node, axes map[*graph.Value]int) *graph.Value {
	for slot, v := range n.Inputs() {
		if at, grown := axes[v]; grown && at == 0 {
			return f.read(graph.Use{Node: n, Slot: slot})
		}
	}
	return nil
}

// perRow reports whether a value that has not grown has as many slices along its first axis as one row of the other
// operands. A Concat requires this. Other operations broadcast one slice, and a product has matrices without any.
func (f *fan) perRow(n *graph.Node, slot int) bool {
	least, o, v := 2, ops.Of(n), n.In(slot)
	switch {
	case o.In(ops.Join):
		return true
	case o.In(ops.Product) && !o.Carries(slot):
		return false
	case o.In(ops.Product):
		least = 3
	}
	x, whole := f.facts.Of(v), f.facts.Of(n.Out(0))
	return x.Rank() >= least && x.Rank() == whole.Rank() && x.Dim(0) != 1 && whole.Dim(0) != 1
}

// repeat tiles an operand that has not grown along an axis, so that it has as many slices there as rows.
func (f *fan) repeat(u graph.Use, axis int, rows *graph.Value) {
	v, name := f.read(u), fmt.Sprintf("fanout/%s_%d", u.Node.Name(), u.Slot)
	rank := f.facts.Rank(v)
	if rank == 0 {
		f.edit.Fail(fmt.Errorf("%v needs %v for each row of the batch, but the file does not declare its number of axes", u.Node, v))
		return
	}
	times := f.node("Div", name+"/times", f.size(name+"/needed", rows, 0), f.size(name+"/there", v, axis))
	repeats := slices.Repeat([]*graph.Value{f.ints("fanout_once", 1)}, rank)
	repeats[axis] = times
	f.edit.Redirect(u, f.node("Tile", name+"/repeated", v, f.nodeAttrs("Concat", name+"/repeats", graph.Attrs{"axis": 0}, repeats...)))
}

// freeOperator repeats the inputs of an operator that need a row for each row of the batch, and omits those that a prompt
// does not need.
func (f *fan) freeOperator(n *graph.Node, axes map[*graph.Value]int, rows *graph.Value) {
	o := ops.Of(n)
	for _, r := range o.Rows {
		v := n.In(r.Slot)
		if _, grown := axes[v]; v == nil || grown {
			continue
		}
		if rank := f.facts.Rank(v); r.Axes == 0 || rank == r.Axes || rank == 0 {
			f.repeat(graph.Use{Node: n, Slot: r.Slot}, 0, rows)
		}
	}
	if o.Attn == nil {
		return
	}
	if o.Attn.Single {
		f.edit.Fail(fmt.Errorf("%v takes one token at a time", n))
	}
	for _, slots := range [][]int{o.Attn.Past, o.Attn.Rows} {
		for _, slot := range slots {
			u := graph.Use{Node: n, Slot: slot}
			switch _, grown := axes[n.In(slot)]; {
			case n.In(slot) == nil:
			case f.presents == nil || !slices.Contains(o.Attn.Past, slot):
				f.edit.Redirect(u, nil)
			case !grown: // keys and values stacked in one tensor have an axis before that of rows
				f.repeat(u, max(0, f.facts.Rank(n.In(slot))-4), rows)
			}
		}
	}
}

// freeReshape makes the target of a Reshape follow the rows. Its first element was correct for one row. It becomes -1
// (inferred) if the other elements give all other sizes, and 0 if the input's first axis is kept. Otherwise it is
// multiplied by the number of rows, unless the file computes it from a value that has grown.
func (f *fan) freeReshape(n *graph.Node) {
	shape, complete := f.facts.Ints(n.In(1))
	one := ops.Unknown // the first element for one row
	if complete && len(shape) > 0 {
		one = shape[0]
	}
	free := !complete
	for _, d := range shape {
		free = free || d == -1
	}
	zero := one == 0 && n.Int("allowzero", 0) == 0
	switch {
	case one == -1 || zero:
	case !free:
		f.retarget(n, f.ints("fanout_rest", -1))
	case one > 0 && one == f.facts.Of(n.In(0)).Dim(0):
		f.copyZero(n)
		f.retarget(n, f.ints("fanout_same", 0))
	case !f.sized(n.In(1)):
		first := f.node("Slice", n.Name()+"/first", n.In(1), f.ints("fanout_from", 0), f.ints("fanout_to", 1), f.ints("fanout_axis", 0))
		more := f.node("Mul", n.Name()+"/times", first, f.lastOf(n).rows)
		kept := f.node("Less", n.Name()+"/kept", first, f.ints("fanout_to", 1)) // -1 and 0
		f.retarget(n, f.node("Where", n.Name()+"/follows", kept, first, more))
	}
}

// retarget replaces the first element of a Reshape's target.
func (f *fan) retarget(n *graph.Node, first *graph.Value) {
	rest := f.node("Slice", n.Name()+"/rest", n.In(1), f.ints("fanout_one", 1), f.ints("fanout_end", 1<<31-1), f.ints("fanout_axis", 0))
	f.edit.Redirect(graph.Use{Node: n, Slot: 1}, f.nodeAttrs("Concat", n.Name()+"/free", graph.Attrs{"axis": 0}, first, rest))
}

// lastOf returns the last place that a node depends on.
func (f *fan) lastOf(n *graph.Node) (out *growth) {
	for _, g := range f.growths {
		if g.after.has[n] {
			out = g
		}
	}
	return out
}

// sized reports whether the first element of a target is computed from the shape of a value that has grown.
func (f *fan) sized(target *graph.Value) bool {
	v := ops.Root(target, ops.Convert)
	if n := v.Producer(); n.Is("Concat") {
		v = n.In(0)
	}
	first := f.growths[0].after
	next := func(v *graph.Value) []*graph.Value {
		if v.Producer() == nil || v.Const() != nil {
			return nil
		}
		return v.Producer().Inputs()
	}
	for v := range ops.Reach(ops.Unlimited(), next, v) {
		if v.Producer() != nil && first.has[v.Producer()] {
			return true
		}
	}
	return false
}
