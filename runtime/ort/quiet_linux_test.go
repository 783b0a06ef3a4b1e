//go:build cgo

package ort_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// TestQuiet checks that ONNX Runtime prints nothing: it returns its errors, and nothing goes to the terminal.
func TestQuiet(t *testing.T) {
	host := orttest.Host(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	restore := redirectStderr(t, w)
	_, openErr := host.Open(t.Context(), runtime.Model{Bytes: []byte("nonsense")}, runtime.Options{})
	s, err := host.Open(t.Context(), runtime.Model{Path: filepath.Join(fixtures, "gpt-neo.onnx")}, runtime.Options{})
	var runErr error
	if err == nil {
		in := feed(t, s.Inputs(), [][]int64{{1 << 40}}, 1) // far outside the vocabulary
		_, runErr = s.Run(t.Context(), in)
		s.Close()
	}
	restore()
	w.Close()
	said, _ := io.ReadAll(r)
	if err != nil || openErr == nil || runErr == nil {
		t.Errorf("open %v, open nonsense %v, run outside the vocabulary %v", err, openErr, runErr)
	}
	if len(said) > 0 {
		t.Errorf("printed %q", said)
	}
}

// redirectStderr sends file descriptor 2, which foreign code writes to, into w until the returned function is called.
func redirectStderr(t *testing.T, w *os.File) func() {
	t.Helper()
	old, err := unix.Dup(2)
	if err == nil {
		err = unix.Dup3(int(w.Fd()), 2, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Dup3(old, 2, 0); err != nil {
			t.Fatal(err)
		}
		unix.Close(old)
	}
}
