// Package graph reads, changes and writes ONNX models without loading their weights. It knows the file format, nodes, edges
// and scopes; it knows nothing of GPT-2, of running a model, or of flags.
//
// # Words
//
// A [Model] is an ONNX file: one main graph, and around it operator versions (opsets) and metadata. A [Graph] is a scope: the
// main graph, or a branch, a graph that an attribute of a node holds (both choices of an If). A branch has a parent and may
// read its values. A [Node] is one operation. A [Value] is an edge: what a node computes, an input, or a constant of the file
// (an initializer). It knows its producer and its uses; a [Use] is one place that reads it, a node and an input slot.
//
//	          value x                  value h
//	in x ────────────────▶ Add ────────────────▶ Mul ──▶ value y ──▶ out y
//	                        ▲    uses of h: (Mul, 0)      producer of y: Mul
//	const w ────────────────┘               (If, then_branch: Neg, 0)
//	uses of w: (Add, 1)
//
// Nodes and values are pointers and are compared as such. Their names are labels for people: nothing matches on them, an
// edit may change them, and two files that differ in names alone are the same model. Names matter at the boundary only: in
// the file, in text, and for the inputs and outputs of the main graph, which are the model's signature.
//
// # Weights stay on disk
//
// [Load] walks the file once and keeps a skeleton: every byte of it but the large payloads, which are the weights. Where one
// was cut out stands a hole, a number into a list of places:
//
//	file      … name "w" │ raw_data, 9 MB of floats              │ dims …
//	skeleton  … name "w" │ hole 17                               │ dims …
//	holes     17: model.onnx, offset 1040, 9437184 bytes
//
// External data, in which weights lie in files beside the model, becomes the same kind of hole. A [Const] reads its bytes
// when asked, all of them or a range of rows. [Save] writes the skeleton with the holes filled in again: with the bytes
// themselves ([Embed]), or with references to a new data file ([Copy]) or to the original's bytes ([Ref]). What nothing has
// changed is written as it was read, byte for byte, unknown fields and the order of fields included; two things are not
// kept, needlessly long encodings of a message's length, and the definitions of functions, because those are inlined.
//
// Model functions, nodes that stand for graphs of their own, are inlined on load. The rest of the package, and whoever uses
// it, sees operations only, and a saved copy holds the bodies instead of calls.
//
// # Changes
//
// An [Edit] is the only way to change a model. It collects changes and touches nothing until [Edit.Commit], which makes all
// of them or, should one be impossible or the result violate an invariant, none: then the model is as it was, down to the
// order of uses. Edits add and never clean up what they did not touch; [Edit.Prune] removes what was needed before the edit
// and is needed no longer. New nodes are put behind the last node they read from, so that a file reads like the computation.
// Where one edit needs the result of another, [Model.Try] makes both or none.
//
// An edit picks free names by itself ([Edit.Fresh] appends a number) unless exactly one name will do ([Edit.Input], Spec.As):
// then a name that any scope has already is refused. Names are unique over all scopes, which is stricter than ONNX asks.
//
// # What always holds
//
// A model from [Load] or [Parse], a [Model.Clone] of it, and one after a commit, satisfies [Check]: names are unique in a scope; each
// value has one producer; edges agree from both sides; a node reads its own scope or one around it; there is no cycle. Files
// may hold nodes in any order; [Graph.Nodes] gives the file's, [Graph.Ordered] one that can be computed.
//
// Reading is safe with hostile files: sizes, counts and depths are limited before memory is spent, every range is checked
// against its file, and no file outside the model's folder is opened. What is refused is refused with the reason and, where it
// helps, a hint ([hint.Of]). What is odd but harmless is told by [Model.Warnings].
//
// # Text
//
// [Format] prints a model for people, [Parse] reads it back. Tests of all packages write their models this way:
//
//	graph main {
//	  in x: float32[batch, 4]
//	  const w = float32[4] {1, 2, 3, 4}
//	  h = Add(x, w) @/h.0/Add
//	  out h
//	}
//
// [Write] documents the grammar. Package graphtest changes models in ways that must not matter.
package graph
