package capture

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// Hook is a value of the model that is captured: a kind of output at a layer.
type Hook struct {
	Kind  *rewrite.Kind
	Layer int
}

// Name returns the hook's name, such as "blocks.7.hook_attn_out".
func (h Hook) Name() string { return h.Kind.Port.Name(h.Layer) }

// rowDims returns the shape of the hook's value at one position, such as [d_model] or [head, d_head]. A value that is not
// computed position by position has none.
func (h Hook) rowDims(l *models.Layout) ([]int64, error) {
	dims := h.Kind.Port.Output().Type(l).Dims
	if len(dims) < 3 || dims[1].Name != "pos" {
		return nil, hint.With(fmt.Errorf("%s of shape %s: its size depends on the length of the prompt, so it has no row for a position", h.Kind.Name(), h.Kind.Port.Output().Shape()),
			"rewrite --expose adds it to a file as an output")
	}
	var out []int64
	for _, d := range dims[2:] {
		out = append(out, d.Size)
	}
	return out, nil
}

// checkHooks requires at least one hook, each once.
func checkHooks(hooks []Hook) error {
	if len(hooks) == 0 {
		return fmt.Errorf("no hooks to capture")
	}
	for i, h := range hooks {
		if slices.Contains(hooks[:i], h) {
			return fmt.Errorf("%s was given twice", h.Name())
		}
	}
	return nil
}
