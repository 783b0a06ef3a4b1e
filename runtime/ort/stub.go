//go:build !cgo

package ort

import (
	"context"
	"errors"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
)

var errNoCgo = hint.With(errors.New("load ONNX Runtime: this program was built without cgo, which running a model needs"),
	"build it with CGO_ENABLED=1 and a C compiler; inspect and rewrite work without")

func built() error { return errNoCgo }

// Load fails, because this program was built without cgo.
func Load(string) (string, error) { return "", errNoCgo }

// Loaded returns "", "", because nothing can be loaded.
func Loaded() (path, version string) { return "", "" }

func open(context.Context, runtime.Model, runtime.Options) (runtime.Session, error) {
	return nil, errNoCgo
}

func missing(string) []string { return nil }
