package hub

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// store is the destination of files: the cache, or a plain folder.
type store interface {
	root() string              // the folder that the files' names are relative to
	path(f File) string        // the final path of a complete file
	have(f File) (bool, error) // whether the complete file is present
	part(f File) string        // the path at which its bytes are collected
	lockFile(f File) string    // the lock that prevents other processes from collecting them
	keep(f File) error         // moves the complete and synced part to its final path
	finish(fetched bool) error // called after all files are present
	room() string              // a folder on the destination's file system
}

// lock waits until no other process works on a file. The hub's own client locks in the same way.
func (c *Client) lock(ctx context.Context, s store, f File) (unlock func(), err error) {
	name := s.lockFile(f)
	if err := makeDirs(filepath.Dir(name), filepath.Dir(s.part(f))); err != nil {
		return nil, err
	}
	l := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o664))
	for logged := false; ; logged = true {
		ok, err := l.TryLock()
		switch {
		case err != nil:
			return nil, unwritten(name, err)
		case ok:
			return func() { l.Unlock() }, nil
		case !logged:
			c.log("%s: another process is downloading it; waiting", f.Name)
		}
		if err := c.pause(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func makeDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return unwritten(dir, err)
		}
	}
	return nil
}

// unwritten converts an error to a write error with the path that the user knows.
func unwritten(path string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		path, err = p.Path, p.Err
	}
	return &atomicfile.Error{Path: path, Err: err}
}

// plainFolder is a store of plain files with their names in the repository.
type plainFolder struct {
	dir   string
	force bool // files with other contents are replaced
}

func (d *plainFolder) root() string       { return d.dir }
func (d *plainFolder) room() string       { return d.dir }
func (d *plainFolder) path(f File) string { return filepath.Join(d.dir, filepath.FromSlash(f.Name)) }
func (d *plainFolder) part(f File) string {
	return filepath.Join(d.dir, atomicfile.Prefix+f.Etag()+".incomplete")
}
func (d *plainFolder) lockFile(f File) string { return filepath.Join(d.dir, atomicfile.Prefix+"lock") }
func (d *plainFolder) finish(bool) error      { return nil }

// have compares the bytes, because nothing else shows where a plain file came from.
func (d *plainFolder) have(f File) (bool, error) {
	path := d.path(f)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, unwritten(path, err)
	case st.IsDir():
		return false, &atomicfile.Error{Path: path, Err: errors.New("is a folder")}
	}
	if st.Size() == f.Size && f.verify(path) == nil {
		return true, nil
	}
	if d.force {
		return false, nil
	}
	err = &atomicfile.Error{Path: path, Err: errors.New("the file exists already, with other contents")}
	return false, hint.With(err, "give another folder, or --force to replace it")
}

func (d *plainFolder) keep(f File) error {
	if err := makeDirs(filepath.Dir(d.path(f))); err != nil {
		return err
	}
	return atomicfile.Move(d.part(f), d.path(f))
}
