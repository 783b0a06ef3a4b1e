package rewrite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
)

// Names of the inputs and outputs of a fan-out graph. K is the number of cells of a layer, and rows = 1 + the sum of K over
// the layers.
const (
	FanOutAnswer = "fanout.answer"   // in, int64 [1]: the token to score
	FanOutLogP   = "fanout.logp"     // out, float32 [rows]: log-probability of the answer
	FanOutRank   = "fanout.rank"     // out, int64 [rows]: the number of tokens that are likelier than the answer
	FanOutTop    = "fanout.top"      // out, int64 [rows, N]: the N likeliest tokens, most likely first
	FanOutTopP   = "fanout.top_logp" // out, float32 [rows, N]: their log-probabilities
)

// Grid says what the cells of a fan-out are.
type Grid struct {
	Sites []models.PortKind // of the residual stream: a memory of z has another form
	Top   int               // how many of the likeliest tokens each row returns; 0 for none
	Keep  bool              // cells also have a factor of the model's own value
	Cache bool              // keep the cache of a file that has one, so that cells can share the positions before the first change
}

// FanOutMemory, FanOutTau and FanOutKeep name the inputs of a site of a layer: float32 [K, 1 or pos, d_model], and twice
// [K, 1 or pos, 1]. K may be 0.
func FanOutMemory(at models.BakedAt) string { return fanOutName(at) + ".memory" }
func FanOutTau(at models.BakedAt) string    { return fanOutName(at) + ".tau" }
func FanOutKeep(at models.BakedAt) string   { return fanOutName(at) + ".keep" }

func fanOutName(at models.BakedAt) string {
	if at.Site == models.DefaultSite {
		return fmt.Sprintf("fanout.%d", at.Layer)
	}
	return fmt.Sprintf("fanout.%s.%d", at.Site, at.Layer)
}

// FanOut turns a decoder into a graph that evaluates many changes of one prompt in one run. The batch begins as one clean row.
// Where a site enters the rest of the model, it grows by K rows, each of which is row 0 plus tau_k * memory_k. With Keep it is
// row 0 plus (keep_k - 1) * x plus tau_k * memory_k, where x is the site's value in row 0. Work before that place is done once. Only the last position is unembedded, and the graph returns the answer's
// log-probability and rank and the top tokens instead of all logits. At attn_out:
//
//	attn_out  [rows, pos, d] ──────────────── Concat ─┐
//	  row 0 ──(+)── tau_k × memory_k ────────────┘    (+)── resid_mid [rows + K, pos, d]
//	resid_pre [rows, pos, d] ──────────────── Concat ─┘
//	  row 0, K times ────────────────────────────┘
//
// Any other part of the stream that is combined with values after the place grows like resid_pre here: in a parallel block, the
// output of the MLP. At resid_pre and resid_post, all readers of the stream get the grown value, and where a skip norm computes
// the stream, one of its operands grows.
//
// The batch grows at each site in each layer that has it. Row 0 is the clean run. The cells of each place follow, in the order that
// FanOut returns.
//
// The cache is dropped, unless the grid says to keep it and this is possible: then the returned inputs have one. It has one row, and
// attention repeats it for the rows that it meets. A run of the first positions without cells returns what the cache of a second run
// needs, whose cells begin there. Everything after the first place has more rows than the tokens; freeRows lists what real
// files need for that. FanOut refuses files of fixed batch size and files in which an operation may mix rows. The last layer
// computes only the last position, from W_O or from the join on, if the operations there allow it.
//
// A further output, [Signal], shows for each row whether the last norm saw the stream. Some models cannot have it.
//
// The returned inputs feed the prompt. The caller adds those of the fan-out.
//
// After an error the model is as it was before.
func FanOut(ctx context.Context, m *graph.Model, l *models.Layout, g Grid) (in *inputs.Signature, rows []models.BakedAt, err error) {
	try := func(g Grid) error {
		return m.Try(func() error {
			in, rows, err = fanOut(ctx, m, l, g)
			return err
		})
	}
	if g.Cache && len(l.Bodies) == 1 && try(g) == nil {
		return in, rows, nil
	}
	g.Cache = false
	err = try(g)
	return in, rows, err
}

func fanOut(ctx context.Context, m *graph.Model, l *models.Layout, g Grid) (*inputs.Signature, []models.BakedAt, error) {
	tokens := l.Tokens()
	axis, err := positionAxis(m, l)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("fan-out: %w", err)
	case tokens != nil && len(tokens.Type().Dims) > 0 && tokens.Type().Dims[0].Size >= 0:
		return nil, nil, fmt.Errorf("fan-out: the file fixes the batch size to %d", tokens.Type().Dims[0].Size)
	}
	if !g.Cache {
		if l, err = prefill(ctx, m, l); err != nil {
			return nil, nil, fmt.Errorf("fan-out: %w", err)
		}
	}
	in, err := inputs.Read(m, l)
	if err != nil {
		return nil, nil, err
	}
	f, err := newFan(m, l, g, in)
	if err != nil {
		return nil, nil, fmt.Errorf("fan-out: %w", err)
	}
	last := f.lastBlock()
	if last != nil {
		f.cut(last)
	}
	var order []models.BakedAt
	for _, place := range f.growths {
		f.grow(place, last)
		order = append(order, place.at)
	}
	f.freeRows(last)
	if last != nil {
		axis = 0 // there is only one position
	}
	if hasSignal(m, l) {
		f.out(Signal, f.signal(), graph.TensorType(graph.Float32, "rows"))
	}
	f.score(g.Top, axis, f.presents)
	f.edit.ForgetTypes(m.Graph)
	f.edit.Prune()
	if err := f.edit.Commit(); err != nil {
		return nil, nil, fmt.Errorf("fan-out: %w", err)
	}
	return in, order, nil
}

// fan is a fan-out graph under construction.
type fan struct {
	*patch
	keep     bool                 // see Grid
	presents []*graph.Value       // the outputs of the cache, if it is kept
	nodes    []*graph.Node        // in computation order
	needed   map[*graph.Node]bool // the nodes that the logits and the cache depend on
	stream   map[*graph.Node]bool // the needed nodes that depend on the embeddings
	growths  []*growth            // in the order in which the batch grows
}

// growth is a place at which the batch grows.
type growth struct {
	at    models.BakedAt
	own   models.Site  // the terms of the site's value
	uses  []graph.Use  // the operands that get the cells; all of them read the same value
	zero  *graph.Use   // the operand of a sum that is zero in cells, because the other one has the whole sum; nil for none
	bias  *graph.Value // what the sum adds to both; nil for none
	after nodeSet      // the needed nodes that depend on them
	rows  *graph.Value // the number of rows after it, [1]
}

// nodeSet is a set of nodes in the order of the graph.
type nodeSet struct {
	list []*graph.Node
	has  map[*graph.Node]bool
}

func newFan(m *graph.Model, l *models.Layout, grid Grid, in *inputs.Signature) (*fan, error) {
	f := &fan{patch: newPatch(m.Edit(), m, l, l.Bodies[0]), keep: grid.Keep, nodes: l.Bodies[0].Graph.Ordered(), needed: map[*graph.Node]bool{}}
	if grid.Cache {
		if err := f.keepCache(in); err != nil {
			return nil, err
		}
	}
	next := func(v *graph.Value) []*graph.Value {
		if v.Producer() == nil {
			return nil
		}
		f.needed[v.Producer()] = true
		return v.Producer().Inputs()
	}
	for range ops.Reach(ops.Unlimited(), next, append(f.presents, f.body.Logits)...) {
	}
	for _, v := range m.Graph.Inputs() { // a prompt is one row
		d, rows := v.Type().Dims, 0
		if isCache(v.Type(), l) {
			rows = len(d) - 4
		}
		if len(d) > 1 && d[rows].Size < 0 {
			one := ops.Fact{Ranked: true}
			for i, d := range d {
				size := ops.Unknown
				switch {
				case i == rows:
					size = 1
				case d.Size >= 0:
					size = d.Size
				}
				one.Dims = append(one.Dims, size)
			}
			f.facts.Set(v, one)
		}
	}
	if l.Embed != nil && l.Embed.Node != nil {
		f.stream = f.downstream(l.Embed.Node).has
	}
	for _, layer := range f.body.Layers {
		for _, site := range grid.Sites {
			if site.Intervention().Missing(layer) != "" {
				continue
			}
			g, err := f.growth(site, layer)
			if err != nil {
				return nil, fmt.Errorf("%s of layer %d: %w", site, layer.Index, err)
			}
			f.growths = append(f.growths, g)
		}
	}
	return f, f.sort()
}

// keepCache finds the outputs of the cache.
func (f *fan) keepCache(in *inputs.Signature) error {
	carries, err := in.Cache()
	switch {
	case err != nil:
		return err
	case len(carries) == 0:
		return errors.New("the file has no cache")
	case in.Length > 0:
		return fmt.Errorf("the file takes exactly %d tokens", in.Length)
	}
	for _, v := range f.model.Graph.Outputs() {
		if slices.ContainsFunc(carries, func(c inputs.Carry) bool { return c.Present == v.Name() }) {
			f.presents = append(f.presents, v)
			f.edit.Retype(v, manyRows(v)) // hosts plan memory by names of sizes, and these sizes differ between layers
		}
	}
	return nil
}

// manyRows is the type of a present with a number of rows of its own.
func manyRows(v *graph.Value) graph.Type {
	t := v.Type()
	t.Dims = slices.Clone(t.Dims)
	if i := len(t.Dims) - 4; i >= 0 && t.Dims[i].Size < 0 {
		t.Dims[i] = graph.Dim{Size: -1, Name: v.Name() + "_rows"}
	}
	return t
}

// growth finds where the batch grows for a site of a layer.
func (f *fan) growth(site models.PortKind, l *models.Layer) (*growth, error) {
	s := site.Intervention()
	if s.ByHead() {
		return nil, errors.New("want a site of the residual stream")
	}
	place := s.At(l)
	g := &growth{at: models.BakedAt{Site: site, Layer: l.Index}, own: place.Own, uses: place.Uses}
	if n := place.Fused; n != nil { // what is added to an operand of a sum is added to the sum
		for _, u := range place.Uses {
			if v := u.Node.In(u.Slot); v != n.Out(3) {
				return nil, fmt.Errorf("%v reads %v, which is not the sum that %v returns", u.Node, v, n)
			}
		}
		slot := slices.IndexFunc([]int{0, 1}, func(slot int) bool { return n.In(slot) != nil && f.stream[n.In(slot).Producer()] })
		if slot < 0 {
			return nil, fmt.Errorf("no operand of %v depends on the tokens", n)
		}
		g.uses = []graph.Use{{Node: n, Slot: slot}}
		if other := n.In(1 - slot); f.keep && !f.stream[other.Producer()] { // it does not grow, so it cannot be zero in cells only
			return nil, fmt.Errorf("%v adds %v, which does not depend on the tokens, so cells cannot have a factor", n, other)
		}
		if f.keep {
			g.own, g.zero = models.Site{n.In(0), n.In(1)}, &graph.Use{Node: n, Slot: 1 - slot}
			if g.bias = n.In(ops.Of(n).Norm.Bias); g.bias != nil {
				g.own = append(g.own, g.bias)
			}
		}
	}
	var nodes []*graph.Node
	for _, u := range g.uses {
		nodes = append(nodes, u.Node)
	}
	g.after = f.downstream(nodes...)
	return g, nil
}

// sort puts a place before those that depend on it. Rows must be in the same order wherever values with different histories meet,
// so of two places one must be upstream of the whole other.
func (f *fan) sort() error {
	if len(f.growths) == 0 {
		return nil
	}
	slices.SortStableFunc(f.growths, func(a, b *growth) int { return len(b.after.list) - len(a.after.list) })
	for i, g := range f.growths[1:] {
		earlier := f.growths[i]
		for _, n := range g.after.list {
			if !earlier.after.has[n] {
				return fmt.Errorf("neither %s of layer %d nor %s of layer %d is upstream of the other", earlier.at.Site, earlier.at.Layer, g.at.Site, g.at.Layer)
			}
		}
	}
	return nil
}

// downstream returns the given nodes and the needed nodes that depend on them. Nodes that depend only on a shape are not
// included.
func (f *fan) downstream(from ...*graph.Node) nodeSet {
	s := nodeSet{has: map[*graph.Node]bool{}}
	for _, n := range f.nodes {
		reads := func(v *graph.Value) bool { return v != nil && s.has[v.Producer()] }
		if slices.Contains(from, n) || !n.Is("Shape", "Size") && slices.ContainsFunc(n.Inputs(), reads) {
			s.has[n] = true
			if f.needed[n] {
				s.list = append(s.list, n)
			}
		}
	}
	return s
}

// entering returns the operands through which the stream enters a set of nodes.
func (f *fan) entering(s nodeSet) (out []graph.Use) {
	for _, n := range s.list {
		for slot, v := range n.Inputs() {
			if v != nil && f.stream[v.Producer()] && !s.has[v.Producer()] {
				out = append(out, graph.Use{Node: n, Slot: slot})
			}
		}
	}
	return out
}

// cut gives the nodes that compute only the last position that position of their operands.
func (f *fan) cut(last *nodeSet) {
	l := f.body.Layers[len(f.body.Layers)-1]
	if last.has[l.WO.Node] {
		f.cutZ(l, last)
	}
	cut := map[*graph.Value]*graph.Value{}
	for i, u := range f.entering(*last) {
		v := f.read(u)
		if v == l.Z {
			continue
		}
		if cut[v] == nil {
			cut[v] = f.last(fmt.Sprintf("fanout/last_%d", i), v, 1)
		}
		f.redirect(u, cut[v])
	}
}

// grow appends the cells of one place to its operands, and as many copies of row 0 to every other operand through which the stream
// meets them. Nodes in last have only the last position.
func (f *fan) grow(g *growth, last *nodeSet) {
	name := fanOutName(g.at)
	dim := func(axis string) string { return strings.ReplaceAll(name, ".", "_") + "_" + axis }
	memory := f.edit.Input(FanOutMemory(g.at), graph.TensorType(graph.Float32, dim("cells"), dim("memory_pos"), f.layout.DModel))
	tau := f.edit.Input(FanOutTau(g.at), graph.TensorType(graph.Float32, dim("cells"), dim("pos"), 1))
	var keep *graph.Value
	if f.keep {
		keep = f.edit.Input(FanOutKeep(g.at), graph.TensorType(graph.Float32, dim("cells"), dim("keep_pos"), 1))
	}
	grown := map[*graph.Value]*graph.Value{}
	for i, u := range g.uses {
		f.onlyRows(u)
		now := f.read(u)
		if grown[now] == nil {
			what, of := fmt.Sprintf("%s/cells_%d", name, i), f.dtype(u.Node.In(u.Slot))
			at := func(what string, v *graph.Value) *graph.Value { // the positions of the operand
				if last != nil && last.has[u.Node] && !last.has[v.Producer()] {
					return f.last(what, v, 1)
				}
				return v
			}
			cells := f.like(what, f.node("Mul", what+"/scaled", at(what+"/memory_last", memory), at(what+"/tau_last", tau)), of, now)
			base := f.row0(what+"/row0", now)
			if f.keep {
				var x *graph.Value // the site's value in row 0
				for j, term := range g.own {
					if own := fmt.Sprintf("%s/own_%d", what, j); f.stream[term.Producer()] { // and not a bias
						term = f.row0(own, at(own+"_last", term))
					}
					if x != nil {
						term = f.node("Add", fmt.Sprintf("%s/own_sum_%d", what, j), x, term)
					}
					x = term
				}
				if g.zero != nil {
					base = x
				}
				less := f.node("Sub", what+"/less_one", at(what+"/keep_last", keep), f.constant("one", graph.NewFloat32([]float32{1})))
				base = f.node("Add", what+"/kept", base, f.node("Mul", what+"/dropped", x, f.like(what+"/less_one", less, of, now)))
			}
			cells = f.node("Add", what, base, cells)
			if g.bias != nil {
				cells = f.node("Sub", what+"/unbiased", cells, g.bias)
			}
			grown[now] = f.nodeAttrs("Concat", what+"/grown", graph.Attrs{"axis": 0}, now, cells)
		}
		f.redirect(u, grown[now])
		if g.rows == nil {
			g.rows = f.size(name+"/rows", grown[now], 0)
		}
	}
	cells := f.size(name+"/cells", memory, 0)
	zeros := f.nodeAttrs("ConstantOfShape", name+"/zeros", graph.Attrs{"value": graph.NewInt64([]int64{0}, 1)}, cells)
	for i, u := range f.entering(g.after) {
		if slices.Contains(g.uses, u) {
			continue
		}
		f.onlyRows(u)
		now, what := f.read(u), fmt.Sprintf("%s/other_%d", name, i)
		copies := f.nodeAttrs("Gather", what+"_copies", graph.Attrs{"axis": 0}, now, zeros)
		if g.zero != nil && *g.zero == u {
			copies = f.node("Sub", what+"_zero", copies, copies)
		}
		f.redirect(u, f.nodeAttrs("Concat", what, graph.Attrs{"axis": 0}, now, copies))
	}
}

// row0 returns the clean row of a value.
func (f *fan) row0(name string, v *graph.Value) *graph.Value {
	return f.node("Slice", name, v, f.ints("fanout_from", 0), f.ints("fanout_to", 1), f.ints("fanout_axis", 0))
}

// onlyRows refuses an operand to which rows cannot be added.
func (f *fan) onlyRows(u graph.Use) {
	if x := f.facts.Of(u.Node.In(u.Slot)); x.Rank() == 2 || x.Dim(0) > 1 {
		f.edit.Fail(fmt.Errorf("%v reads the stream as %v, whose first axis holds more than rows, so rows cannot be added", u.Node, u.Node.In(u.Slot)))
	}
}

// size returns the number of slices of a value along an axis, [1].
func (f *fan) size(name string, v *graph.Value, axis int) *graph.Value {
	from, to := f.ints(fmt.Sprintf("fanout_axis_%d", axis), int64(axis)), f.ints(fmt.Sprintf("fanout_after_%d", axis), int64(axis)+1)
	return f.node("Slice", name, f.node("Shape", name+"_shape", v), from, to, f.ints("fanout_axis", 0))
}
