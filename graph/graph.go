package graph

import (
	"fmt"
	"slices"
)

// Graph is one scope: the main graph, or a branch of an If node. A branch has a parent and can read its values.
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
	commit  int      // the latest commit that changed the graph
}

// record is one field of a message as it appears in the file, with the object that was made from it, if any.
type record struct {
	num  int32
	raw  []byte // tag included
	name string // the object's name in the file

	node  *Node  // the object made from it
	value *Value // or this one
}

// Node is one operation. Its edges are pointers; names are labels.
type Node struct {
	op     string // such as "MatMul"
	domain string // "" is ONNX's own domain, "com.microsoft" is ONNX Runtime's
	name   string
	// overload distinguishes functions of the same name. Only calls of functions have one.
	overload string
	graph    *Graph
	ins      []*Value // nil: an omitted optional input
	outs     []*Value // nil: an omitted optional output
	attrs    []*Attr
	raw      []byte // NodeProto as read, nil for a new node
	dirty    bool   // an attribute was set by an edit
	branched bool   // an attribute holds graphs: cached, because passes over a model ask every node
	id       int
	commit   int // the latest commit that changed or made the node
}

// Value is an edge: the output of a node, a graph input, or a constant of the file. Values are compared by identity. A nil
// value is an omitted input or output. Its methods report that nothing produces or reads it, so a walk along edges needs no
// nil checks.
type Value struct {
	typ    Type // as declared by the file; zero without a declaration
	name   string
	graph  *Graph
	node   *Node  // producer; nil for graph inputs and initializers
	index  int    // output number of the producer
	init   *Const // initializer
	uses   []Use
	id     int
	input  bool
	retype bool // Type was changed by an edit
	commit int  // the latest commit that changed the value
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

// Owner returns the node that holds this branch, or nil for the main graph.
func (g *Graph) Owner() *Node { return g.owner }

// Attr returns the owner's attribute that holds this branch, such as "then_branch".
func (g *Graph) Attr() string { return g.attr }

// Parent returns the enclosing graph, or nil for the main graph.
func (g *Graph) Parent() *Graph {
	if g.owner == nil {
		return nil
	}
	return g.owner.graph
}

// Nodes returns the nodes in file order. The slice is a copy.
func (g *Graph) Nodes() []*Node { return slices.Clone(g.nodes) }

// Inputs returns the graph's inputs without the initializers that are listed as inputs (in IR version 3, or to be
// overridable).
func (g *Graph) Inputs() []*Value {
	var out []*Value
	for _, v := range g.inputs {
		if v.init == nil {
			out = append(out, v)
		}
	}
	return out
}

// Outputs returns the graph's outputs. The slice is a copy.
func (g *Graph) Outputs() []*Value { return slices.Clone(g.outputs) }

// Initializers returns the graph's initializers. The slice is a copy.
func (g *Graph) Initializers() []*Value { return slices.Clone(g.inits) }

// Lookup returns the value of that name in this graph alone, or nil if there is none. It serves people, who know values by
// name. Algorithms follow edges.
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

// ID returns a small number, unique among the nodes of the model and below [Model.NodeIDs]. A pass over the graph can store
// its results in a slice indexed by ID.
func (n *Node) ID() int { return n.id }

// Op returns the operation without its domain, such as "MatMul"; see [Node.FullOp].
func (n *Node) Op() string {
	if n == nil {
		return ""
	}
	return n.op
}

// Domain returns the operator's domain: "" is ONNX's own, "com.microsoft" is ONNX Runtime's.
func (n *Node) Domain() string {
	if n == nil {
		return ""
	}
	return n.domain
}

// Name returns the node's label, which is often "".
func (n *Node) Name() string { return n.name }

// Graph returns the scope that contains the node.
func (n *Node) Graph() *Graph { return n.graph }

// Inputs returns the inputs. An omitted optional input is nil. The slice is a copy.
func (n *Node) Inputs() []*Value {
	if n == nil {
		return nil
	}
	return slices.Clone(n.ins)
}

// Outputs returns the outputs. An omitted optional output is nil. The slice is a copy.
func (n *Node) Outputs() []*Value {
	if n == nil {
		return nil
	}
	return slices.Clone(n.outs)
}

// NumIn returns the number of input slots, including omitted inputs.
func (n *Node) NumIn() int {
	if n == nil {
		return 0
	}
	return len(n.ins)
}

// In returns input i, or nil when it is omitted or does not exist.
func (n *Node) In(i int) *Value {
	if n == nil || i < 0 || i >= len(n.ins) {
		return nil
	}
	return n.ins[i]
}

// Out returns output i, or nil when it is omitted or does not exist.
func (n *Node) Out(i int) *Value {
	if n == nil || i < 0 || i >= len(n.outs) {
		return nil
	}
	return n.outs[i]
}

// Is reports whether the node is one of the given ops. "MatMul" means the op of ONNX's own domain. Other domains are a
// prefix: "com.microsoft.Attention".
func (n *Node) Is(ops ...string) bool { return n != nil && slices.Contains(ops, n.FullOp()) }

// FullOp returns the op with its domain, if that is not ONNX's own: "MatMul", "com.microsoft.Attention".
func (n *Node) FullOp() string {
	if n.domain == "" || n.domain == "ai.onnx" {
		return n.op
	}
	return n.domain + "." + n.op
}

// String names the node in messages: its op, and its label or else its first output.
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

// Branches returns the graphs that attributes hold, in attribute order.
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

// ID returns a small number, unique among the values of the model and below [Model.ValueIDs].
func (v *Value) ID() int { return v.id }

// Name returns the value's label. Nothing matches on it.
func (v *Value) Name() string {
	if v == nil {
		return ""
	}
	return v.name
}

// Type returns the type that the file declares. It is zero when the file declares none. [Edit.Retype] changes it.
func (v *Value) Type() Type {
	if v == nil {
		return Type{}
	}
	return v.typ
}

// Graph returns the scope that defines the value.
func (v *Value) Graph() *Graph {
	if v == nil {
		return nil
	}
	return v.graph
}

// Producer returns the node that computes the value, or nil for inputs and initializers.
func (v *Value) Producer() *Node {
	if v == nil {
		return nil
	}
	return v.node
}

// Index returns the value's output number at its producer.
func (v *Value) Index() int {
	if v == nil {
		return 0
	}
	return v.index
}

// Uses returns every place that reads the value, including nested graphs. Graph outputs are not uses. The slice is a copy,
// so a loop over it may edit the graph.
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

// Initializer returns the constant that the file assigns to the value, or nil for all others.
func (v *Value) Initializer() *Const {
	if v == nil {
		return nil
	}
	return v.init
}

// Const returns the value's constant: an initializer, or the tensor of a Constant node. It does not look through other
// operations.
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
