package outdir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
)

// ManifestFile is the name of the manifest in a folder.
const ManifestFile = "manifest.json"

// LockFile is the name of the file that is locked. It stays in the folder.
const LockFile = ".lock"

// ErrLocked is wrapped by the error of [Open] when another process writes to the folder.
var ErrLocked = errors.New("locked")

// Dir is a folder that this process writes to.
type Dir struct {
	Path string
	lock *flock.Flock
}

// Open creates a folder when missing and locks it. files are the names that the caller will write to: a symbolic link or a
// device under one of them is refused.
func Open(path string, files ...string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, &atomicfile.Error{Path: path, Err: err}
	}
	for _, name := range append([]string{LockFile, ManifestFile}, files...) {
		if err := sidefile.Plain(filepath.Join(path, name)); err != nil {
			return nil, err
		}
	}
	name := filepath.Join(path, LockFile)
	d := &Dir{path, flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR|sidefile.NoFollow))}
	ok, err := d.lock.TryLock()
	switch {
	case err != nil:
		return nil, &atomicfile.Error{Path: name, Err: err}
	case !ok:
		owner, _ := sidefile.ReadFile(name, 1<<10)
		return nil, hint.With(fmt.Errorf("%w: %s is writing to the folder", ErrLocked, process(owner)), "wait until it ends, or give another folder")
	}
	// The error above names this process number; the lock itself is the open file.
	if f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC|sidefile.NoFollow, 0); err == nil {
		fmt.Fprintln(f, os.Getpid())
		f.Close()
	}
	return d, nil
}

// Close releases the lock.
func (d *Dir) Close() error { return d.lock.Unlock() }

func process(owner []byte) string {
	if owner = bytes.TrimSpace(owner); len(owner) > 0 {
		return "process " + string(owner)
	}
	return "another process"
}
