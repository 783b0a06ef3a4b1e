// Package ops holds this program's knowledge of ONNX operators: one table, and the walks that use it.
//
// # The table
//
// An [Op] describes one operator: which of its inputs carry data, what it does to the numbers of that data (its [Class]), the
// element type and shape of its first output, and, for attention operators and norms, the meaning of each input and output.
// A new operator is one line in table.go. Code asks [Of] whether a node only moves values; it never uses a list of names.
//
//	MatMul(x, W) ─▶ Add(·, b) ─▶ Reshape(·, target) ─▶ Transpose
//	product         pointwise     reshape: data is      permute
//	                              input 0, not target
//
// An operator that is not in the table is [Opaque]: all of its inputs are data, and nothing is known about its output.
//
// # The walks
//
//   - [Reach] visits values along or against the data flow, each value once. [Through] is its usual step.
//   - [Memo] computes a result for a value from the results for earlier values, each once and without recursion, so that a
//     chain may have any length.
//   - [Search] is a memo of the nodes that a value comes from.
//   - [Facts] is a memo of shapes and of the small integer vectors that exporters compute shapes with. [Types] is a memo of
//     element types. [Constants] identifies the values that are known before a run.
//   - [Follow] takes one step along the data flow with one axis. It returns the axis of the output, as long as nothing is
//     mixed along the axis.
//
// All walks count their steps in a [Budget]. A file of a few megabytes can hold a graph for which these algorithms take
// hours. Then the budget ends the walk, and the caller refuses the file.
package ops
