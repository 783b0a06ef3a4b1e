package ops

import "github.com/onnx-inject/onnx-inject/graph"

// TypeRule determines the element type of an operator's first output.
type TypeRule struct {
	slots []int       // the type of the first of these inputs whose type is known
	attr  string      // the attribute that gives the type
	fixed graph.DType // always this type
	fill  bool        // the type of the tensor attribute value; float32 without one
}

const (
	int64s = graph.Int64
	int32s = graph.Int32
	bools  = graph.Bool
)

var fill = TypeRule{fill: true}

func from(slots ...int) TypeRule     { return TypeRule{slots: slots} }
func attribute(name string) TypeRule { return TypeRule{attr: name} }
func always(d graph.DType) TypeRule  { return TypeRule{fixed: d} }

// Types is a memo of element types.
type Types struct{ memo *Memo[graph.DType] }

// NewTypes makes a memo of element types.
func NewTypes(b *Budget) *Types {
	return &Types{NewMemo(b, func(v *graph.Value) []*graph.Value {
		n := v.Producer()
		if v.Type().DType != graph.Undefined || n == nil {
			return nil
		}
		var out []*graph.Value
		for _, i := range Of(n).Type.slots {
			out = append(out, n.In(i))
		}
		return out
	}, typeOf)}
}

func typeOf(v *graph.Value, of func(*graph.Value) graph.DType) graph.DType {
	n, r := v.Producer(), Of(v.Producer()).Type
	switch {
	case v.Type().DType != graph.Undefined:
		return v.Type().DType
	case v.Const() != nil:
		return v.Const().DType
	case r.attr != "":
		return graph.DType(n.Int(r.attr, 0))
	case r.fill:
		if t := n.Tensor("value"); t != nil {
			return t.DType
		}
		return graph.Float32
	case r.fixed != graph.Undefined:
		return r.fixed
	}
	for _, i := range r.slots {
		if d := of(n.In(i)); d != graph.Undefined {
			return d
		}
	}
	return graph.Undefined
}

// Of returns the element type of a value: the declared type, else the type that follows from its producer and inputs.
// Undefined means that it is unknown.
func (t *Types) Of(v *graph.Value) graph.DType { return t.memo.Of(v) }

// Set gives the type of a value in advance.
func (t *Types) Set(v *graph.Value, d graph.DType) { t.memo.Set(v, d) }
