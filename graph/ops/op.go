package ops

import (
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Op is what is known about an operator. The zero values of its fields mean "all inputs", "unknown" and "none".
type Op struct {
	Name  string // as [graph.Node.FullOp] has it: "MatMul", "com.microsoft.FusedMatMul"
	Class Class
	Data  int       // only the inputs below this number carry data; 0: all. The others are shapes, axes, indices, scales.
	Skip  int       // the inputs below this number do not: conditions and indices come first
	Type  TypeRule  // of the first output
	Shape ShapeRule // of the first output; nil: unknown
	Bias  int       // the input that is added to the product, 0 for none
	Whole bool      // each number depends on the range of all of them
	Rows  []RowSlot // inputs, data aside, with a row for each row of the batch that are needed
	Norm  *NormSlots
	Attn  *AttnSlots

	// What the operator computes from floats at one place; nil where that is not known.
	Unary  func(x float32) float32
	Binary func(x, y float32) float32
}

// Class says what an operator does to the numbers of its data inputs.
type Class uint16

// The classes. The first three keep every element: a walk may look through them.
const (
	Opaque    Class = 0
	Convert   Class = 1 << iota // the same elements in the same shape; the element type may change
	Reshape                     // the same elements in the same order, in another shape
	Permute                     // the same elements in another order
	Pick                        // some of the elements
	Repeat                      // the elements, some of them several times
	Join                        // the elements of several inputs
	Pointwise                   // each number from the numbers at the same place of the inputs
	Normalise                   // each row of the last axis divided by its size
	Rotate                      // rotary positions: pairs of numbers of a row, turned
	Reduce                      // a sum, mean or maximum over axes
	Product                     // a matrix product
	Attention                   // a whole attention computation
	Along                       // each number from those of a line along one axis, an attribute
)

// Sets of classes that walks look through.
const (
	Copies = Convert | Reshape // the same bytes, conversions aside
	Moves  = Copies | Permute  // every element once
	Flows  = Moves | Pick | Repeat | Join
)

// NormSlots says where a normalising operator has its parts.
type NormSlots struct {
	Gamma, Beta int // inputs; 0 for none
	// Skip norms add input 1, and the bias if there is one, to input 0 and normalise the sum, which is output Sum.
	Skip      bool
	Bias, Sum int
	Root      bool // divides by the root mean square and takes no mean away (RMSNorm)
	Epsilon   float64
}

// AttnSlots says where an attention operator has its parts.
type AttnSlots struct {
	Packed  bool   // input 0 is the normed stream, input 1 the weights of q, k and v: no q, k, v of their own
	Q, K, V int    // inputs; K and V may be omitted where Q holds all three
	Heads   string // the attribute that counts query heads
	KVHeads string // the attribute that counts key and value heads, "" where they are as many
	Causal  string // the attribute that is 1 for a causal mask; "" where the operator is causal by definition
	Mask    int    // the input that is added to the scores or masks them; 0 for none
	Past    []int  // inputs: earlier keys and values
	Rows    []int  // other inputs with a row for each row of the batch, which can be left out: padding masks and lengths
	Single  bool   // takes one token at a time, over a cache that it needs
	// Inputs that count positions, 0 for none: the index of the last key of each row, the number of keys, earlier ones included,
	// the number of earlier ones, and the positions of the queries.
	LastKeys, Keys, Earlier, Positions int
	// Mode is the attribute that makes output Pattern the attention probabilities, and Value its value; "" where there is none.
	Mode    string
	Value   int64
	Pattern int
}

// RowSlot is an input with a row for each row of the batch where it has a number of axes, 0 for any. With other numbers it has none:
// it is one number for all rows, or a table.
type RowSlot struct{ Slot, Axes int }

// Of returns what is known about a node's operator; of nil and of an unknown operator, an opaque one.
func Of(n *graph.Node) *Op {
	if n == nil {
		return &opaque
	}
	domain := n.Domain()
	if domain == "ai.onnx" {
		domain = ""
	}
	if o, ok := byName[name{domain, n.Op()}]; ok {
		return o
	}
	return &opaque
}

var opaque = Op{}

type name struct{ domain, op string }

var byName = func() map[name]*Op {
	m := make(map[name]*Op, len(table))
	for i := range table {
		o := &table[i]
		dot := strings.LastIndexByte(o.Name, '.')
		m[name{o.Name[:max(0, dot)], o.Name[dot+1:]}] = o
	}
	return m
}()

// In reports whether the operator is of one of the classes.
func (o *Op) In(c Class) bool { return o.Class&c != 0 }

// Is reports whether a node's operator is of one of the classes.
func Is(n *graph.Node, c Class) bool { return Of(n).Class&c != 0 }

// Carries reports whether an input slot carries data.
func (o *Op) Carries(slot int) bool { return slot >= o.Skip && (o.Data == 0 || slot < o.Data) }

// Data returns the inputs of a node that carry data, omitted ones left out.
func Data(n *graph.Node) []*graph.Value {
	o := Of(n)
	out := make([]*graph.Value, 0, 2)
	for i := range n.NumIn() {
		if v := n.In(i); v != nil && o.Carries(i) {
			out = append(out, v)
		}
	}
	return out
}
