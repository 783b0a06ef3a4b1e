// Package orttest provides an ONNX Runtime host for tests. A test that needs a host fails, and does not skip, on a
// machine without one.
package orttest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
)

// Host returns a host that uses the library found by lib.Find. When there is none, it installs the pinned library into
// the user cache.
func Host(t testing.TB) ort.Host {
	t.Helper()
	path, err := find()
	if err != nil {
		t.Fatalf("%v\n%s\nhint: run `make setup` first; it needs pip or npm and a network", err, hint.Of(err))
	}
	return ort.Host{Lib: path}
}

var find = sync.OnceValues(func() (string, error) {
	found, err := lib.Find("", lib.CPU)
	if err == nil {
		return found.Path, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if _, err := lib.Install(ctx, lib.InstallOptions{}); err != nil {
		return "", err
	}
	found, err = lib.Find("", lib.CPU) // a path given by the user has priority over the installed library
	return found.Path, err
})
