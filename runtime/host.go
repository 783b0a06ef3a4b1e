package runtime

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Host runs ONNX models.
type Host interface {
	// Name is the short name of the host, such as "ort".
	Name() string
	// Open loads a model. Loading a large model takes seconds; when ctx ends first, Open returns the context's error at once.
	Open(ctx context.Context, m Model, o Options) (Session, error)
}

// Session is a model that is ready to run. All methods are safe for concurrent use.
type Session interface {
	// Inputs and Outputs list the declared ports in the model's own order. The slices must not be changed.
	Inputs() []Port
	Outputs() []Port
	// Run computes the outputs named by want, or all outputs when want is empty. It requires a tensor for every declared
	// input, and does not change or keep these tensors. The results own their memory.
	Run(ctx context.Context, in map[string]*graph.Tensor, want ...string) (map[string]*graph.Tensor, error)
	// Step is Run with values that stay on the host between runs.
	Step(ctx context.Context, s Step) (*Result, error)
	// Hold copies a tensor into a value.
	Hold(t *graph.Tensor) (Value, error)
	// Close waits for the runs in progress and frees the model. Closing twice does nothing; Run fails afterwards.
	Close() error
}

// Model is the location of a model: a file, or bytes in memory.
type Model struct {
	Path  string // a .onnx file; external data is in the same folder
	Bytes []byte // when set, the model itself; Path is then only a name for messages
	Dir   string // with Bytes: the folder that external data is relative to
}

// String returns the name of the model for messages: the last element of its path, or "model".
func (m Model) String() string {
	if m.Path == "" {
		return "model"
	}
	return filepath.Base(m.Path)
}

// Port is an input or an output as the model declares it.
type Port struct {
	Name  string
	DType graph.DType // Undefined for what is not a tensor (sequences, maps)
	Dims  []int64     // -1 = any size; empty for a scalar, and also where the model declares no shape at all
}

// ErrMemory is wrapped by errors that report a lack of host or device memory.
var ErrMemory = errors.New("out of memory")
