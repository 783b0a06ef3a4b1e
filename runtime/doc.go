// Package runtime says what running a model means here: a [Host] opens a [Model] and gives a [Session], and a session
// turns named tensors into named tensors. It runs nothing itself; package runtime/ort does, and anything else that
// satisfies the two interfaces and passes runtimetest.Suite can stand in its place.
//
// The name shadows the standard library's package runtime. A file that needs both imports the other one by another
// name:
//
//	import (
//		goruntime "runtime"
//
//		"github.com/onnx-inject/onnx-inject/runtime"
//	)
//
// # What always holds
//
//   - Names, element types and shapes are checked against the model's own declarations before a host's library is
//     called ([CheckInputs], [PickOutputs]), so that a wrong feed is refused in our words and never reaches foreign
//     code.
//   - A session may be used by several goroutines at once; shapes may change from run to run wherever the model
//     declares a dimension as dynamic.
//   - A device that was asked for and is not there is an error. No host falls back in silence.
//   - Cancelling the context ends a run early with the context's error; running out of memory is [ErrMemory].
package runtime
