// Package ops is the one table of what this program knows about ONNX operators, and the walks that read it.
//
// # The table
//
// An [Op] describes one operator: which of its inputs carry data, what it does to the numbers of that data (its [Class]),
// what element type and shape its first output has, and, for attention operators and norms, which slot holds what. A new
// operator is one line in table.go. Code that asks "does this node only move values?" asks [Of], never for a list of names.
//
//	MatMul(x, W) ─▶ Add(·, b) ─▶ Reshape(·, target) ─▶ Transpose
//	product         pointwise     reshape: data is      permute
//	                              input 0, not target
//
// An operator that is not in the table is [Opaque]: all of its inputs are data, and nothing is known of its output.
//
// # The walks
//
// [Back] and [Reach] visit values against or along the data flow, each value once. [Memo] computes something for a value
// from what it computed for the values before it, each once and without recursion, however long the chain is. [Search] is a
// memo of the nodes that a value comes from. [Facts] is a memo of shapes and of the small integer vectors that
// exporters compute shapes with; [Types] is a memo of element types; [Constants] says what is known before a run.
// [Follow] is a step along the data flow with one axis: where it goes, as long as nothing is mixed along it.
//
// All of them count their steps in a [Budget]. A file of a few megabytes can hold a graph in which the honest algorithm takes
// hours; the budget ends it, and the caller refuses the file.
package ops
