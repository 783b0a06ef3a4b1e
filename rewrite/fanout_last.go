package rewrite

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// lastBlock returns the nodes of the last layer that compute only the last position: only the logits there are needed, and
// the MLP of that layer, which has the most rows, takes a tenth of the time for a grid. They begin after z with W_O if
// possible, else with the join. There are none if even those nodes need the other positions.
func (f *fan) lastBlock() *nodeSet {
	l := f.body.Layers[len(f.body.Layers)-1]
	var readers []*graph.Node
	for _, u := range l.Z.Uses() {
		if !u.Node.Is("Shape") {
			readers = append(readers, u.Node)
		}
	}
	onlyReshape := !slices.ContainsFunc(readers, func(n *graph.Node) bool { return !n.Is("Reshape") })
	if l.ZForm == models.ZFlat || onlyReshape { // see cutZ
		if block := f.downstream(readers...); f.onePosition(block, l) {
			return &block
		}
	}
	if block := f.downstream(l.Join.Node); f.onePosition(block, l) {
		return &block
	}
	return nil
}

// onePosition reports whether a set of nodes needs only one position of its inputs to compute that position of its outputs.
func (f *fan) onePosition(block nodeSet, l *models.Layer) bool {
	positions := map[*graph.Value]int{} // the axis of positions
	entering := f.entering(block)
	for _, n := range block.list {
		out := -1
		for slot, v := range n.Inputs() {
			at := 1
			switch known, inside := positions[v]; {
			case v == nil:
				continue
			case inside:
				at = known
			case !slices.Contains(entering, graph.Use{Node: n, Slot: slot}):
				if block.has[v.Producer()] || ops.Is(n, ops.Pointwise) && !f.samePositions(v) {
					return false
				}
				continue
			case v == l.Z && l.ZForm == models.ZByHead:
				at = 2
			case v != l.Z && f.facts.Rank(v) != 3:
				return false
			}
			to, ok := ops.Follow(n, slot, at, f.facts)
			if n.Is("Reshape") {
				to, ok = f.foldedTo(n)
			}
			if !ok || out >= 0 && to != out {
				return false
			}
			out = to
		}
		for _, v := range n.Outputs() {
			positions[v] = out
		}
	}
	return true
}

// samePositions reports whether a value that is not part of the stream is the same at all positions of [batch, pos, d].
func (f *fan) samePositions(v *graph.Value) bool {
	x := f.facts.Of(v)
	return x.Ranked && (x.Rank() <= 1 || x.Dim(-2) == 1)
}

// foldedTo returns the axis of positions after a Reshape that puts heads side by side, folds batch and positions into one
// axis for a Gemm, or unfolds them again.
func (f *fan) foldedTo(n *graph.Node) (axis int, ok bool) {
	switch shape, complete := f.facts.Ints(n.In(1)); {
	case complete && len(shape) == 2, !complete && feeds(n, "Gemm"):
		return 0, true
	case !complete || len(shape) == 3:
		return 1, true
	}
	return 0, false
}

// feeds reports whether an operation reads the output of a node.
func feeds(n *graph.Node, op string) bool {
	return slices.ContainsFunc(n.Out(0).Uses(), func(u graph.Use) bool { return u.Node.Is(op) })
}

// freeLast gives a Reshape of one position a target for any number of rows. The last axis is inferred.
func (f *fan) freeLast(n *graph.Node) {
	target := f.ints("fanout_unfold", 0, 1, -1)
	if axis, _ := f.foldedTo(n); axis == 0 {
		target = f.ints("fanout_fold", 0, -1)
	}
	f.copyZero(n)
	f.edit.Redirect(graph.Use{Node: n, Slot: 1}, target)
}

// copyZero makes a 0 in the target of a Reshape copy the input's dimension.
func (f *fan) copyZero(n *graph.Node) {
	if n.Int("allowzero", 0) != 0 {
		f.edit.SetAttr(n, "allowzero", 0)
	}
}

// cutZ gives the last position of z to those of its readers that are in a set. Reshapes put its heads side by side, so for
// one position the order of the axes does not matter and the Transpose is left out.
func (f *fan) cutZ(l *models.Layer, readers *nodeSet) {
	z, axis := l.Z, int64(2)
	switch l.ZForm {
	case models.ZByPos: // the output of Transpose [0, 2, 1, 3]
		z = z.Producer().In(0)
	case models.ZFlat:
		axis = 1
	}
	z = f.last("fanout/z_last", z, axis)
	for _, u := range l.Z.Uses() {
		if readers.has[u.Node] {
			f.edit.Redirect(u, z)
		}
	}
}
