package inputs

import (
	"fmt"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// Role is the purpose of a graph input.
type Role string

// The roles of graph inputs.
const (
	RoleTokens      Role = "tokens"         // ids [batch, pos]
	RoleMask        Role = "mask"           // 1 for every position that attention may read
	RolePositions   Role = "positions"      // 0, 1, 2, …
	RolePast        Role = "past"           // keys and values of earlier positions
	RoleEarlier     Role = "earlier length" // the number of earlier positions
	RoleKeys        Role = "length"         // the number of positions, including earlier ones
	RoleLastKeys    Role = "last positions" // the last position of each row
	RoleKeep        Role = "kept positions" // the number of positions at the end that get logits; 0: all
	RoleCacheBranch Role = "cache branch"   // which branch of a merged decoder runs
	RolePort        Role = "port"           // an added port of an intervention
	RoleUnused      Role = "unused"         // no node reads it, but hosts require it
	RoleUnknown     Role = "unknown"
)

// Input is a graph input and its role.
type Input struct {
	Name string
	Type graph.Type
	Role Role

	port    models.Port // of RolePort
	noCache bool        // the value of the cache branch that runs without a cache
	carry   Carry       // of RolePast
	why     string      // for an unknown role: an explanation, or ""
}

// Signature lists the inputs of a model and their roles.
type Signature struct {
	Roles  []Input // in the order of the graph
	Batch  int64   // the number of rows if the file fixes it, else 0
	Length int64   // the number of positions if the file fixes it, else 0

	layout *models.Layout
}

// Read finds the role of each input of a recognised model from the nodes that read it, and from its name only if several
// roles remain possible. An input that is not understood has [RoleUnknown]; feeding such a model is an error.
func Read(m *graph.Model, l *models.Layout) (*Signature, error) {
	man, err := models.ReadManifest(m)
	if err != nil {
		return nil, err
	}
	tokens := l.Tokens()
	if tokens == nil {
		return nil, hint.With(fmt.Errorf("inputs of %s: no input holds the tokens", m.Path()),
			"a file that takes embeddings can be patched but not run: export the model with input_ids")
	}
	in := &Signature{layout: l}
	for _, v := range m.Graph.Inputs() {
		r := Input{Name: v.Name(), Type: v.Type(), Role: RoleUnknown}
		if p := man.Port(v.Name()); p == nil {
			r.Role = r.roleOf(v, tokens, l)
		} else if port, known := p.Port(); known {
			r.Role, r.port = RolePort, port
		}
		in.Roles = append(in.Roles, r)
	}
	in.oneMask()
	dims := rowDims(tokens.Type())
	if len(dims) > 1 {
		in.Batch = max(0, dims[0].Size)
	}
	if len(dims) > 0 {
		in.Length = max(0, dims[len(dims)-1].Size)
	}
	return in, nil
}

// rowDims returns the shape of a [batch, pos] input. An undeclared shape is assumed to have rank 2.
func rowDims(t graph.Type) []graph.Dim {
	if !t.Ranked {
		return []graph.Dim{{Size: -1}, {Size: -1}}
	}
	return t.Dims
}

// roleOf finds the role of one input. Several inputs may look like a mask: see [Signature.oneMask].
func (r *Input) roleOf(v, tokens *graph.Value, l *models.Layout) Role {
	whole, rank := !v.Type().DType.IsFloat(), len(rowDims(v.Type()))
	switch {
	case len(v.Uses()) == 0 && !v.IsOutput():
		return RoleUnused
	case v == tokens:
		return RoleTokens
	case whole && v == positionsInput(l):
		return RolePositions
	}
	read := readsOf(v, l)
	switch {
	case r.isPast(v, l, read.masks):
		r.carry = carryOf(v, r.carry.Axis)
		return RolePast
	case r.isCacheBranch(v, l):
		return RoleCacheBranch
	case whole && rank <= 1 && keepsLast(v, l):
		return RoleKeep
	case whole && rank <= 2 && read.slot != "":
		return read.slot
	case whole && rank <= 2 && read.positions:
		return RolePositions
	case rank == 2 && read.masks:
		return RoleMask
	case rank == 4 && read.masks:
		r.why = "a mask of four axes selects the visible positions for each position, and this program makes only masks [batch, pos]: export the model with such a mask"
	case whole && rank <= 2 && strings.Contains(v.Name(), "position"): // no known operator reads its numbers
		return RolePositions
	case whole && rank == 2 && strings.Contains(v.Name(), "mask"):
		return RoleMask
	}
	return RoleUnknown
}

// oneMask leaves the role of a mask to one input. Several inputs may reach attention: in some models, token types decide
// which tokens see each other. The names must then identify the mask.
func (in *Signature) oneMask() {
	var masks, named []*Input
	for i := range in.Roles {
		if r := &in.Roles[i]; r.Role == RoleMask {
			masks = append(masks, r)
			if strings.Contains(r.Name, "mask") {
				named = append(named, r)
			}
		}
	}
	if len(masks) < 2 {
		return
	}
	for _, r := range masks {
		if len(named) != 1 || r != named[0] {
			r.Role = RoleUnknown
			r.why = fmt.Sprintf("%d inputs reach attention like a mask, and only one mask is supported", len(masks))
		}
	}
}

// positionsInput returns the input that indexes W_pos, or nil if the graph computes the positions.
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

// moved follows v back through operations on single values to the graph input it comes from, or nil if there is none. flips
// is the number of negations.
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

// isCacheBranch recognises the condition of the If that chooses between the decoders.
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
