package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

// needs estimates how many bytes a copy of the model takes: its weights, unless it refers to them.
func needs(m *graph.Model, w graph.Weights) int64 {
	if w == graph.Ref {
		return 0
	}
	return m.WeightBytes()
}

// checkSpace refuses to start a copy that cannot end well. free tells how much room a folder has, and whether that is known.
func checkSpace(path string, need int64, free func(dir string) (int64, bool)) error {
	return hintf(checkRoom(path, filepath.Dir(path), need, free), "--weights ref, in the folder of the original, writes no weights")
}

// checkRoom refuses to write so many bytes to a path where its folder, or the folder that will get it, has no room for them.
func checkRoom(path, dir string, need int64, free func(dir string) (int64, bool)) error {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	have, ok := free(dir)
	if !ok || have >= need {
		return nil
	}
	return &atomicfile.Error{Path: path, Err: fmt.Errorf("%s are needed, %s are free there", size(need), size(have))}
}

// writeHint gives advice that fits what went wrong with writing a copy; other errors keep the advice they have.
func writeHint(err error, need int64) error {
	var write *atomicfile.Error
	var errno syscall.Errno
	switch {
	case !errors.As(err, &write), errors.Is(err, fs.ErrExist), !errors.As(err, &errno):
		return err
	case errno == syscall.ENOSPC, errno == syscall.EFBIG:
		return hintf(err, "the copy takes about %s", size(need))
	}
	return hintf(err, "choose a folder that can be written to")
}
