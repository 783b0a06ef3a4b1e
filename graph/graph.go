package graph

import (
	"fmt"
	"slices"
)

// Graph is one scope: the main graph, or a branch of an If node. A branch has a parent and sees its values.
type Graph struct {
	name    string
	model   *Model
	owner   *Node // the node that holds this branch; nil for the main graph
	attr    string
	nodes   []*Node
	inputs  []*Value
	outputs []*Value
	inits   []*Value
	records []record // fields of GraphProto in file order
	commit  int      // the latest that changed the graph
}

// record is one field of a message as it stands in the file, with the object that was made of it, if any.
type record struct {
	num  int32
	raw  []byte // tag included
	name string // what the object was called in the file

	node  *Node  // the object
	value *Value // likewise
}

// Node is one operation. Its edges are pointers; names are labels.
type Node struct {
	op     string // such as "MatMul"
	domain string // "" is ONNX's own, "com.microsoft" ONNX Runtime's
	name   string
	// overload tells functions of one name apart; only calls of functions have it.
	overload string
	graph    *Graph
	ins      []*Value // nil: an omitted optional input
	outs     []*Value // nil: an omitted optional output
	attrs    []*Attr
	raw      []byte // NodeProto as read, nil for a new node
	dirty    bool   // an attribute was set by an edit
	branched bool   // an attribute holds graphs: few do, and passes over a model ask every node
	id       int
	commit   int // that changed the node last, or made it
}

// Value is an edge: what a node computes, a graph input, or a constant of the file. Values are compared by identity. A nil
// value is an omitted input or output; its methods say that nothing produces or reads it, so that a walk along edges needs
// no test at every step.
type Value struct {
	typ    Type // what the file declares; zero when it declares nothing
	name   string
	graph  *Graph
	node   *Node  // producer; nil for graph inputs and initializers
	index  int    // output number of the producer
	init   *Const // initializer
	uses   []Use
	id     int
	input  bool
	retype bool // Type was changed by an edit
	commit int  // the latest that changed the value
}

// Use is one place that reads a value: input slot Slot of Node. Reads by nested graphs are uses too.
type Use struct {
	Node *Node
	Slot int
}

// Name returns the graph's name in the file.
func (g *Graph) Name() string { return g.name }

// Model returns the model the graph belongs to.
func (g *Graph) Model() *Model { return g.model }

// Owner returns the node that holds this branch, nil for the main graph.
func (g *Graph) Owner() *Node { return g.owner }

// Attr returns the owner's attribute that holds this branch, such as "then_branch".
func (g *Graph) Attr() string { return g.attr }

// Parent returns the enclosing graph, nil for the main graph.
func (g *Graph) Parent() *Graph {
	if g.owner == nil {
		return nil
	}
	return g.owner.graph
}

// Nodes returns the nodes in file order; the slice is a copy.
func (g *Graph) Nodes() []*Node { return slices.Clone(g.nodes) }

// Inputs returns the graph's inputs, initializers that are listed as inputs (IR version 3 and overridable ones) left out.
func (g *Graph) Inputs() []*Value {
	var out []*Value
	for _, v := range g.inputs {
		if v.init == nil {
			out = append(out, v)
		}
	}
	return out
}

// Outputs returns the graph's outputs; the slice is a copy.
func (g *Graph) Outputs() []*Value { return slices.Clone(g.outputs) }

// Initializers returns the graph's initializers; the slice is a copy.
func (g *Graph) Initializers() []*Value { return slices.Clone(g.inits) }

// Lookup returns the value of that name in this graph alone, nil if there is none. It is for people, who know values by
// name; algorithms follow edges.
func (g *Graph) Lookup(name string) *Value {
	for _, v := range g.inputs {
		if v.name == name {
			return v
		}
	}
	for _, v := range g.inits {
		if v.name == name {
			return v
		}
	}
	for _, n := range g.nodes {
		for _, v := range n.outs {
			if v != nil && v.name == name {
				return v
			}
		}
	}
	return nil
}

// ID returns a small number that no other node of the model has, below [Model.NodeIDs]. What a pass over the graph finds
// out about nodes can so lie in a slice.
func (n *Node) ID() int { return n.id }

// Op returns the operation without its domain, such as "MatMul"; see [Node.FullOp].
func (n *Node) Op() string {
	if n == nil {
		return ""
	}
	return n.op
}

// Domain returns whose operation it is: "" is ONNX's own, "com.microsoft" ONNX Runtime's.
func (n *Node) Domain() string {
	if n == nil {
		return ""
	}
	return n.domain
}

// Name returns the node's label, often "".
func (n *Node) Name() string { return n.name }

// Graph returns the scope the node stands in.
func (n *Node) Graph() *Graph { return n.graph }

// Inputs returns the inputs; nil stands for an omitted optional one. The slice is a copy.
func (n *Node) Inputs() []*Value {
	if n == nil {
		return nil
	}
	return slices.Clone(n.ins)
}

// Outputs returns the outputs; nil stands for an omitted optional one. The slice is a copy.
func (n *Node) Outputs() []*Value {
	if n == nil {
		return nil
	}
	return slices.Clone(n.outs)
}

// NumIn returns the number of input slots, omitted ones included.
func (n *Node) NumIn() int {
	if n == nil {
		return 0
	}
	return len(n.ins)
}

// In returns input i, nil when it is omitted or there are fewer.
func (n *Node) In(i int) *Value {
	if n == nil || i < 0 || i >= len(n.ins) {
		return nil
	}
	return n.ins[i]
}

// Out returns output i, nil when it is omitted or there are fewer.
func (n *Node) Out(i int) *Value {
	if n == nil || i < 0 || i >= len(n.outs) {
		return nil
	}
	return n.outs[i]
}

// Is reports whether the node is one of the named ops. "MatMul" means ONNX's own domain; others are written
// "com.microsoft.Attention".
func (n *Node) Is(ops ...string) bool { return n != nil && slices.Contains(ops, n.FullOp()) }

// FullOp returns the op with its domain, without it for ONNX's own: "MatMul", "com.microsoft.Attention".
func (n *Node) FullOp() string {
	if n.domain == "" || n.domain == "ai.onnx" {
		return n.op
	}
	return n.domain + "." + n.op
}

// String names the node for messages: its label, else its first output, and its op.
func (n *Node) String() string {
	label := n.name
	if label == "" {
		for _, o := range n.outs {
			if o != nil {
				label = "-> " + o.name
				break
			}
		}
	}
	return fmt.Sprintf("%s %q", quote(n.FullOp()), label)
}

// Branches returns the graphs held by attributes, in attribute order.
func (n *Node) Branches() []*Graph {
	if !n.branched {
		return nil
	}
	var out []*Graph
	for _, a := range n.attrs {
		out = append(out, a.graphs...)
	}
	return out
}

// ID returns a small number that no other value of the model has, below [Model.ValueIDs].
func (v *Value) ID() int { return v.id }

// Name returns the value's label. Nothing matches on it.
func (v *Value) Name() string {
	if v == nil {
		return ""
	}
	return v.name
}

// Type returns what the file declares; it is zero when the file declares nothing. [Edit.Retype] changes it.
func (v *Value) Type() Type {
	if v == nil {
		return Type{}
	}
	return v.typ
}

// Graph returns the scope the value is defined in.
func (v *Value) Graph() *Graph {
	if v == nil {
		return nil
	}
	return v.graph
}

// Producer returns the node that computes the value, nil for inputs and initializers.
func (v *Value) Producer() *Node {
	if v == nil {
		return nil
	}
	return v.node
}

// Index returns which output of its producer the value is.
func (v *Value) Index() int {
	if v == nil {
		return 0
	}
	return v.index
}

// Uses returns every place that reads the value, nested graphs included, graph outputs not. The slice is a copy, so a
// loop over it may edit the graph.
func (v *Value) Uses() []Use {
	if v == nil {
		return nil
	}
	return slices.Clone(v.uses)
}

// IsInput reports whether the value is fed from outside: a graph input without an initializer.
func (v *Value) IsInput() bool { return v != nil && v.input && v.init == nil }

// Overridable reports whether the value is a constant that a caller may replace: an initializer listed among the inputs.
func (v *Value) Overridable() bool { return v != nil && v.input && v.init != nil }

// IsOutput reports whether the value is an output of its own graph.
func (v *Value) IsOutput() bool { return v != nil && slices.Contains(v.graph.outputs, v) }

// Initializer returns the constant that the file gives the value, nil for all others.
func (v *Value) Initializer() *Const {
	if v == nil {
		return nil
	}
	return v.init
}

// Const returns the constant behind the value: an initializer, or the tensor of a Constant node. It does not look through
// other operations.
func (v *Value) Const() *Const {
	if v == nil {
		return nil
	}
	if v.init != nil {
		return v.init
	}
	if v.node.Is("Constant") {
		return v.node.constant()
	}
	return nil
}

func (v *Value) String() string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q", v.name)
}
