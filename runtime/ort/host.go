package ort

import (
	"context"
	"fmt"

	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
)

// Host runs models with ONNX Runtime. The zero value uses the library that lib.Find returns.
type Host struct {
	Lib string // path of the library; "" = search for it
}

// Name returns "ort".
func (Host) Name() string { return "ort" }

// Open loads the library, unless this process has loaded it already, and then the model. An error wraps its cause;
// hint.Of may return advice.
//
// When ctx ends while the model is loading, Open returns at once, and the model is freed in the background after it has
// loaded, because ONNX Runtime cannot stop a load.
func (h Host) Open(ctx context.Context, m runtime.Model, o runtime.Options) (runtime.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := built(); err != nil {
		return nil, err
	}
	f := lib.CPU
	if o.Device.CUDA {
		f = lib.CUDA
	}
	if err := h.load(f); err != nil {
		return nil, err
	}
	s, err := open(ctx, m, o)
	if err != nil {
		return nil, fmt.Errorf("open %q on %v: %w", m, o.Device, err)
	}
	return s, nil
}

// load loads h's library. When h names none, a library that is already loaded is used.
func (h Host) load(f lib.Flavor) error {
	if path, _ := Loaded(); path != "" && h.Lib == "" {
		return nil
	}
	found, err := lib.Find(h.Lib, f)
	if err != nil {
		return err
	}
	_, err = Load(found.Path)
	return err
}

// Doctor reports the state of ONNX Runtime on this machine. It loads the library that Open would load.
func (h Host) Doctor(ctx context.Context, f lib.Flavor) lib.Report {
	r := lib.Inspect(ctx, h.Lib, f)
	if r.Chosen == nil {
		return r
	}
	v, err := Load(r.Chosen.Path)
	if err != nil {
		r.LoadProblem = err.Error()
		return r
	}
	r.LoadedVersion = v
	if r.CUDA.Present {
		r.CUDA.Missing = missing(r.CUDA.Provider)
	}
	return r
}
