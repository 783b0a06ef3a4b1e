// Package atomicfile writes files that appear whole or not at all.
//
// A [File] collects the bytes in a temporary file of the target's own folder, so that the final rename never crosses a
// file system. Until [File.Commit] the target is untouched; after it, the target holds every byte, synced to disk. A
// process that dies in between leaves at most one temporary file, whose name starts with [Prefix].
package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Prefix begins the name of every temporary file this package makes.
const Prefix = ".onnx-inject-"

// staleAfter is how old a temporary file of an earlier run must be before it is swept away: far longer than any write.
const staleAfter = 24 * time.Hour

// Error says that a file could not be written. Its text is "write PATH: cause".
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string {
	if errors.Is(e.Err, fs.ErrExist) {
		return "write " + e.Path + ": the file exists already"
	}
	return "write " + e.Path + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// File is a file being written. It must end in [File.Commit] or [File.Abort]; Abort after Commit does nothing.
type File struct {
	*os.File
	target string
	force  bool
	synced bool
	done   bool
	early  writeBack
}

// Create starts writing path. Without force an existing path is refused with an error that is [fs.ErrExist]; what is no regular
// file is refused in any case, see [Check].
func Create(path string, force bool) (*File, error) {
	if err := Check(path, force); err != nil {
		return nil, err
	}
	sweep(filepath.Dir(path))
	// Not os.CreateTemp: that makes files nobody else may read. The mode is the user's umask, as for any other file.
	name := filepath.Join(filepath.Dir(path), Prefix+rand.Text()+".tmp")
	tmp, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, &Error{path, cause(err)}
	}
	return &File{File: tmp, target: path, force: force}, nil
}

// Write writes data to path in one step: Create, Write, Commit.
func Write(path string, data []byte, force bool) error {
	f, err := Create(path, force)
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.File.Write(data); err != nil {
		return &Error{path, cause(err)}
	}
	return f.Commit()
}

// Sync brings the bytes to the disk, as Commit does too: for who wants the long part of that before. Nothing may be written
// behind it.
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

// Commit syncs the bytes to disk and gives the file its name. On an error nothing has changed but the temporary file is gone.
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
	syncDir(filepath.Dir(f.target))
	return nil
}

// Move gives a file that is written and synced its name, in place of what had it. Both names are on one file system.
func Move(path, target string) error {
	if err := os.Rename(path, target); err != nil {
		return &Error{target, cause(err)}
	}
	syncDir(filepath.Dir(target))
	return nil
}

// link is os.Link; tests stand in for file systems that have no hard links.
var link = os.Link

// place gives the temporary file its name unless the name was taken meanwhile. A hard link does both in one step. Where the
// file system has none, an empty file takes the name, which nobody else can do at the same time, and is then replaced.
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

// Abort drops what was written. It is safe to defer.
func (f *File) Abort() {
	if f.done {
		return
	}
	f.done = true
	f.early.stop()
	f.File.Close()
	os.Remove(f.File.Name())
}

// Check tells beforehand what [Create] would refuse. A rename would put a file in the place of a device, a pipe or a link, where
// a write is meant to go through it. What a link leads to is not replaced either: weights beside a model would be looked for
// in the folder of one name and lie in that of the other, and many caches keep their files behind links.
func Check(path string, force bool) error {
	st, err := os.Lstat(path)
	if err != nil {
		return nil // not there, or Create finds out what is wrong
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

// cause strips the temporary file's name from a path error: the user knows only the target's.
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

// sweep removes temporary files that a killed run left behind long ago.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), Prefix) || !strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		if st, err := e.Info(); err == nil && st.Mode().IsRegular() && time.Since(st.ModTime()) > staleAfter {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// syncDir makes a rename survive a power cut. Some systems cannot sync a folder; the rename itself has happened.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
