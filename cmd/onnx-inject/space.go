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

// needs estimates the size of a copy of the model in bytes: the size of its weights, or 0 if it refers to them.
func needs(m *graph.Model, w graph.Weights) int64 {
	if w == graph.Ref {
		return 0
	}
	return m.WeightBytes()
}

// checkSpace refuses to start a copy that would run out of space. free returns the free space of a folder, and whether it is known.
func checkSpace(path string, need int64, free func(dir string) (int64, bool)) error {
	return hintf(checkRoom(path, filepath.Dir(path), need, free), "use --weights ref in the folder of the original, which writes no weights")
}

// checkRoom returns an error if dir, or its closest existing parent, does not have need bytes of free space. path is for the error.
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
	return &atomicfile.Error{Path: path, Err: fmt.Errorf("%s are needed, but only %s are free", size(need), size(have))}
}

// writeHint adds advice to an error of writing a copy. Other errors keep their hints.
func writeHint(err error, need int64) error {
	var write *atomicfile.Error
	var errno syscall.Errno
	switch {
	case !errors.As(err, &write), errors.Is(err, fs.ErrExist), !errors.As(err, &errno):
		return err
	case (errno == syscall.ENOSPC || errno == syscall.EFBIG) && need == 0: // small, and the error has the size
		return err
	case errno == syscall.ENOSPC, errno == syscall.EFBIG:
		return hintf(err, "the copy needs about %s", size(need))
	}
	return hintf(err, "choose a folder with write access")
}
