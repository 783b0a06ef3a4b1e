package rewrite

import (
	"context"
	"fmt"
	"slices"

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

// FanOutMemory and FanOutTau name the inputs of one layer: float32 [K, 1, d_model] and [K, 1 or pos, 1]. K may be 0.
func FanOutMemory(layer int) string { return fmt.Sprintf("fanout.%d.memory", layer) }
func FanOutTau(layer int) string    { return fmt.Sprintf("fanout.%d.tau", layer) }

// FanOut turns a decoder into a graph that evaluates many injections of one prompt in one run. The batch begins as one clean
// row. After the attention of layer l it grows by K rows, each of which is row 0 plus tau_k * memory_k at every position. Work
// before that layer is done once. Only the last position is unembedded, and the graph returns the answer's log-probability and
// rank and the top tokens instead of all logits:
//
//	attn_out  [rows, pos, d] ──────────────── Concat ─┐
//	  row 0 ──(+)── tau_k × memory_k ────────────┘    (+)── resid_mid [rows + K, pos, d]
//	resid_pre [rows, pos, d] ──────────────── Concat ─┘
//	  row 0, K times ────────────────────────────┘
//
// Any other part of the stream that is combined with values after the join grows like resid_pre: in a parallel block, the
// output of the MLP. Row 0 is the clean run. The cells of layer 0 follow, then those of layer 1, and so on. top is N; 0 omits
// the top tokens.
//
// The cache is dropped as by Prefill. Everything after the first join has more rows than the tokens; freeRows lists what real
// files need for that. FanOut refuses files of fixed batch size and files in which an operation may mix rows. The last layer
// computes only the last position, from W_O or from the join on, if the operations there allow it.
//
// A further output, [Signal], shows for each row whether the last norm saw the stream. Some models cannot have it.
//
// The returned inputs feed the prompt. The caller adds those of the fan-out.
//
// After an error the model is as it was before.
func FanOut(ctx context.Context, m *graph.Model, l *models.Layout, top int) (in *inputs.Signature, err error) {
	err = m.Try(func() error {
		in, err = fanOut(ctx, m, l, top)
		return err
	})
	return in, err
}

func fanOut(ctx context.Context, m *graph.Model, l *models.Layout, top int) (*inputs.Signature, error) {
	tokens := l.Tokens()
	axis, err := positionAxis(m, l)
	switch {
	case err != nil:
		return nil, fmt.Errorf("fan-out: %w", err)
	case tokens != nil && len(tokens.Type().Dims) > 0 && tokens.Type().Dims[0].Size >= 0:
		return nil, fmt.Errorf("fan-out: the file fixes the batch size to %d", tokens.Type().Dims[0].Size)
	}
	if l, err = prefill(ctx, m, l); err != nil {
		return nil, fmt.Errorf("fan-out: %w", err)
	}
	in, err := inputs.Read(m, l)
	if err != nil {
		return nil, err
	}
	f := newFan(m, l)
	last := f.lastBlock()
	for i, layer := range f.body.Layers {
		if i < len(f.body.Layers)-1 {
			f.grow(layer, nil)
		} else {
			f.grow(layer, last)
		}
	}
	f.freeRows(last)
	if last != nil {
		axis = 0 // there is only one position
	}
	if hasSignal(m, l) {
		f.out(Signal, f.signal(), graph.TensorType(graph.Float32, "rows"))
	}
	f.score(top, axis)
	f.edit.ForgetTypes(m.Graph)
	f.edit.Prune()
	if err := f.edit.Commit(); err != nil {
		return nil, fmt.Errorf("fan-out: %w", err)
	}
	return in, nil
}

// fan is a fan-out graph under construction.
type fan struct {
	*patch
	nodes  []*graph.Node                  // in computation order
	needed map[*graph.Node]bool           // the nodes that the logits depend on
	stream map[*graph.Node]bool           // the needed nodes that depend on the embeddings
	after  map[*models.Layer]nodeSet      // the needed nodes that depend on the join of a layer
	rows   map[*models.Layer]*graph.Value // the number of rows after the join of a layer, [1]
}

// nodeSet is a set of nodes in the order of the graph.
type nodeSet struct {
	list []*graph.Node
	has  map[*graph.Node]bool
}

func newFan(m *graph.Model, l *models.Layout) *fan {
	f := &fan{patch: newPatch(m.Edit(), m, l, l.Bodies[0]), nodes: l.Bodies[0].Graph.Ordered(), needed: map[*graph.Node]bool{}, after: map[*models.Layer]nodeSet{},
		rows: map[*models.Layer]*graph.Value{}}
	next := func(v *graph.Value) []*graph.Value {
		if v.Producer() == nil {
			return nil
		}
		f.needed[v.Producer()] = true
		return v.Producer().Inputs()
	}
	for range ops.Reach(ops.Unlimited(), next, f.body.Logits) {
	}
	for _, v := range m.Graph.Inputs() { // a prompt is one row
		if d := v.Type().Dims; len(d) > 1 && d[0].Size < 0 {
			one := ops.Fact{Ranked: true, Dims: []int64{1}}
			for _, d := range d[1:] {
				size := ops.Unknown
				if d.Size >= 0 {
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
		f.after[layer] = f.downstream(layer.Join.Node)
	}
	return f
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

// grow appends the cells of one layer to the operand through which attention joins the stream, and as many copies of row 0
// to every other operand through which the stream meets it. Nodes in last get only the last position.
func (f *fan) grow(l *models.Layer, last *nodeSet) {
	name := fmt.Sprintf("fanout.%d", l.Index)
	dim := func(axis string) string { return fmt.Sprintf("fanout_%d_%s", l.Index, axis) }
	memory := f.edit.Input(FanOutMemory(l.Index), graph.TensorType(graph.Float32, dim("cells"), 1, f.layout.DModel))
	tau := f.edit.Input(FanOutTau(l.Index), graph.TensorType(graph.Float32, dim("cells"), dim("pos"), 1))
	at := func(what string, v *graph.Value) *graph.Value {
		if last == nil {
			return v
		}
		return f.last(name+"/"+what+"_last", v, 1)
	}
	grow := func(u graph.Use, what string, now, rows *graph.Value) {
		f.redirect(u, f.nodeAttrs("Concat", name+"/"+what, graph.Attrs{"axis": 0}, now, rows))
	}
	attn := f.read(l.Join)
	if last != nil && last.has[l.WO.Node] {
		f.cutZ(l, last)
	} else {
		attn = at("attn", attn)
	}
	row0 := f.node("Slice", name+"/attn_row0", attn, f.ints("fanout_from", 0), f.ints("fanout_to", 1), f.ints("fanout_axis", 0))
	scaled := f.like(name, f.node("Mul", name+"/scaled", memory, at("tau", tau)), f.dtype(attn), attn)
	grow(l.Join, "attn", attn, f.node("Add", name+"/cells", row0, scaled))
	f.rows[l] = f.size(name+"/rows", f.now[l.Join])

	cells := f.size(name+"/cells", memory)
	zeros := f.nodeAttrs("ConstantOfShape", name+"/zeros", graph.Attrs{"value": graph.NewInt64([]int64{0}, 1)}, cells)
	for i, u := range f.entering(f.after[l]) {
		if u == l.Join {
			continue
		}
		v := f.read(u)
		if x := f.facts.Of(u.Node.In(u.Slot)); x.Rank() == 2 || x.Dim(0) > 1 {
			f.edit.Fail(fmt.Errorf("%v reads the stream as %v, whose first axis holds more than rows, so rows cannot be added", u.Node, v))
		}
		what := fmt.Sprintf("other_%d", i)
		now := at(what, v)
		grow(u, what, now, f.nodeAttrs("Gather", name+"/"+what+"_copies", graph.Attrs{"axis": 0}, now, zeros))
	}
}

// size returns the number of slices of a value along its first axis, [1].
func (f *fan) size(name string, v *graph.Value) *graph.Value {
	shape := f.node("Shape", name+"_shape", v)
	return f.node("Slice", name, shape, f.ints("fanout_from", 0), f.ints("fanout_to", 1), f.ints("fanout_axis", 0))
}
