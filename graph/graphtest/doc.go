// Package graphtest changes a model in ways that must not matter. The changed model computes the same numbers, and code that
// analyses its structure must find the same things in it.
//
//   - [RenameAll] gives every internal value and node another name, because nothing may match on names.
//   - [Shuffle] puts the nodes in another valid order, because nothing may depend on the order of the file.
//   - [SwapCommutative] swaps the operands of Add and Mul, because exporters disagree on which comes first.
//   - [ConstantsFromInitializers] turns initializers into Constant nodes, because exporters disagree on this too.
//
// Each function takes the test first, edits the model in place, and gives the same result for the same seed. A fifth change
// that must not matter, moving the weights to external files, is [graph.Save] with [graph.Copy].
package graphtest
