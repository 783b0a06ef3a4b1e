package models

import (
	"errors"
	"fmt"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
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

// InputRole is a graph input and what it is for.
type InputRole struct {
	Name string
	Type graph.Type
	Role Role

	layer      int  // of memory and tau
	noCache    bool // the value of the cache branch that runs without a cache
	pastLength int  // the axis of a past input that counts positions; batch is axis rank-4
}

// Inputs is the signature of a model: what to feed it.
type Inputs struct {
	Roles  []InputRole // in the order of the graph
	Batch  int64       // the number of rows when the file fixes it, else 0
	Length int64       // the number of positions when the file fixes it, else 0

	layout *Layout
}

// ReadInputs finds out what each input of a recognised model is for: by what reads it, and by its name only where that
// leaves a choice. An input that is not understood has [RoleUnknown]; it is an error to feed such a model.
func ReadInputs(m *graph.Model, l *Layout) (*Inputs, error) {
	man, err := ReadManifest(m)
	if err != nil {
		return nil, err
	}
	tokens := l.Tokens()
	if tokens == nil {
		return nil, fmt.Errorf("inputs of %s: no input holds the tokens", m.Path())
	}
	in := &Inputs{layout: l}
	for _, v := range m.Graph.Inputs() {
		r := InputRole{Name: v.Name(), Type: v.Type, Role: RoleUnknown}
		if p := man.port(v.Name()); p != nil {
			r.layer = p.Layer
			switch p.Kind {
			case PortMemory:
				r.Role = RoleMemory
			case PortTau:
				r.Role = RoleTau
			}
		} else {
			r.classify(v, tokens, l)
		}
		in.Roles = append(in.Roles, r)
	}
	dims := rowDims(tokens.Type)
	if len(dims) > 1 {
		in.Batch = max(0, dims[0].Size)
	}
	if len(dims) > 0 {
		in.Length = max(0, dims[len(dims)-1].Size)
	}
	return in, nil
}

// port finds an input port by name; m may be nil.
func (m *Manifest) port(name string) *ManifestPort {
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

func (r *InputRole) classify(v, tokens *graph.Value, l *Layout) {
	whole, rank := !v.Type.DType.IsFloat(), len(rowDims(v.Type))
	switch {
	case len(v.Uses()) == 0 && !v.IsOutput():
		r.Role = RoleUnused
	case v == tokens:
		r.Role = RoleTokens
	case whole && v == l.positionsInput():
		r.Role = RolePositions
	case r.isPast(l):
		r.Role = RolePast
	case r.isCacheBranch(v, l):
		r.Role = RoleCacheBranch
	case whole && rank <= 2 && strings.Contains(v.Name(), "position"): // rotary positions are computed with, not looked up
		r.Role = RolePositions
	case rank == 2 && l.reachesAttention(v):
		r.Role = RoleMask
	}
}

// positionsInput is the input that indexes W_pos; nil when positions are computed in the graph.
func (l *Layout) positionsInput() *graph.Value {
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
func (r *InputRole) isPast(l *Layout) bool {
	d := r.Type.Dims
	n := len(d)
	if n < 4 || !r.Type.DType.IsFloat() || d[n-3].Size >= 0 && d[n-3].Size != int64(l.Heads) {
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
func (r *InputRole) isCacheBranch(v *graph.Value, l *Layout) bool {
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
func (l *Layout) reachesAttention(v *graph.Value) bool {
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

// Feeds builds all inputs for a batch of prompts of equal length: the whole text at once, no cache, every memory and every
// tau zero. The caller may replace entries of the result.
func (in *Inputs) Feeds(ids [][]int64) (map[string]*graph.Tensor, error) {
	out, err := in.feeds(ids)
	if err != nil {
		return nil, fmt.Errorf("feed the model: %w", err)
	}
	return out, nil
}

func (in *Inputs) feeds(ids [][]int64) (map[string]*graph.Tensor, error) {
	if err := in.check(ids); err != nil {
		return nil, err
	}
	batch, length := int64(len(ids)), int64(len(ids[0]))
	out := map[string]*graph.Tensor{}
	for _, r := range in.Roles {
		t, err := in.feed(r, ids, batch, length)
		if err != nil {
			return nil, fmt.Errorf("%s input %q %v: %w", r.Role, r.Name, r.Type, err)
		}
		out[r.Name] = t
	}
	return out, nil
}

const otherFile = "use another file of the model's folder: model.onnx, decoder_model_merged.onnx or decoder_model.onnx"

// check compares the prompts with what the model can take.
func (in *Inputs) check(ids [][]int64) error {
	if len(ids) == 0 || len(ids[0]) == 0 {
		return errors.New("no tokens")
	}
	length := int64(len(ids[0]))
	for i, row := range ids {
		if int64(len(row)) != length {
			return fmt.Errorf("row %d has %d tokens, row 0 has %d: the rows of a batch have equal length", i, len(row), length)
		}
		for _, id := range row {
			if vocab := in.layout.Embed.In; id < 0 || id >= vocab {
				return fmt.Errorf("token %d: the vocabulary is 0 to %d; is this the model's own tokenizer?", id, vocab-1)
			}
		}
	}
	switch {
	case in.Length == 1 && length > 1:
		return graph.Hint(fmt.Errorf("the file takes one token at a time, the text has %d", length), otherFile)
	case in.Length > 0 && length != in.Length:
		return graph.Hint(fmt.Errorf("the file takes exactly %d tokens, the text has %d", in.Length, length), "export the model with a dynamic length")
	case in.layout.NCtx > 0 && length > int64(in.layout.NCtx):
		return fmt.Errorf("the text has %d tokens, the model takes %d", length, in.layout.NCtx)
	case in.Batch > 0 && int64(len(ids)) != in.Batch:
		return graph.Hint(fmt.Errorf("the file takes exactly %d rows, the batch has %d", in.Batch, len(ids)), "export the model with a dynamic batch")
	}
	return nil
}

func (in *Inputs) feed(r InputRole, ids [][]int64, batch, length int64) (*graph.Tensor, error) {
	switch r.Role {
	case RoleTokens:
		var flat []int64
		for _, row := range ids {
			flat = append(flat, row...)
		}
		return r.rows(flat, batch, length)
	case RoleMask:
		return r.rows(sequence(batch*length, func(int64) int64 { return 1 }), batch, length)
	case RolePositions:
		if d := rowDims(r.Type); len(d) == 2 && d[0].Size == 1 {
			batch = 1 // one row for all
		}
		return r.rows(sequence(batch*length, func(i int64) int64 { return i % length }), batch, length)
	case RolePast:
		return r.past(in.layout, batch)
	case RoleCacheBranch:
		x := int64(0)
		if r.noCache {
			x = 1
		}
		dims := sequence(int64(len(r.Type.Dims)), func(int64) int64 { return 1 })
		return wholeNumbers(r.Type.DType, []int64{x}, dims...)
	case RoleMemory:
		return graph.Zeros(graph.Float32, 1, 1, int64(in.layout.DModel)), nil
	case RoleTau:
		return graph.Zeros(graph.Float32, 1, 1, 1), nil
	case RoleUnused:
		return r.unused(batch, length)
	}
	return nil, errors.New("it is not known what to feed here")
}

func sequence(n int64, f func(int64) int64) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = f(int64(i))
	}
	return out
}

// rows makes a tensor of [batch, pos] numbers in the declared rank: [pos], [batch, pos], or [batch, 1, pos].
func (r *InputRole) rows(x []int64, batch, length int64) (*graph.Tensor, error) {
	dims := []int64{batch, length}
	switch n := len(rowDims(r.Type)); {
	case n == 1 && batch == 1:
		dims = dims[1:]
	case n == 1 && r.Role == RolePositions:
		x, dims = x[:length], dims[1:]
	case n == 2:
	case n == 3:
		dims = []int64{batch, 1, length}
	default:
		return nil, fmt.Errorf("cannot hold %d rows of %d", batch, length)
	}
	return wholeNumbers(r.Type.DType, x, dims...)
}

// unused makes zeros of the declared sizes, the first free one as long as the batch, the others as long as the text.
func (r *InputRole) unused(batch, length int64) (*graph.Tensor, error) {
	if r.Type.DType.Bits() < 8 {
		return nil, fmt.Errorf("zeros of %v", r.Type.DType)
	}
	var dims []int64
	for i, d := range rowDims(r.Type) {
		switch {
		case d.Size >= 0:
			dims = append(dims, d.Size)
		case i == 0:
			dims = append(dims, batch)
		default:
			dims = append(dims, length)
		}
	}
	return graph.Zeros(r.Type.DType, dims...), nil
}

// past makes an empty cache.
func (r *InputRole) past(l *Layout, batch int64) (*graph.Tensor, error) {
	n := len(r.Type.Dims)
	dims := make([]int64, n)
	for i, d := range r.Type.Dims {
		dims[i] = d.Size
		if d.Size >= 0 {
			continue
		}
		switch i {
		case n - 4:
			dims[i] = batch
		case n - 3:
			dims[i] = int64(l.Heads)
		case r.pastLength:
			dims[i] = 0
		case n - 2, n - 1:
			dims[i] = int64(l.DHead)
		default:
			dims[i] = 2 // key and value
		}
	}
	if dims[n-4] != batch {
		return nil, fmt.Errorf("a cache of %d rows, the batch has %d", dims[n-4], batch)
	}
	if dims[r.pastLength] != 0 {
		return nil, graph.Hint(fmt.Errorf("the cache has a fixed length of %d, want an empty one", dims[r.pastLength]), otherFile)
	}
	return graph.Zeros(r.Type.DType, dims...), nil
}

// wholeNumbers makes a tensor of integers in the element type that an input declares.
func wholeNumbers(d graph.DType, x []int64, dims ...int64) (*graph.Tensor, error) {
	switch d {
	case graph.Int64:
		return graph.NewInt64(x, dims...), nil
	case graph.Int32:
		y := make([]int32, len(x))
		for i, v := range x {
			y[i] = int32(v)
		}
		return graph.NewInt32(y, dims...), nil
	case graph.Float32:
		y := make([]float32, len(x))
		for i, v := range x {
			y[i] = float32(v)
		}
		return graph.NewFloat32(y, dims...), nil
	case graph.Bool, graph.Int8, graph.Uint8:
		t := graph.Zeros(d, dims...)
		for i, v := range x {
			t.Data[i] = byte(v)
		}
		return t, nil
	}
	return nil, fmt.Errorf("whole numbers as %v", d)
}
