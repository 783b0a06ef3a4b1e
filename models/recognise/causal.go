package recognise

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
)

// A decoder masks its scores, so that no position can attend to a later one. An encoder does not, but its layers look the
// same otherwise. Evidence of a mask is a comparison or triangle that builds it, a stored triangle, or a cache, which only a
// decoder has.

// maskNeeds lists the values that may give evidence of a mask: everything that a score is computed from, up to projections
// and products of activations, because no mask passes through these.
func (a *analysis) maskNeeds(v *graph.Value) []*graph.Value {
	n := v.Producer()
	switch {
	case n == nil, v.Const() != nil, n.Is("Shape", "Size"): // only sizes, which may depend on the whole model
		return nil
	case ops.Is(n, ops.Product|ops.Attention|ops.Normalise):
		return nil
	case n.Is("Gather") && a.Is(n.In(0)) && n.In(0).Const() != nil && n.In(0).Const().DType.IsFloat():
		return nil // a learned position bias (T5), not a mask
	case n.Is("Mul", "Div", "Neg", "Sub"): // a mask hides by an addition or a choice; scores times a mask are numbers like others
		switch scores := a.scores(n); {
		case scores != nil && a.negates(n):
			return nil // what was hidden is now the largest
		case scores != nil && !n.Is("Sub"):
			return scores
		}
	case n.Is("Where") && n.NumIn() == 3:
		for i := range 2 { // scores, and what replaces them
			if x, ok := a.scalar(n.In(2 - i)); ok && x > notHidden && len(a.products.From(n.In(1+i))) > 0 {
				return []*graph.Value{n.In(1 + i)}
			}
		}
	}
	return n.Inputs()
}

// notHidden is a score above which a position keeps a weight that matters. Files use -1e4, the least number of the type, or
// minus infinity.
const notHidden = -100

// scores returns the operands of a node that come from a product of queries and keys, or nil if there are none.
func (a *analysis) scores(n *graph.Node) []*graph.Value {
	var out []*graph.Value
	for _, in := range n.Inputs() {
		if in != nil && len(a.products.From(in)) > 0 {
			out = append(out, in)
		}
	}
	return out
}

// negates reports whether a node changes the sign of scores.
func (a *analysis) negates(n *graph.Node) bool {
	switch {
	case n.Is("Neg"):
		return true
	case n.Is("Sub"):
		return len(a.products.From(n.In(1))) > 0
	}
	for _, in := range n.Inputs() {
		if x, ok := a.scalar(in); ok && x < 0 {
			return true
		}
	}
	return false
}

// scoresOf lists the operands of a value's producer that come from the product of queries and keys, up to that product.
func (a *analysis) scoresOf(v *graph.Value) []*graph.Value {
	if n := v.Producer(); n != nil && a.product(n) == nil {
		return a.scores(n)
	}
	return nil
}

// multipliedAt returns a node on the way to v from the product of queries and keys that multiplies scores by a mask, or negates
// masked scores, or nil.
func (a *analysis) multipliedAt(v *graph.Value, of func(*graph.Value) *graph.Node) *graph.Node {
	scores := a.scoresOf(v)
	if n := v.Producer(); len(scores) > 0 && n.Is("Mul", "Div", "Neg", "Sub") {
		for _, in := range n.Inputs() {
			if masked := in != nil && a.masks.Of(in) != ""; masked && (a.negates(n) || !n.Is("Sub") && !slices.Contains(scores, in)) {
				return n
			}
		}
	}
	for _, in := range scores {
		if n := of(in); n != nil {
			return n
		}
	}
	return nil
}

func (a *analysis) maskOf(v *graph.Value, of func(*graph.Value) string) string {
	if k := v.Const(); k != nil {
		if a.triangular(k) {
			return "triangular mask"
		}
		return ""
	}
	n := v.Producer()
	if op := isComparison(n); op != "" && (op == "Trilu" || a.elements(n.In(0)) != 1 && a.elements(n.In(1)) != 1) {
		return op // compares positions with positions; a comparison with one number reads a mask from the caller
	}
	for _, in := range a.maskNeeds(v) {
		if e := of(in); e != "" {
			return e
		}
	}
	return ""
}

// isComparison returns the operator of a node that builds masks from positions, or "" for any other.
func isComparison(n *graph.Node) string {
	if n.Is("Trilu", "LessOrEqual", "GreaterOrEqual", "Less", "Greater") {
		return n.Op()
	}
	return ""
}

// cached reports whether v is joined with a graph input, which is then a key or value cache.
func (a *analysis) cached(v *graph.Value) bool { return len(a.caches(v)) > 0 }

// cacheOperands returns the values that hold earlier keys and values of a core: what its own are joined with, or inputs of
// its operator.
func (a *analysis) cacheOperands(c *core) []*graph.Value {
	var out []*graph.Value
	for _, v := range []*graph.Value{c.key, c.value} {
		for _, in := range a.joined(v) {
			isCache := func(v *graph.Value) bool { return v.Type().DType.IsFloat() && len(v.Type().Dims) > 2 }
			if slices.ContainsFunc(a.inputsBefore(in), isCache) {
				out = append(out, a.root(in))
			}
		}
	}
	if s := ops.Of(c.node).Attn; s != nil {
		for _, slot := range s.Past {
			if v := c.node.In(slot); v != nil {
				out = append(out, a.root(v))
			}
		}
	}
	return out
}

// caches returns the graph inputs that a key or value is joined with.
func (a *analysis) caches(v *graph.Value) []*graph.Value {
	var out []*graph.Value
	for _, in := range a.joined(v) {
		out = append(out, a.inputsBefore(in)...)
	}
	return out
}

// joined returns the operands of every Concat between a key or value and its projection.
func (a *analysis) joined(v *graph.Value) []*graph.Value {
	var out []*graph.Value
	next := func(v *graph.Value) []*graph.Value {
		if n := v.Producer(); ops.Is(n, ops.Moves|ops.Repeat|ops.Pick) || n.Is("Mul", "Div") {
			return ops.Data(n)
		}
		return nil
	}
	for v := range ops.Reach(a.budget, next, v) {
		if v.Producer().Is("Concat") {
			out = append(out, v.Producer().Inputs()...)
		}
	}
	return out
}

// triangular caches lowerTriangular, because all layers share one mask of a megabyte.
func (a *analysis) triangular(k *graph.Const) bool {
	known, ok := a.triangles[k]
	if !ok {
		known = lowerTriangular(k)
		a.triangles[k] = known
	}
	return known
}

// lowerTriangular reports whether a stored tensor is a causal mask: its last two axes are square, everything above the
// diagonal has one value, and the diagonal and the entries directly below it another. Entries further down may have any
// value, because a local layer of GPT-Neo hides distant positions. Each layer may have a mask of a megabyte, so only the
// first rows and some others are checked.
func lowerTriangular(k *graph.Const) bool {
	r := len(k.Dims)
	if r < 2 || k.Dims[r-1] != k.Dims[r-2] || k.Dims[r-1] < 2 || k.Len() > 1<<24 || k.Len() == 0 || k.DType.Bits() < 8 {
		return false
	}
	n, size := int(k.Dims[r-1]), int(k.DType.Bits()/8)
	row := make([]byte, n*size)
	cell := func(j int) string { return string(row[j*size : (j+1)*size]) }
	var seen, hidden string
	for i := range n {
		if i >= 16 && i%64 > 0 && i < n-1 {
			continue
		}
		if _, err := k.ReadAt(row, int64(i*n*size)); err != nil {
			return false
		}
		if i == 0 {
			seen, hidden = cell(0), cell(1)
		}
		if seen == hidden || cell(i) != seen || i > 0 && cell(i-1) != seen {
			return false
		}
		for _, j := range []int{i + 1, (i + n) / 2, n - 1} {
			if j > i && j < n && cell(j) != hidden {
				return false
			}
		}
	}
	return true
}
