package recognise

import (
	"math/bits"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// analysis is one graph being recognised.
type analysis struct {
	*consts
	g         *graph.Graph
	cores     []*core
	triangles map[*graph.Const]bool
	baked     map[int]int  // how many memories an earlier rewrite made part of each layer
	stray     *models.Norm // a norm before an output that does not read the residual stream
	words     int          // of a set of cores
	up        []uint64     // for each node, by its ID, the set of cores it depends on, itself included
}

func newAnalysis(g *graph.Graph) *analysis {
	return &analysis{consts: newConsts(g.Model()), g: g, triangles: map[*graph.Const]bool{}, baked: models.BakedIn(g.Model())}
}

// back returns the nodes that accept holds for, reached from v against the data flow through nodes of the given ops only.
// Past an accepted node it does not look.
func (a *analysis) back(v *graph.Value, over []string, accept func(*graph.Node) bool) []*graph.Node {
	var hits []*graph.Node
	seen := map[*graph.Node]bool{}
	todo := []*graph.Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == nil || a.is(v) {
			continue
		}
		n := v.Producer()
		if n == nil || seen[n] {
			continue
		}
		seen[n] = true
		switch {
		case accept(n):
			hits = append(hits, n)
		case n.Is(over...):
			todo = append(todo, dataInputs(n)...)
		}
	}
	return hits
}

// dataInputs are the inputs of a node that carry data, not shapes, axes, indices or conditions.
func dataInputs(n *graph.Node) []*graph.Value {
	switch {
	case n.Is("Reshape", "Squeeze", "Unsqueeze", "Expand", "Slice", "Split", "SplitToSequence", "SequenceAt", "Tile", "Gather", "Clip",
		"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"):
		return some(n, 0, 1)
	case n.Is("Where"):
		return some(n, 1, 3)
	case n.Is(skipNorms...):
		return some(n, 0, 2)
	}
	return n.Inputs()
}

// some returns the inputs [from, to) of a node, as many of them as it has.
func some(n *graph.Node, from, to int) []*graph.Value {
	ins := n.Inputs()
	return ins[min(from, len(ins)):min(to, len(ins))]
}

// hop is one step of a path against the data flow: output index of a producer.
type hop struct {
	producer *graph.Node
	index    int
}

// path returns the steps from v back to the node to, nil when there is no way through the given ops.
func (a *analysis) path(v *graph.Value, to *graph.Node, over []string) []hop {
	seen := map[*graph.Node]bool{}
	var walk func(v *graph.Value) []hop
	walk = func(v *graph.Value) []hop {
		if v == nil || a.is(v) {
			return nil
		}
		n := v.Producer()
		if n == nil || seen[n] {
			return nil
		}
		seen[n] = true
		here := hop{n, v.Index()}
		if n == to {
			return []hop{here}
		}
		if !n.Is(over...) {
			return nil
		}
		for _, in := range dataInputs(n) {
			if rest := walk(in); rest != nil {
				return append(rest, here)
			}
		}
		return nil
	}
	return walk(v)
}

// inputsBehind returns the graph inputs that v comes from through operations that only move values.
func (a *analysis) inputsBehind(v *graph.Value) []*graph.Value {
	var out []*graph.Value
	over := append([]string{"Slice", "Gather", "Split", "Concat", "Add", "Sub", "Mul"}, through...)
	seen := map[*graph.Value]bool{}
	todo := []*graph.Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == nil || seen[v] {
			continue
		}
		seen[v] = true
		switch n := v.Producer(); {
		case v.IsInput():
			out = append(out, v)
		case n.Is(over...):
			todo = append(todo, dataInputs(n)...)
		}
	}
	return out
}

// fromInputs reports whether v is nothing but graph inputs and constants, moved and converted: a mask, a memory.
func (a *analysis) fromInputs(v *graph.Value) bool {
	seen := map[*graph.Value]bool{}
	todo := []*graph.Value{v}
	over := append([]string{"Mul", "Slice"}, through...)
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == nil || seen[v] || v.IsInput() || a.is(v) {
			continue
		}
		seen[v] = true
		n := v.Producer()
		if n == nil || !n.Is(over...) {
			return false
		}
		todo = append(todo, n.Inputs()...)
	}
	return true
}

// trace computes for every node which cores it depends on.
func (a *analysis) trace() {
	a.words = (len(a.cores) + 63) / 64
	a.up = make([]uint64, a.words*a.g.Model().NodeIDs())
	for i, c := range a.cores {
		a.above(c.node)[i/64] |= 1 << (i % 64)
	}
	for _, n := range a.g.Ordered() {
		set := a.above(n)
		for _, in := range n.Inputs() {
			if in != nil && in.Producer() != nil && in.Graph() == a.g {
				for w, x := range a.above(in.Producer()) {
					set[w] |= x
				}
			}
		}
	}
}

// above returns the set of cores that a node depends on, a bit for each.
func (a *analysis) above(n *graph.Node) []uint64 { return a.up[n.ID()*a.words:][:a.words] }

// depth counts the cores that v depends on.
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

// dependsOn reports whether v is computed from w's producer, or is w: a skip norm gives the stream and its norm as two
// outputs. Values that depend on fewer cores than w cannot be, so the search stays within a layer.
func (a *analysis) dependsOn(v, w *graph.Value) bool {
	floor := a.depth(w)
	seen := map[*graph.Node]bool{}
	todo := []*graph.Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if v == w || v != nil && v.Producer() != nil && v.Producer() == w.Producer() {
			return true
		}
		if v == nil || a.depth(v) < floor {
			continue
		}
		if n := v.Producer(); n != nil && !seen[n] {
			seen[n] = true
			todo = append(todo, n.Inputs()...)
		}
	}
	return false
}

// copies are operations that move or convert a value.
var copies = []string{"Identity", "Cast", "Dropout", "Reshape", "QuantizeLinear", "DequantizeLinear"}

// root returns the value that v is a moved or converted copy of. A stream may be converted once for the norm and once more for
// the join, and then neither copy depends on the other.
func (a *analysis) root(v *graph.Value) *graph.Value {
	for v != nil && v.Producer().Is(copies...) && v.Producer().In(0) != nil {
		v = v.Producer().In(0)
	}
	return v
}

// aliases returns v and every value that is v moved or converted, in data flow order.
func (a *analysis) aliases(v *graph.Value) []*graph.Value {
	out := []*graph.Value{v}
	for i := 0; i < len(out); i++ {
		for _, u := range out[i].Uses() {
			if u.Slot == 0 && u.Node.Graph() == a.g && u.Node.Is(copies...) && !slices.Contains(out, u.Node.Out(0)) {
				out = append(out, u.Node.Out(0))
			}
		}
	}
	return out
}
