package ops

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Follow takes one step with an axis of an input. It returns the axis of the first output (for Split, of every output)
// along which each slice is computed from the same slice of the input and from no other. The rows of a batch are such an
// axis in every operator; the positions are one for a norm or an MLP. ok is false if slices are mixed, if some are left
// out, or if the file does not give enough information.
//
// Axes are counted from the first one, 0. For a Reshape, only the first axis is followed: it stays the first one, with
// others folded into it or taken out of it, and its slices stay together.
func Follow(n *graph.Node, slot, axis int, facts *Facts) (out int, ok bool) {
	f := follower{n, slot, axis, facts.Rank(n.In(slot)), facts}
	switch o := Of(n); {
	case o.Whole:
		return 0, false
	case o.In(Convert):
		return axis, slot == 0
	case o.In(Pointwise), n.Is("Expand"):
		return axis, f.highest()
	case n.Is("Reshape"):
		return 0, slot == 0 && axis == 0
	case n.Is("Flatten"):
		return 0, axis == 0 && n.Int("axis", 1) > 0
	case n.Is("Squeeze", "Unsqueeze"):
		return f.squeezed()
	case n.Is("Transpose"):
		return f.permuted()
	case n.Is("Tile"):
		times, known := facts.Ints(n.In(1))
		return axis, slot == 0 && known && axis < len(times) && times[axis] == 1
	case o.In(Pick):
		return f.picked()
	case o.In(Join):
		return axis, !f.on(n.Int("axis", 0))
	case o.In(Normalise | Along):
		return axis, o.Carries(slot) && !f.from(n.Int("axis", -1))
	case o.In(Reduce):
		return f.reduced()
	case o.In(Product):
		return f.multiplied()
	case o.In(Rotate | Attention):
		return 0, axis == 0
	}
	return 0, false
}

// follower is an axis of one input of a node.
type follower struct {
	n          *graph.Node
	slot, axis int
	rank       int // of the input; 0 if unknown
	facts      *Facts
}

// at counts an axis from the first one. The result is negative for an axis counted from the end of an unknown rank.
func (f follower) at(axis int64) int {
	if axis < 0 {
		axis += int64(f.rank)
	}
	return int(axis)
}

// on reports whether the given axis is or may be the followed one. With an unknown rank, the last axis is not the first
// one.
func (f follower) on(axis int64) bool {
	a := f.at(axis)
	return a == f.axis || a < 0 && f.axis > 0
}

// from reports whether the followed axis is or may be the given one or after it.
func (f follower) from(axis int64) bool {
	a := f.at(axis)
	return a >= 0 && a <= f.axis || a < 0 && f.axis > 0
}

// highest reports whether no other operand of a broadcasting node has more axes, as far as the file declares.
func (f follower) highest() bool {
	for i, v := range f.n.Inputs() {
		axes := f.facts.Rank(v)
		if f.n.Is("Expand") && i == 1 {
			to, _ := f.facts.Ints(v)
			axes = len(to)
		}
		if i != f.slot && f.rank > 0 && axes > f.rank {
			return false
		}
	}
	return true
}

func (f follower) squeezed() (int, bool) {
	axes, ok := bound(f.n, f.facts.Of, 1, "axes")
	if !ok || f.slot != 0 {
		return 0, false
	}
	axes = slices.Clone(axes)
	for i, a := range axes {
		if a >= 0 {
			continue
		}
		axes[i] += int64(f.rank)
		if f.n.Is("Unsqueeze") {
			axes[i] += int64(len(axes))
		}
		if f.rank == 0 {
			return 0, false
		}
	}
	slices.Sort(axes)
	out := f.axis
	for _, a := range axes {
		switch a := int(a); {
		case f.n.Is("Unsqueeze") && a <= out:
			out++
		case f.n.Is("Squeeze") && a == f.axis:
			return 0, false
		case f.n.Is("Squeeze") && a < f.axis:
			out--
		}
	}
	return out, true
}

func (f follower) permuted() (int, bool) {
	perm := f.n.Ints("perm")
	if perm == nil { // reversed
		return f.rank - 1 - f.axis, f.rank > 0
	}
	out := slices.Index(perm, int64(f.axis))
	return out, out >= 0
}

func (f follower) picked() (int, bool) {
	n := f.n
	switch {
	case f.slot != 0:
	case n.Is("Trilu"):
		return f.axis, f.axis < f.rank-2
	case n.Is("Split", "SplitToSequence"):
		return f.axis, !f.on(n.Int("axis", 0))
	case n.Is("SequenceAt"):
		return f.axis, true
	case n.Is("Gather"):
		axis, at := n.Int("axis", 0), f.facts.Of(n.In(1))
		switch a := f.at(axis); {
		case f.on(axis):
			return 0, false
		case a < 0 || a > f.axis:
			return f.axis, true
		}
		return f.axis + at.Rank() - 1, at.Ranked
	case n.Is("GatherND"): // only axes after those that the indices refer to
		at := f.facts.Of(n.In(1))
		after := f.axis - int(at.Dim(-1)+n.Int("batch_dims", 0))
		return at.Rank() - 1 + after, at.Dim(-1) > 0 && after >= 0
	case n.Is("Slice"):
		axes, ok := bound(n, f.facts.Of, 3, "axes")
		if from, known := bound(n, f.facts.Of, 1, "starts"); !ok && n.In(3) == nil && known {
			for i := range from { // all of the first axes
				axes, ok = append(axes, int64(i)), true
			}
		}
		return f.axis, ok && !slices.ContainsFunc(axes, f.on)
	}
	return 0, false
}

func (f follower) reduced() (int, bool) {
	if f.n.Is("GlobalAveragePool") { // averages over the axes after the second one
		return f.axis, f.axis < 2
	}
	axes, ok := bound(f.n, f.facts.Of, 1, "axes")
	if f.slot != 0 || !ok || len(axes) == 0 || slices.ContainsFunc(axes, f.on) {
		return 0, false
	}
	out := f.axis
	for _, a := range axes {
		if a := f.at(a); a >= 0 && a < f.axis && f.n.Int("keepdims", 1) == 0 {
			out--
		}
	}
	return out, true
}

// multiplied follows an axis of a product that is before the last two, or that counts the rows of the left operand.
func (f follower) multiplied() (int, bool) {
	n := f.n
	turned := n.Int("transA", 0) != 0
	switch {
	case f.slot > 1 || n.Int("transBatchA", 0) != 0 || n.Int("transBatchB", 0) != 0:
		return 0, false
	case f.slot == 1:
		return f.axis, f.axis < f.rank-2
	case f.rank == 0:
		return 0, f.axis == 0 && !turned
	case !n.Is("Gemm") && Of(n).Data != 1 && f.facts.Rank(n.In(1)) > f.rank:
		return 0, false
	}
	return f.axis, f.axis < f.rank-2 || f.axis == f.rank-2 && !turned
}
