package inputs

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// reads describes the nodes that read an input, as far as they show its purpose.
type reads struct {
	masks     bool // its numbers reach attention
	positions bool // it rotates queries and keys
	slot      Role // the role of the attention operator's input that receives it unchanged; "" for none and for a mask
}

// readsOf follows the numbers of an input forward until attention reads them. It ignores uses of its shape and uses as an
// index. A value computed from a mask does not determine the role of the mask: counted positions (CumSum) and summed
// lengths are examples.
func readsOf(v *graph.Value, l *models.Layout) reads {
	type step struct {
		v                 *graph.Value
		computed, counted bool
	}
	var out reads
	seen := map[step]bool{}
	todo := []step{{v: v}}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if at.v == nil || seen[at] {
			continue
		}
		seen[at] = true
		for _, u := range at.v.Uses() {
			counted := at.counted || u.Node.Is("CumSum")
			switch o := ops.Of(u.Node); {
			case u.Node.Is("Shape", "Size"):
				continue
			case o.Attn != nil:
				out.masks = true
				if role := slotRole(o.Attn, u.Slot); !at.computed && role != "" {
					out.slot = role
				}
				continue
			case isCore(u.Node, l):
				out.masks = true
				continue
			case u.Node.Is("Cos", "Sin"), o.In(ops.Rotate) && !o.Carries(u.Slot), isIndex(u) && turns(u.Node.Out(0)):
				out.positions = out.positions || !counted
				out.masks = out.masks || counted
				continue
			case isIndex(u):
				continue
			}
			for _, w := range u.Node.Outputs() {
				todo = append(todo, step{w, at.computed || !ops.Is(u.Node, ops.Copies), counted})
			}
		}
	}
	return out
}

// slotRole returns the role of an attention operator's input that counts positions, or "" for other inputs.
func slotRole(s *ops.AttnSlots, slot int) Role {
	for _, x := range []struct {
		slot int
		role Role
	}{
		{s.LastKeys, RoleLastKeys}, {s.Keys, RoleKeys}, {s.Earlier, RoleEarlier}, {s.Positions, RolePositions},
	} {
		if x.slot > 0 && x.slot == slot {
			return x.role
		}
	}
	return ""
}

// isIndex reports whether a use is the index input of a node that picks elements.
func isIndex(u graph.Use) bool {
	return u.Slot == 1 && u.Node.Is("Gather", "GatherND", "GatherElements", "com.microsoft.GatherBlockQuantized")
}

// turns reports whether rows of a table are multiplied by a computed value, or passed to a rotary operator: then they are
// sines and cosines. Rows of an embedding table are added.
func turns(rows *graph.Value) bool {
	for u, v := range ops.Readers(ops.Unlimited(), rows, ops.Flows) {
		o := ops.Of(u.Node)
		if o.In(ops.Rotate) && !o.Carries(u.Slot) {
			return true
		}
		if u.Node.Is("Mul") && slices.ContainsFunc(u.Node.Inputs(), func(w *graph.Value) bool { return w != v && w.Const() == nil }) {
			return true
		}
	}
	return false
}

// keepsLast reports whether an input gives the number of positions to keep at the end: its negative is the start of a Slice
// whose result attention does not read. Then 0 keeps all positions.
func keepsLast(v *graph.Value, l *models.Layout) bool {
	type step struct {
		v   *graph.Value
		neg bool
	}
	found := false
	seen := map[step]bool{}
	todo := []step{{v, false}}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		for _, u := range at.v.Uses() {
			switch {
			case u.Node.Is("Slice") && u.Slot == 1 && at.neg:
				if r := readsOf(u.Node.Out(0), l); r.masks || r.positions {
					return false
				}
				found = true
			case u.Node.Is("Neg"):
				todo = append(todo, step{u.Node.Out(0), !at.neg})
			case ops.Is(u.Node, ops.Copies) && u.Slot == 0:
				todo = append(todo, step{u.Node.Out(0), at.neg})
			default:
				return false
			}
		}
	}
	return found
}

func isCore(n *graph.Node, l *models.Layout) bool {
	for _, b := range l.Bodies {
		if slices.ContainsFunc(b.Layers, func(x *models.Layer) bool { return x.Core == n }) {
			return true
		}
	}
	return false
}
