package inputs

import (
	"fmt"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// Role says what a graph input is for.
type Role string

// The roles of graph inputs.
const (
	RoleTokens      Role = "tokens"       // ids [batch, pos]
	RoleMask        Role = "mask"         // 1 for every position that may be attended to
	RolePositions   Role = "positions"    // 0, 1, 2, …
	RolePast        Role = "past"         // keys and values of earlier positions
	RoleCacheBranch Role = "cache branch" // which branch of a merged decoder runs
	RoleMemory      Role = "memory"       // our port
	RoleTau         Role = "tau"          // our port
	RoleUnused      Role = "unused"       // nothing reads it; hosts ask for it all the same
	RoleUnknown     Role = "unknown"
)

// Input is a graph input and what it is for.
type Input struct {
	Name string
	Type graph.Type
	Role Role

	layer      int  // of memory and tau
	noCache    bool // the value of the cache branch that runs without a cache
	pastLength int  // the axis of a past input that counts positions; batch is axis rank-4
}

// Signature is that of a model: what to feed it.
type Signature struct {
	Roles  []Input // in the order of the graph
	Batch  int64   // the number of rows when the file fixes it, else 0
	Length int64   // the number of positions when the file fixes it, else 0

	layout *models.Layout
}

// Read finds out what each input of a recognised model is for: by what reads it, and by its name only where that
// leaves a choice. An input that is not understood has [RoleUnknown]; it is an error to feed such a model.
func Read(m *graph.Model, l *models.Layout) (*Signature, error) {
	man, err := models.ReadManifest(m)
	if err != nil {
		return nil, err
	}
	tokens := l.Tokens()
	if tokens == nil {
		return nil, hint.With(fmt.Errorf("inputs of %s: no input holds the tokens", m.Path()),
			"a file that takes embeddings can be patched, not run here: export it with input_ids")
	}
	in := &Signature{layout: l}
	for _, v := range m.Graph.Inputs() {
		r := Input{Name: v.Name(), Type: v.Type(), Role: RoleUnknown}
		if p := inputPort(man, v.Name()); p != nil {
			r.layer = p.Layer
			switch p.Kind {
			case models.PortMemory:
				r.Role = RoleMemory
			case models.PortTau:
				r.Role = RoleTau
			}
		} else {
			r.classify(v, tokens, l)
		}
		in.Roles = append(in.Roles, r)
	}
	dims := rowDims(tokens.Type())
	if len(dims) > 1 {
		in.Batch = max(0, dims[0].Size)
	}
	if len(dims) > 0 {
		in.Length = max(0, dims[len(dims)-1].Size)
	}
	return in, nil
}

// inputPort finds an input port by name; m may be nil.
func inputPort(m *models.Manifest, name string) *models.ManifestPort {
	if m == nil {
		return nil
	}
	for i := range m.Ports {
		if m.Ports[i].Name == name && m.Ports[i].IO == "in" {
			return &m.Ports[i]
		}
	}
	return nil
}

// rowDims is the shape of a [batch, pos] input; an undeclared one is taken to be of rank 2.
func rowDims(t graph.Type) []graph.Dim {
	if !t.Ranked {
		return []graph.Dim{{Size: -1}, {Size: -1}}
	}
	return t.Dims
}

func (r *Input) classify(v, tokens *graph.Value, l *models.Layout) {
	whole, rank := !v.Type().DType.IsFloat(), len(rowDims(v.Type()))
	switch {
	case len(v.Uses()) == 0 && !v.IsOutput():
		r.Role = RoleUnused
	case v == tokens:
		r.Role = RoleTokens
	case whole && v == positionsInput(l):
		r.Role = RolePositions
	case r.isPast(l):
		r.Role = RolePast
	case r.isCacheBranch(v, l):
		r.Role = RoleCacheBranch
	case whole && rank <= 2 && strings.Contains(v.Name(), "position"): // rotary positions are computed with, not looked up
		r.Role = RolePositions
	case rank == 2 && reachesAttention(l, v):
		r.Role = RoleMask
	}
}

// positionsInput is the input that indexes W_pos; nil when positions are computed in the graph.
func positionsInput(l *models.Layout) *graph.Value {
	if l.Positions == nil || l.Positions.Node == nil {
		return nil
	}
	v := l.Positions.Node.In(1)
	if l.Positions.Node.Is("com.microsoft.EmbedLayerNormalization") {
		v = l.Positions.Node.In(8)
	}
	v, _ = moved(v)
	return v
}

// moved follows v back through operations on single values to the graph input it comes from, nil when there is none.
// flips counts the negations.
func moved(v *graph.Value) (input *graph.Value, flips int) {
	for v != nil && !v.IsInput() {
		n := v.Producer()
		if !n.Is("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Not") {
			return nil, 0
		}
		if n.Is("Not") {
			flips++
		}
		v = n.In(0)
	}
	return v, flips
}

// isPast recognises a cache by its shape: […, batch, heads, positions, d_head], keys sometimes with the last two swapped,
// key and value sometimes stacked in front of batch.
func (r *Input) isPast(l *models.Layout) bool {
	d := r.Type.Dims
	n := len(d)
	if n < 4 || !r.Type.DType.IsFloat() || d[n-3].Size >= 0 && d[n-3].Size != int64(l.KVHeads) {
		return false
	}
	width := int64(l.DHead)
	switch {
	case d[n-1].Size == width, strings.Contains(r.Name, "past") && d[n-1].Size < 0 && d[n-2].Size < 0:
		r.pastLength = n - 2
	case d[n-2].Size == width:
		r.pastLength = n - 1
	default:
		return false
	}
	return true
}

// isCacheBranch recognises the condition of the If that holds the decoders.
func (r *Input) isCacheBranch(v *graph.Value, l *models.Layout) bool {
	body := l.Bodies[0].Graph
	owner := body.Owner()
	if owner == nil || !owner.Is("If") {
		return false
	}
	condition, flips := moved(owner.In(0))
	if condition != v {
		return false
	}
	r.noCache = (body.Attr() == "then_branch") != (flips%2 == 1) // Bodies[0] is the branch without a cache
	return true
}

// reachesAttention reports whether the values of v, not only its shape or what it indexes, take part in attention.
func reachesAttention(l *models.Layout, v *graph.Value) bool {
	cores := map[*graph.Node]bool{}
	for _, b := range l.Bodies {
		for _, layer := range b.Layers {
			cores[layer.Core] = true
		}
	}
	seen := map[*graph.Node]bool{}
	todo := []*graph.Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == nil {
			continue
		}
		for _, u := range v.Uses() {
			switch {
			case seen[u.Node], u.Node.Is("Shape", "Size"), u.Slot == 1 && u.Node.Is("Gather", "GatherND", "GatherElements"):
				continue
			case cores[u.Node]:
				return true
			}
			seen[u.Node] = true
			todo = append(todo, u.Node.Outputs()...)
		}
	}
	return false
}
