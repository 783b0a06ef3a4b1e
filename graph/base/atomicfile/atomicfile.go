// Package atomicfile writes files completely or not at all.
//
// A [File] collects the bytes in a temporary file in the target's folder, so that the final rename never crosses a file
// system. The target does not change before [File.Commit]; after it, the target holds every byte, synced to disk. A process
// that dies in between leaves at most one temporary file, whose name starts with [Prefix]. The next write to the folder removes
// it: a lock, which ends with its process, shows that no process holds it.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Prefix starts the name of every temporary file of this package.
const Prefix = ".onnx-inject-"

// Error reports that a file could not be written. Its text is "write PATH: cause", and names the path once.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string {
	if errors.Is(e.Err, fs.ErrExist) {
		return "write " + e.Path + ": the file exists already"
	}
	if inner := (*Error)(nil); errors.As(e.Err, &inner) && inner.Path == e.Path {
		return e.Err.Error()
	}
	switch err := e.Err.(type) {
	case *fs.PathError, *os.LinkError:
		return "write " + e.Path + ": " + cause(err).Error()
	}
	return "write " + e.Path + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// File is a file that is being written. End it with [File.Commit] or [File.Abort]; Abort after Commit does nothing.
type File struct {
	*os.File
	target string
	force  bool
	synced bool
	done   bool
	early  writeBack
	holder *os.File // holds the temporary file until it has its name; nil where files cannot be held
}

// Create starts writing path. Without force, an existing path is refused with an [fs.ErrExist]. A path that is not a regular
// file is always refused, see [Check].
func Create(path string, force bool) (*File, error) {
	if err := Check(path, force); err != nil {
		return nil, err
	}
	sweep(filepath.Dir(path))
	tmp, holder, err := temporary(filepath.Dir(path))
	if err != nil {
		return nil, &Error{path, cause(err)}
	}
	return &File{File: tmp, target: path, force: force, holder: holder}, nil
}

// Write writes data to path in one step: Create, Write, Commit.
func Write(path string, data []byte, force bool) error {
	f, err := Create(path, force)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.File.Write(data); err != nil {
		return &Error{path, NoRoom(err, int64(len(data)))}
	}
	return f.Commit()
}

// NoRoom adds the number of bytes that are needed to an error of a full disk, or of a file that may not grow. It returns the cause
// of every other error.
func NoRoom(err error, need int64) error {
	err = cause(err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %d bytes are needed", err, need)
	}
	return err
}

// Sync writes the bytes to the disk, as Commit does, for callers that need to separate the slow part. No write may follow.
func (f *File) Sync() error {
	f.early.stop()
	if f.synced {
		return nil
	}
	if err := f.File.Sync(); err != nil {
		return &Error{f.target, cause(err)}
	}
	f.synced = true
	return nil
}

// Commit syncs the bytes to disk and gives the file its name. On an error the target is unchanged and the temporary file is
// removed.
func (f *File) Commit() error {
	if f.done {
		return nil
	}
	defer f.Abort()
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.File.Close(); err != nil {
		return &Error{f.target, cause(err)}
	}
	if f.force {
		if err := os.Rename(f.File.Name(), f.target); err != nil {
			return &Error{f.target, cause(err)}
		}
	} else if err := place(f.File.Name(), f.target); err != nil {
		return err
	}
	f.done = true
	f.release()
	syncDir(filepath.Dir(f.target))
	return nil
}

func (f *File) release() {
	if f.holder != nil {
		f.holder.Close()
	}
}

// Move renames a synced file to target and replaces what was there. Both names must be on the same file system.
func Move(path, target string) error {
	if err := os.Rename(path, target); err != nil {
		return &Error{target, cause(err)}
	}
	syncDir(filepath.Dir(target))
	return nil
}

// link is os.Link; tests replace it to imitate file systems without hard links.
var link = os.Link

// place gives the temporary file its name, unless another file has taken the name. A hard link does both in one step. On file
// systems without hard links, it creates an empty file with the name exclusively and then replaces it.
func place(tmp, target string) error {
	err := link(tmp, target)
	switch {
	case err == nil:
		return os.Remove(tmp)
	case errors.Is(err, fs.ErrExist):
		return exists(target)
	}
	own, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return exists(target)
	} else if err != nil {
		return &Error{target, cause(err)}
	}
	own.Close()
	if err := os.Rename(tmp, target); err != nil {
		os.Remove(target)
		return &Error{target, cause(err)}
	}
	return nil
}

// Abort discards the written bytes. It is safe to defer.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	f.early.stop()
	f.File.Close()
	os.Remove(f.File.Name())
	f.release()
}

// Check returns the errors of [Create] in advance. A rename would replace a device, a pipe or a link, although a write is meant
// to go through it. The target of a link is not replaced either: a program would search for the weights of a model in the
// folder of one name while they are in the folder of the other, and many caches link to their files.
func Check(path string, force bool) error {
	st, err := os.Lstat(path)
	if err != nil {
		return nil // path is missing, or Create reports the error
	}
	switch mode := st.Mode(); {
	case mode.IsDir():
		return &Error{path, errors.New("is a folder")}
	case mode&fs.ModeSymlink != 0:
		to, _ := os.Readlink(path)
		return &Error{path, fmt.Errorf("is a symbolic link to %s", to)}
	case !mode.IsRegular():
		return &Error{path, errors.New("is not a regular file")}
	case !force:
		return exists(path)
	}
	return nil
}

func exists(path string) error {
	return &Error{path, fs.ErrExist}
}

// cause strips the temporary file's name from a path error, because the user knows only the target.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}

// syncDir makes a rename survive a power failure. Some systems cannot sync a folder; the rename itself is done.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
