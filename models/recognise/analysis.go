package recognise

import (
	"context"
	"fmt"
	"math/bits"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// Limits on the cost of recognition. The largest models have about 200 layers and 100,000 nodes, and need a few steps per
// node.
const (
	maxCores = 1024
	maxSteps = 4_000_000
	maxWords = 4 << 20 // 64-bit words of all sets of cores together
)

// toProjections lists the operations between q, k and v and the projections that they come from.
const toProjections = ops.Flows | ops.Pointwise | ops.Normalise | ops.Rotate | ops.Reduce

// analysis is the state of recognising one graph.
type analysis struct {
	*ops.Constants
	budget *ops.Budget
	facts  *ops.Facts
	g      *graph.Graph
	cores  []*core
	words  int      // 64-bit words in a set of cores
	up     []uint64 // for each node, by its ID, the set of cores it depends on, including itself

	products    *ops.Search            // the products of two activations that scores come from
	projections *ops.Search            // the projections that q, k and v come from
	rotary      *ops.Search            // the nodes that rotate queries and keys by position
	masks       *ops.Memo[string]      // evidence of a causal mask
	multiplied  *ops.Memo[*graph.Node] // where scores are multiplied by a mask
	inputs      *ops.Memo[inputsOf]    // whether a value is computed only from graph inputs and constants
	triangles   map[*graph.Const]bool  // stored masks that were checked
	read        map[*graph.Node]*weights.Weight
	stored      map[models.BakedAt]models.Stored // what an earlier rewrite stored at each site
	deltas      map[*graph.Node]delta            // the additions of an earlier rewrite that ports feed
	stray       *graph.Node                      // a norm before an output that does not read the residual stream
}

func newAnalysis(ctx context.Context, g *graph.Graph, c *ops.Constants) *analysis {
	b := ops.NewBudget(ctx, maxSteps)
	a := &analysis{Constants: c, budget: b, facts: ops.NewFacts(b), g: g, triangles: map[*graph.Const]bool{},
		read: map[*graph.Node]*weights.Weight{}}
	a.readDeltas(g.Model())
	over := func(c ops.Class) func(*graph.Node) bool { return func(n *graph.Node) bool { return ops.Is(n, c) } }
	isProduct := func(n *graph.Node) bool { return a.product(n) != nil }
	a.products = ops.NewSearch(b, over(ops.Copies|ops.Pointwise|ops.Join), isProduct, a.Is)
	a.projections = ops.NewSearch(b, over(toProjections), func(n *graph.Node) bool { w := a.readProjection(n); return w != nil && w.In > 1 }, a.Is)
	a.rotary = ops.NewSearch(b, over(toProjections), func(n *graph.Node) bool {
		return ops.Is(n, ops.Rotate) || n.Is("Cos", "Sin") || a.readProjection(n) != nil
	}, a.Is)
	a.masks = ops.NewMemo(b, a.maskNeeds, a.maskOf)
	a.multiplied = ops.NewMemo(b, a.scoresOf, a.multipliedAt)
	a.inputs = ops.NewMemo(b, inputsNeeds, a.inputsOf)
	return a
}

// inputsOf records whether a value consists of constants and graph inputs that are moved, repeated or multiplied, or is one of
// two constants, which a condition selects. This holds for masks and memories.
type inputsOf struct {
	only bool // it consists of nothing else
	any  bool // it uses at least one input
}

func inputsNeeds(v *graph.Value) []*graph.Value {
	if n := v.Producer(); ops.Is(n, ops.Moves|ops.Repeat) || n.Is("Mul", "Slice", "Where") {
		return ops.Data(n)
	}
	return nil
}

func (a *analysis) inputsOf(v *graph.Value, of func(*graph.Value) inputsOf) inputsOf {
	needs := inputsNeeds(v)
	switch {
	case a.Is(v):
		return inputsOf{only: true}
	case v.IsInput():
		return inputsOf{true, true}
	}
	out := inputsOf{only: len(needs) > 0, any: v.Producer().Is("Where")} // its condition comes from an input
	for _, in := range needs {
		x := of(in)
		out.only, out.any = out.only && x.only, out.any || x.any
	}
	return out
}

// fed reports whether v is computed only from graph inputs and constants by moving, converting and multiplying, with at
// least one input.
func (a *analysis) fed(v *graph.Value) bool { x := a.inputs.Of(v); return x.only && x.any }

// inputsBefore returns the graph inputs that v comes from through operations that only move values or add to them.
func (a *analysis) inputsBefore(v *graph.Value) []*graph.Value {
	var out []*graph.Value
	next := func(v *graph.Value) []*graph.Value {
		if n := v.Producer(); ops.Is(n, ops.Moves|ops.Pick|ops.Join) || n.Is("Add", "Sub", "Mul") {
			return ops.Data(n)
		}
		return nil
	}
	for v := range ops.Reach(a.budget, next, v) {
		if v.IsInput() {
			out = append(out, v)
		}
	}
	return out
}

// trace computes the set of cores that each node depends on.
func (a *analysis) trace() error {
	a.words = (len(a.cores) + 63) / 64
	if n := a.words * a.g.Model().NodeIDs(); n > maxWords {
		return fmt.Errorf("%d attention computations among %d nodes: more than in any decoder", len(a.cores), a.g.Model().NodeIDs())
	}
	a.up = make([]uint64, a.words*a.g.Model().NodeIDs())
	for i, c := range a.cores {
		a.above(c.node)[i/64] |= 1 << (i % 64)
	}
	for _, n := range a.g.Ordered() {
		set := a.above(n)
		for i := range n.NumIn() {
			in := n.In(i)
			if p := in.Producer(); p != nil && in.Graph() == a.g {
				for w, x := range a.above(p) {
					set[w] |= x
				}
			}
		}
	}
	return nil
}

// above returns the set of cores that a node depends on, one bit for each.
func (a *analysis) above(n *graph.Node) []uint64 { return a.up[n.ID()*a.words:][:a.words] }

// depth returns the number of cores that v depends on.
func (a *analysis) depth(v *graph.Value) int {
	if v == nil || v.Producer() == nil {
		return 0
	}
	d := 0
	for _, x := range a.above(v.Producer()) {
		d += bits.OnesCount64(x)
	}
	return d
}

// dependsOn reports whether v is w or is computed from w's producer, because a skip norm returns the stream and its norm as
// two outputs. Values that depend on fewer cores than w cannot depend on w, so the search stays within a layer.
func (a *analysis) dependsOn(v, w *graph.Value) bool {
	floor := a.depth(w)
	next := func(v *graph.Value) []*graph.Value {
		if v.Producer() == nil || a.depth(v) < floor {
			return nil
		}
		return v.Producer().Inputs()
	}
	for v := range ops.Reach(a.budget, next, v) {
		if v == w || v.Producer() != nil && v.Producer() == w.Producer() {
			return true
		}
	}
	return false
}

// converted returns v before conversions of its type.
func converted(v *graph.Value) *graph.Value { return ops.Root(v, ops.Convert) }

// same reports whether two values are equal except for conversions.
func same(v, w *graph.Value) bool { return v != nil && converted(v) == converted(w) }

// constAnd returns the constant operand of a commutative node and the other operand, or nil if there is no constant.
func (a *analysis) constAnd(n *graph.Node) (constant, other *graph.Value) {
	if n.NumIn() != 2 {
		return nil, nil
	}
	for i := range 2 {
		if a.Is(n.In(i)) {
			return n.In(i), n.In(1 - i)
		}
	}
	return nil, nil
}

// scalar returns the number in a constant of one element. ok is false for any other value.
func (a *analysis) scalar(v *graph.Value) (x float64, ok bool) {
	if !a.Is(v) || a.elements(v) > 1 {
		return 0, false
	}
	f, err := weights.Vector(v)
	if err != nil || len(f) != 1 {
		return 0, false
	}
	return float64(f[0]), true
}

// elements returns the number of elements of a constant, or 0 if the file does not give it.
func (a *analysis) elements(v *graph.Value) int64 {
	n := int64(1)
	f := a.facts.Of(v)
	for _, d := range f.Dims {
		if d < 0 || d > 0 && n > 1<<40/d {
			return 0
		}
		n *= d
	}
	if !f.Ranked || !a.Is(v) {
		return 0
	}
	return n
}
