package runtime

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Value is a tensor in the memory of a host. An output that stays there is an input of a later run without a copy: this is how
// the cache of a decoder stays on the host between the steps of a generation.
//
// A value belongs to the host and not to the session that made it: other sessions of the host can read it, and it stays valid
// after the session is closed. All methods are safe for concurrent use.
type Value interface {
	DType() graph.DType
	Dims() []int64
	// Tensor returns a copy.
	Tensor() (*graph.Tensor, error)
	// Close frees the memory, after the runs in progress that use it. Closing twice does nothing.
	Close() error
}

// Step is one run with values that stay on the host. The zero values of its fields mean "none".
type Step struct {
	In   map[string]*graph.Tensor // inputs
	Held map[string]Value         // inputs that the host holds already
	Want []string                 // outputs that are returned as tensors
	Keep []string                 // outputs that stay on the host, in new values
	Into map[string]Value         // outputs that are written into existing values, whose types and shapes must be those of the outputs
}

// Result holds the outputs of a [Step]. The caller closes the kept values.
type Result struct {
	Out  map[string]*graph.Tensor // those of Want
	Kept map[string]Value         // those of Keep
}

// CheckStep reports every mismatch between the inputs of a step and the declared ports; see [CheckInputs]. It returns the ports
// of the outputs: those of Want, of Keep, and of Into sorted by name.
func CheckStep(in, out []Port, s Step) (outs []Port, err error) {
	if err := checkInputs(in, s.In, s.Held); err != nil {
		return nil, err
	}
	names := slices.Concat(s.Want, s.Keep, slices.Sorted(maps.Keys(s.Into)))
	if len(names) == 0 {
		return nil, errors.New("no outputs are requested")
	}
	if outs, err = PickOutputs(out, names); err != nil {
		return nil, err
	}
	for _, p := range outs {
		if v, into := s.Into[p.Name]; into {
			if err := checkShape(p, v.DType(), v.Dims()); err != nil {
				return nil, fmt.Errorf("output %q: %w", p.Name, err)
			}
		}
	}
	return outs, nil
}
