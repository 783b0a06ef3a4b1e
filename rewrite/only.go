package rewrite

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Only removes all outputs of the model except those named, and the nodes and constants that only they needed. Hosts compute
// every node of a file, whichever outputs a caller asks for: without the logits, a run to a layer in the middle costs half.
// The inputs stay, so that the model is fed as before.
func Only(m *graph.Model, names ...string) error {
	e := m.Edit()
	have := map[string]bool{}
	for _, v := range m.Graph.Outputs() {
		if have[v.Name()] = true; !slices.Contains(names, v.Name()) {
			e.RemoveOutput(m.Graph, v)
		}
	}
	for _, name := range names {
		if !have[name] {
			return fmt.Errorf("keep the output %q: the model has no such output", name)
		}
	}
	e.Prune()
	return e.Commit()
}
