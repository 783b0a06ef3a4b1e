package ops

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Unknown is a size, or an element of a shape vector, that is known only during a run.
const Unknown = int64(-1 << 62)

// Fact is what is known about a value before a run.
type Fact struct {
	Ranked bool
	Dims   []int64 // sizes, or Unknown where the file does not give them; valid if Ranked
	// Ints holds the elements of a small integer vector or scalar, such as a computed target of a Reshape. An element that
	// depends on an input is Unknown. If Complete is false, even the number of elements is uncertain, and Ints holds the
	// elements after the last uncertain part.
	Ints     []int64
	Complete bool
}

// longest is the maximum number of elements of an integer vector.
const longest = 64

// Dim returns the size of an axis, or Unknown. A negative axis is counted from the end.
func (f Fact) Dim(axis int) int64 {
	if axis < 0 {
		axis += len(f.Dims)
	}
	if !f.Ranked || axis < 0 || axis >= len(f.Dims) {
		return Unknown
	}
	return f.Dims[axis]
}

// Rank returns the number of axes. It is 0 for an unknown rank and for scalars.
func (f Fact) Rank() int { return len(f.Dims) }

// Facts is a memo of facts.
type Facts struct{ memo *Memo[Fact] }

// NewFacts makes a memo of facts.
func NewFacts(b *Budget) *Facts { return &Facts{NewMemo(b, factNeeds, factOf)} }

// Of returns what is known about v.
func (f *Facts) Of(v *graph.Value) Fact { return f.memo.Of(v) }

// Set gives the fact of v in advance, for an input about which more is known than the file declares.
func (f *Facts) Set(v *graph.Value, x Fact) { f.memo.Set(v, x) }

// Ints returns the elements of a small integer vector; see [Fact].
func (f *Facts) Ints(v *graph.Value) (elems []int64, complete bool) {
	x := f.memo.Of(v)
	return x.Ints, x.Complete
}

// Rank returns the number of axes of v, or 0 if it is unknown.
func (f *Facts) Rank(v *graph.Value) int { return f.memo.Of(v).Rank() }

// factNeeds lists the values whose facts determine the fact of v. A declared shape without free axes needs none.
func factNeeds(v *graph.Value) []*graph.Value {
	n := v.Producer()
	if n == nil || v.Const() != nil {
		return nil
	}
	if v.Type().Ranked && !mayHoldInts(v) && !slices.ContainsFunc(v.Type().Dims, func(d graph.Dim) bool { return d.Size < 0 }) {
		return nil
	}
	return n.Inputs()
}

// mayHoldInts reports whether a value can be a small vector of integers.
func mayHoldInts(v *graph.Value) bool {
	d := v.Type().DType
	return (d == graph.Undefined || d == graph.Int64 || d == graph.Int32 || d == graph.Bool) && len(v.Type().Dims) <= 1
}

func factOf(v *graph.Value, of func(*graph.Value) Fact) Fact {
	f := Fact{}
	if c := v.Const(); c != nil {
		f.Ranked, f.Dims = true, c.Dims
		f.Ints, f.Complete = constInts(c)
		return f
	}
	n := v.Producer()
	if o := Of(n); o.Shape != nil && (v.Index() == 0 || n.Is("Split") || o.Norm != nil && v.Index() == o.Norm.Sum) {
		f.Dims, f.Ranked = o.Shape(n, of)
	}
	if v.Type().Ranked {
		f = declared(f, v.Type())
	}
	if n != nil && mayHoldInts(v) {
		f.Ints, f.Complete = computedInts(n, of)
		if len(f.Ints) > longest {
			f.Ints, f.Complete = nil, false
		}
	}
	return f
}

// declared adds the declared shape of a value to the fact that follows from its producer.
func declared(f Fact, t graph.Type) Fact {
	computed := f.Dims
	same := f.Ranked && len(computed) == len(t.Dims)
	f.Ranked, f.Dims = true, make([]int64, len(t.Dims))
	for i, d := range t.Dims {
		switch {
		case d.Size >= 0:
			f.Dims[i] = d.Size
		case same:
			f.Dims[i] = computed[i]
		default:
			f.Dims[i] = Unknown
		}
	}
	return f
}

func constInts(c *graph.Const) ([]int64, bool) {
	if c.DType.IsFloat() || c.Len() > longest || c.DType.Bits() < 8 {
		return nil, false
	}
	t, err := c.Load()
	if err != nil {
		return nil, false
	}
	out, err := t.Int64s()
	return out, err == nil
}

// computedInts evaluates the operators that exporters compute shapes with.
func computedInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	in := func(i int) ([]int64, bool) { f := of(n.In(i)); return f.Ints, f.Complete }
	switch {
	case n.Is("Identity", "Cast", "Squeeze", "Flatten"):
		return in(0)
	case n.Is("Unsqueeze"): // a scalar becomes a vector of one
		if x, ok := in(0); ok {
			return x, true
		}
		return []int64{Unknown}, true
	case n.Is("Reshape"):
		if to, ok := in(1); !ok || len(to) != 1 || to[0] != -1 {
			return nil, false
		}
		if x, ok := in(0); ok {
			return x, true
		}
		return []int64{Unknown}, true
	case n.Is("Shape"):
		f := of(n.In(0))
		if !f.Ranked { // unknown axes, but their number is known
			if from, to := n.Int("start", 0), n.Int("end", 0); 0 <= from && from < to && to-from <= longest {
				return slices.Repeat([]int64{Unknown}, int(to-from)), true
			}
			return nil, false
		}
		from, to := span(n.Int("start", 0), n.Int("end", 1<<31), int64(len(f.Dims)))
		return f.Dims[from:to], true
	case n.Is("Gather"):
		x, ok := in(0)
		at, known := in(1)
		if !known {
			return nil, false
		}
		out := make([]int64, len(at))
		for i, k := range at {
			if k < 0 {
				k += int64(len(x))
			}
			out[i] = Unknown
			if ok && k >= 0 && k < int64(len(x)) {
				out[i] = x[k]
			}
		}
		return out, true
	case n.Is("Slice"):
		return slicedInts(n, of)
	case n.Is("Concat"):
		var out []int64
		complete := true
		for i := range n.Inputs() {
			part, ok := in(i)
			if !ok {
				out, complete = nil, false
			}
			out = append(out, part...)
		}
		return out, complete
	case n.Is("Add", "Sub", "Mul", "Div", "Equal"):
		return arithmetic(n.Op(), of(n.In(0)), of(n.In(1)))
	case n.Is("Where"):
		return chosen(of(n.In(0)), of(n.In(1)), of(n.In(2)))
	case n.Is("ConstantOfShape"): // of a known length
		x, ok := in(0)
		if t := n.Tensor("value"); ok && len(x) == 1 && x[0] >= 0 && x[0] <= longest && t != nil {
			if fill, ok := constInts(t); ok && len(fill) == 1 {
				return slices.Repeat(fill, int(x[0])), true
			}
		}
	}
	return nil, false
}

// slicedInts evaluates Slice of a vector with constant bounds and step 1.
func slicedInts(n *graph.Node, of func(*graph.Value) Fact) ([]int64, bool) {
	x := of(n.In(0))
	from, ok1 := bound(n, of, 1, "starts")
	to, ok2 := bound(n, of, 2, "ends")
	step, _ := bound(n, of, 4, "")
	if !x.Complete || !ok1 || !ok2 || len(from) != 1 || len(to) != 1 || len(step) == 1 && step[0] != 1 {
		return nil, false
	}
	a, b := span(from[0], to[0], int64(len(x.Ints)))
	return x.Ints[a:b], true
}

// bound reads a list of integers from an input, or from an attribute before opset 10.
func bound(n *graph.Node, of func(*graph.Value) Fact, slot int, attr string) ([]int64, bool) {
	if n.In(slot) == nil {
		x := n.Ints(attr)
		return x, x != nil
	}
	f := of(n.In(slot))
	return f.Ints, f.Complete && !slices.Contains(f.Ints, Unknown)
}

// span returns the range of a slice of n elements. Negative bounds are counted from the end.
func span(from, to, n int64) (int64, int64) {
	fix := func(x int64) int64 {
		if x < 0 {
			x += n
		}
		return min(max(x, 0), n)
	}
	a := fix(from)
	return a, max(a, fix(to))
}

// arithmetic applies an operator to two vectors, one of which may have a single element.
func arithmetic(op string, a, b Fact) ([]int64, bool) {
	if !a.Complete || !b.Complete || len(a.Ints) == 0 || len(b.Ints) == 0 {
		return nil, false
	}
	n := max(len(a.Ints), len(b.Ints))
	if len(a.Ints) != n && len(a.Ints) != 1 || len(b.Ints) != n && len(b.Ints) != 1 {
		return nil, false
	}
	out := make([]int64, n)
	for i := range out {
		x, y := a.Ints[min(i, len(a.Ints)-1)], b.Ints[min(i, len(b.Ints)-1)]
		switch {
		case x == Unknown || y == Unknown || op == "Div" && y == 0:
			out[i] = Unknown
		case op == "Add":
			out[i] = x + y
		case op == "Sub":
			out[i] = x - y
		case op == "Mul":
			out[i] = x * y
		case op == "Div":
			out[i] = x / y
		case x == y: // Equal
			out[i] = 1
		}
	}
	return out, true
}

// chosen evaluates Where over vectors.
func chosen(c, a, b Fact) ([]int64, bool) {
	if !a.Complete || !b.Complete || len(a.Ints) == 0 || len(b.Ints) == 0 {
		return nil, false
	}
	out := make([]int64, max(len(a.Ints), len(b.Ints)))
	for i := range out {
		x, y := a.Ints[min(i, len(a.Ints)-1)], b.Ints[min(i, len(b.Ints)-1)]
		out[i] = Unknown
		switch {
		case x == y:
			out[i] = x
		case !c.Complete || i >= len(c.Ints):
		case c.Ints[i] == 1:
			out[i] = x
		case c.Ints[i] == 0:
			out[i] = y
		}
	}
	return out, true
}
