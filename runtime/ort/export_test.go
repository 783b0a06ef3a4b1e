//go:build cgo

package ort

import (
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
)

// Dump opens a model without any optimisation, and writes the graph as ONNX Runtime sees it to a file.
func (h Host) Dump(m runtime.Model, path string) error {
	if err := h.load(lib.CPU); err != nil {
		return err
	}
	opts, err := sessionOptions(m, runtime.Options{Level: runtime.Unmodified, Threads: 1})
	if err != nil {
		return err
	}
	defer opts.Destroy()
	if err := opts.SetOptimizedModelFilePath(path); err != nil {
		return err
	}
	s, err := create(m, opts)
	if err != nil {
		return err
	}
	return s.Close()
}
