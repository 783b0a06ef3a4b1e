// Package graphtest changes a model in ways that must not matter: it computes the same numbers, and whoever looks at its
// structure must find the same things in it.
//
//   - [RenameAll] gives every internal value and node another name: nothing may match on names
//   - [Shuffle] puts the nodes in another valid order: nothing may depend on the order of the file
//   - [SwapCommutative] swaps the operands of Add and Mul: exporters disagree on which comes first
//   - [ConstantsFromInitializers] turns initializers into Constant nodes: exporters disagree on this too
//
// Each takes the test first, edits the model in place, and is deterministic in its seed. Moving the weights to external
// files, a fifth thing that must not matter, is [graph.Save] with [graph.Copy].
package graphtest
