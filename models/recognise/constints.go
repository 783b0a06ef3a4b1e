package recognise

import "github.com/onnx-inject/onnx-inject/graph"

// ConstInts evaluates a small vector of integers, such as the target of a Reshape, as far as it is known before a run. Elements
// that a run decides are below every size and index. complete is false when even the number of elements is not certain: then only those behind
// the last uncertain part are returned.
func ConstInts(v *graph.Value) (elems []int64, complete bool) {
	return (&consts{}).ints(v)
}
