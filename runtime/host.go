package runtime

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Host is something that can run ONNX models.
type Host interface {
	// Name is the short name of the host, such as "ort".
	Name() string
	// Open loads a model. Loading a large one takes seconds; when ctx ends first, Open returns its error at once.
	Open(ctx context.Context, m Model, o Options) (Session, error)
}

// Session is a model that is ready to run. All methods may be called from several goroutines.
type Session interface {
	// Inputs and Outputs list what the model declares, in its own order. The slices must not be changed.
	Inputs() []Port
	Outputs() []Port
	// Run computes the outputs named by want, all of them when want is empty. The tensors in in are not changed and not
	// kept. Every declared input must be given. The results own their memory.
	Run(ctx context.Context, in map[string]*graph.Tensor, want ...string) (map[string]*graph.Tensor, error)
	// Close waits for runs under way and frees the model. Closing twice is harmless; Run fails afterwards.
	Close() error
}

// Model says where a model is: in a file, or in memory.
type Model struct {
	Path  string // a .onnx file; external data lies beside it
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

// ErrMemory is wrapped by errors that say that host or device memory ran out.
var ErrMemory = errors.New("out of memory")
