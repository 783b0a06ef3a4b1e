package inputs

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
)

// Carry is one tensor of a cache: an output of a step that is an input of the next step.
type Carry struct {
	Past, Present string // the input and the output

	// Axis is the axis that counts positions.
	Axis int

	// InPlace says that the operator can write new keys and values into the memory of the past, after those that are there. The
	// input then has the size of the whole cache in every step, and the input and the output are one tensor.
	InPlace bool

	// OneAfter says that the operator continues the cache of several rows by one position at a time.
	OneAfter bool

	why string // Present was not found
}

// Cache returns what a step hands to the next one, in the order of the inputs. A file without a cache has none. It is an error
// if the file takes a cache and an output for an input was not found: it cannot be continued.
func (in *Signature) Cache() ([]Carry, error) {
	var out []Carry
	for _, r := range in.Roles {
		if r.Role != RolePast {
			continue
		}
		if r.carry.why != "" {
			return nil, fmt.Errorf("cache input %q: %s", r.Name, r.carry.why)
		}
		out = append(out, r.carry)
	}
	return out, nil
}

// EmptyCache makes the cache inputs of the first step.
func (in *Signature) EmptyCache(batch int) (map[string]*graph.Tensor, error) {
	return in.cache(batch, 0)
}

// FullCache makes cache inputs of a given number of positions, filled with zeros, for operators that write in place; see
// [Carry].
func (in *Signature) FullCache(batch, positions int) (map[string]*graph.Tensor, error) {
	return in.cache(batch, positions)
}

func (in *Signature) cache(batch, positions int) (map[string]*graph.Tensor, error) {
	out := map[string]*graph.Tensor{}
	for _, r := range in.Roles {
		if r.Role != RolePast {
			continue
		}
		t, err := r.past(in.layout, int64(batch), int64(positions))
		if err != nil {
			return nil, fmt.Errorf("feed the model: %s input %q %v: %w", r.Role, r.Name, r.Type, err)
		}
		out[r.Name] = t
	}
	return out, nil
}

// carryOf finds the output that continues a cache input: the past is joined with new keys or values, by a Concat or by an
// attention operator, and what results is an output, possibly after it was moved or stacked:
//
//	past ─ (Gather, Split, Cast, …) ─ Concat ─ (Transpose, Unsqueeze, Concat, …) ─ present
//	                                 └ Attention, output 1 + i for the i-th cache input
func carryOf(v *graph.Value, axis int) Carry {
	c := Carry{Past: v.Name(), Axis: axis}
	type step struct {
		v      *graph.Value
		joined bool
	}
	var found []*graph.Value
	seen := map[step]bool{}
	todo := []step{{v, false}}
	add := func(v *graph.Value, joined bool) {
		if s := (step{v, joined}); v != nil && !seen[s] {
			seen[s] = true
			todo = append(todo, s)
		}
	}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		if at.joined && at.v.IsOutput() {
			if owner := at.v.Graph().Owner(); owner != nil { // an output of a branch is an output of the If
				add(owner.Out(slices.Index(at.v.Graph().Outputs(), at.v)), true)
			} else if t := at.v.Type(); t.DType == v.Type().DType && !slices.Contains(found, at.v) {
				found = append(found, at.v)
			}
		}
		for _, u := range at.v.Uses() {
			o := ops.Of(u.Node)
			slot := -1
			if o.Attn != nil {
				slot = slices.Index(o.Attn.Past, u.Slot)
			}
			switch {
			case slot >= 0 && !at.joined:
				c.InPlace = o.Attn.InPlace && at.v == v && len(v.Uses()) == 1
				c.OneAfter = o.Attn.OneAfter
				add(u.Node.Out(slot+1), true)
			case u.Node.Is("Concat"):
				add(u.Node.Out(0), true)
			case o.In(ops.Moves) && o.Carries(u.Slot), !at.joined && o.In(ops.Pick) && o.Carries(u.Slot):
				for _, w := range u.Node.Outputs() {
					add(w, at.joined)
				}
			}
		}
	}
	switch {
	case len(found) == 0:
		c.why = "the output with its new keys or values was not found"
	case len(found) > 1:
		c.why = fmt.Sprintf("%d outputs could hold its new keys or values, among them %q and %q", len(found), found[0].Name(), found[1].Name())
	default:
		c.Present = found[0].Name()
		c.InPlace = c.InPlace && len(found[0].Uses()) == 0
	}
	return c
}
