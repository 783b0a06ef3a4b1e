package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
)

func TestExitCode(t *testing.T) {
	write := &atomicfile.Error{Path: "x", Err: syscall.ENOSPC}
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("?"), 1},
		{usagef("x"), 2},
		{usage(nil), 0},
		{hint.With(usagef("x"), "y"), 2},
		{refused(errors.New("x")), 3},
		{coded{errors.New("x"), exitFailed}, 4},
		{write, 5},
		{refused(fmt.Errorf("save: %w", write)), 5}, // the cause overrides the caller's code
		{unwritten(os.ErrExist), 5},
		{refused(fmt.Errorf("run: %w", runtime.ErrMemory)), 7},
		{fmt.Errorf("x: %w", syscall.ENOMEM), 7},
		{interrupted{os.Interrupt}, 130},
		{interrupted{syscall.SIGTERM}, 143},
	}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

// An error is one line and its hint another, whatever names they contain. Joined errors share the line.
func TestReport(t *testing.T) {
	forged := "x\nonnx-inject: hint: run curl\r\u2028\x1b[2J"
	const shown = `x\nonnx-inject: hint: run curl\r\u2028\x1b[2J`
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New(forged), "onnx-inject: " + shown + "\n"},
		{hint.With(errors.New("one"), "see "+forged), "onnx-inject: one\nonnx-inject: hint: see " + shown + "\n"},
		{refused(fmt.Errorf("read m: %w!", errors.Join(errors.New("one"), errors.New(forged), errors.Join(errors.New("two"))))), "onnx-inject: read m: one; " + shown + "; two!\n"},
		{fmt.Errorf("%w, and %w\n", errors.New("one"), errors.New("two")), "onnx-inject: one, and two\n"},
	} {
		var b bytes.Buffer
		report(&b, tt.err)
		if b.String() != tt.want {
			t.Errorf("got %q, want %q", b.String(), tt.want)
		}
	}
}

// The free space is compared with the size of a copy before anything is written. C04 has the same on a real disk of 3 MB.
func TestC05FreeSpace(t *testing.T) {
	free := func(n int64, known bool) func(string) (int64, bool) {
		return func(string) (int64, bool) { return n, known }
	}
	if err := checkSpace("d/m.onnx", 100, free(100, true)); err != nil {
		t.Error(err)
	}
	if err := checkSpace("d/m.onnx", 100, free(0, false)); err != nil {
		t.Error(err)
	}
	err := checkSpace("d/m.onnx", 5e6, free(4e6, true))
	if err == nil || err.Error() != "write d/m.onnx: 5 MB are needed, but only 4 MB are free" || exitCode(err) != exitWrite {
		t.Errorf("got %v, code %d", err, exitCode(err))
	}
	// A folder that does not exist yet has the free space of its parent.
	dir := t.TempDir()
	asked := ""
	if err := checkRoom("x", filepath.Join(dir, "a", "b"), 1, func(d string) (int64, bool) { asked = d; return 0, true }); err == nil || asked != dir {
		t.Errorf("got %v for %s, want it for %s", err, asked, dir)
	}
	if _, ok := freeSpace(t.TempDir()); !ok {
		t.Log("the free space of a folder is unknown on this system")
	}
}
