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
	if rule := Of(n).Ints; rule != nil && mayHoldInts(v) {
		f.Ints, f.Complete = rule(n, of)
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
