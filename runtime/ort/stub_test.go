//go:build !cgo

package ort

import (
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
)

func TestWithoutCgo(t *testing.T) {
	if _, err := Load("/any"); err != errNoCgo {
		t.Errorf("Load: got %v", err)
	}
	_, err := Host{}.Open(t.Context(), runtime.Model{}, runtime.Options{})
	if want := "load ONNX Runtime: this program was built without cgo, which running a model needs"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if hint.Of(err) == "" {
		t.Error("no hint")
	}
}
