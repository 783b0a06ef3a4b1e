package ops

import (
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Op describes an operator. The zero values of its fields mean "all inputs", "unknown" and "none".
type Op struct {
	Name  string // as returned by [graph.Node.FullOp]: "MatMul", "com.microsoft.FusedMatMul"
	Class Class
	Data  int       // only the inputs below this number carry data; 0: all. The others are shapes, axes, indices, scales.
	Skip  int       // the inputs below this number carry no data: conditions and indices come first
	Type  TypeRule  // of the first output
	Shape ShapeRule // of the first output; nil: unknown
	Ints  IntsRule  // of the first output, if it can be a small vector of integers; nil: unknown
	Bias  int       // the input that is added to the product; 0 means none
	Whole bool      // each number depends on the range of all numbers
	Rows  []RowSlot // required inputs, other than data, with one row for each row of the batch
	Norm  *NormSlots
	Attn  *AttnSlots

	// Unary and Binary compute the operator on floats at one place. They are nil if the function is unknown.
	Unary  func(x float32) float32
	Binary func(x, y float32) float32
}

// Class describes what an operator does to the numbers of its data inputs.
type Class uint16

// The classes. The first three keep every element, so a walk may look through them.
const (
	Opaque    Class = 0
	Convert   Class = 1 << iota // the same elements in the same shape; the element type may differ
	Reshape                     // the same elements in the same order, in another shape
	Permute                     // the same elements in another order
	Pick                        // some of the elements
	Repeat                      // the elements, some of them several times
	Join                        // the elements of several inputs
	Pointwise                   // each number from the numbers at the same place of the inputs
	Normalise                   // each row of the last axis divided by its norm
	Rotate                      // rotary positions: pairs of numbers of a row are rotated
	Reduce                      // a sum, mean or maximum over axes
	Product                     // a matrix product
	Attention                   // a whole attention computation
	Along                       // each number from the numbers along one axis, given by an attribute
)

// These sets of classes are those that walks look through.
const (
	Copies = Convert | Reshape // the same bytes, except for conversions
	Moves  = Copies | Permute  // every element exactly once
	Flows  = Moves | Pick | Repeat | Join
)

// NormSlots gives the slots of a normalising operator.
type NormSlots struct {
	Gamma, Beta int // inputs; 0 means none
	// A skip norm adds input 1, and the bias if there is one, to input 0 and normalises the sum. Output Sum is the sum.
	Skip      bool
	Bias, Sum int
	Root      bool // divides by the root mean square and does not subtract the mean (RMSNorm)
	Epsilon   float64
}

// AttnSlots gives the slots of an attention operator.
type AttnSlots struct {
	Packed  bool   // input 0 is the normed stream, input 1 the weights of q, k and v; there are no inputs q, k and v
	Q, K, V int    // inputs; K and V may be omitted if Q holds all three
	Heads   string // the attribute with the number of query heads
	KVHeads string // the attribute with the number of key and value heads; "" if it equals that of query heads
	Causal  string // the attribute that is 1 for a causal mask; "" if the operator is always causal
	Mask    int    // the input that is added to the scores or masks them; 0 means none
	Past    []int  // inputs: earlier keys and values; output 1 + i continues the i-th of them
	InPlace bool   // the output that continues a past can have its memory; lengths say how much of it is filled
	// OneAfter says that several rows with earlier keys and values may have one position only, as in a step of a generation.
	OneAfter bool
	Rows     []int // other optional inputs with one row for each row of the batch: padding masks and lengths
	Single   bool  // takes one token at a time and requires a cache
	// These inputs count positions; 0 means none. They are the index of the last key of each row, the number of keys
	// including earlier ones, the number of earlier keys, and the positions of the queries.
	LastKeys, Keys, Earlier, Positions int
	// Mode is the attribute that makes output Pattern the attention probabilities, and Value is its value. "" means that
	// there is none.
	Mode    string
	Value   int64
	Pattern int
}

// RowSlot is an input with one row for each row of the batch if it has the given number of axes; 0 means any number. With
// another number of axes it is one number for all rows, or a table.
type RowSlot struct{ Slot, Axes int }

// Of returns the description of a node's operator. For nil and for an unknown operator it is an opaque one.
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

// In reports whether the operator belongs to one of the classes.
func (o *Op) In(c Class) bool { return o.Class&c != 0 }

// Is reports whether a node's operator belongs to one of the classes.
func Is(n *graph.Node, c Class) bool { return Of(n).Class&c != 0 }

// Carries reports whether an input slot carries data.
func (o *Op) Carries(slot int) bool { return slot >= o.Skip && (o.Data == 0 || slot < o.Data) }

// Data returns the inputs of a node that carry data, without omitted ones.
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
