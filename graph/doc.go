// Package graph reads, changes and writes ONNX models without loading their weights. It knows the file format, nodes, edges
// and scopes. It knows nothing about decoders, runtimes or flags.
//
// # Concepts
//
// A [Model] is an ONNX file: one main graph, the imported operator versions (opsets) and metadata. A [Graph] is a scope: the
// main graph, or a branch, which is a graph held by an attribute of a node (an If has two). A branch has a parent and may
// read its values. A [Node] is one operation. A [Value] is an edge: the output of a node, an input, or a constant of the file
// (an initializer). It knows its producer and its uses. A [Use] is one place that reads a value: a node and an input slot.
//
//	          value x                  value h
//	in x ────────────────▶ Add ────────────────▶ Mul ──▶ value y ──▶ out y
//	                        ▲    uses of h: (Mul, 0)      producer of y: Mul
//	const w ────────────────┘               (If, then_branch: Neg, 0)
//	uses of w: (Add, 1)
//
// Nodes and values are pointers and are compared as pointers. Their names are labels for people: nothing matches on them, an
// edit may change them, and two files that differ only in names are the same model. Names matter only at the boundary: in
// the file, in text, and for the inputs and outputs of the main graph, which are the model's signature.
//
// # Weights stay on disk
//
// [Load] walks the file once and keeps a skeleton: every byte of the file except the large payloads, which are the weights.
// A hole replaces each payload. It is a number, the index into a list of places:
//
//	file      … name "w" │ raw_data, 9 MB of floats              │ dims …
//	skeleton  … name "w" │ hole 17                               │ dims …
//	holes     17: model.onnx, offset 1040, 9437184 bytes
//
// External data, which stores weights in separate files, becomes the same kind of hole. A [Const] reads its bytes on demand,
// all of them or a range of rows. [Save] writes the skeleton and fills the holes: with the bytes themselves ([Embed]), or
// with references to a new data file ([Copy]) or to the original's bytes ([Ref]). Unchanged parts are written as they were
// read, byte for byte, including unknown fields and the order of fields. There are two exceptions: lengths of messages in a
// longer encoding than needed, and the definitions of functions, because functions are inlined.
//
// Model functions are operators that the file defines as graphs. They are inlined on load, so the rest of the package and
// its users see only operators, and a saved copy holds the bodies instead of calls.
//
// # Changes
//
// An [Edit] is the only way to change a model. It collects changes and touches nothing until [Edit.Commit], which makes all
// of them or none. If a change is impossible, or the result violates an invariant, the model is as it was before, including
// the order of uses. Edits add, and never clean up what they did not touch. [Edit.Prune] removes what was needed before the
// edit and is no longer needed. New nodes are placed after the last node they read from, so that a file reads like the
// computation. If one edit needs the result of another, [Model.Try] makes both or none.
//
// An edit picks free names itself ([Edit.Fresh] appends a number). Where exactly one name is required ([Edit.Input],
// Spec.As), a name that any scope already uses is refused. Names are unique over all scopes, which is stricter than ONNX.
//
// # Invariants
//
// A model from [Load] or [Parse], a [Model.Clone] of it, and a model after a commit satisfy [Check]: names are unique in a
// scope; each value has one producer; edges agree from both sides; a node reads its own scope or one around it; there is no
// cycle. Files may hold nodes in any order. [Graph.Nodes] returns the file's order, [Graph.Ordered] one that can be computed.
//
// Reading is safe with hostile files. A survey walks the file before anything is kept. It spends a budget of everything that
// memory and time grow with: fields, nodes, edges, attributes, dimensions, list elements, nesting. Every range is checked
// against its file, and no file outside the model's folder is opened. A refusal gives the reason and, where it helps, a hint
// ([hint.Of]). [Model.Warnings] reports what is unusual but harmless.
//
// Readers of ONNX disagree on some files: on a name that appears twice, for example. Such a file is refused, so that what is
// accepted is what a host computes.
//
// # Text
//
// [Format] prints a model for people, and [Parse] reads it back. Tests of all packages write their models this way:
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
