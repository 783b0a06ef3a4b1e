// Package runtime defines how models are run: a [Host] opens a [Model] and returns a [Session], and a session computes
// named output tensors from named input tensors. A [Step] is a run whose outputs stay on the host, as values that a later step
// reads without a copy. This package runs nothing itself. Package runtime/ort is a host; any
// other type that implements the two interfaces and passes runtimetest.Suite can replace it.
//
// The name shadows the standard library's package runtime. A file that needs both imports the standard package under
// another name:
//
//	import (
//		goruntime "runtime"
//
//		"github.com/onnx-inject/onnx-inject/runtime"
//	)
//
// # Guarantees
//
//   - Names, element types and shapes are checked against the model's own declarations before a host's library is
//     called ([CheckInputs], [PickOutputs]). An invalid feed is therefore refused with an error of this package and
//     never reaches foreign code.
//   - A session may be used by several goroutines at once. Shapes may change from run to run wherever the model
//     declares a dynamic dimension.
//   - A request for a device that is not available is an error. No host falls back to another device.
//   - Cancelling the context ends a run early with the context's error. An error caused by a lack of memory wraps
//     [ErrMemory].
package runtime
