// Package sidefile opens every file that is not a model itself: configurations and tokenizers beside it, tables of prompts,
// vectors, results. A folder from elsewhere may hold anything, so a file is checked before it is opened: a pipe or a device
// could keep the reader waiting for ever, and a file of gigabytes would fill the memory.
package sidefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Read returns the bytes of a regular file, or of what a symbolic link to one leads to. It refuses a file of more than most
// bytes. The error wraps [fs.ErrNotExist] where there is no such file.
func Read(fsys fs.FS, name string, most int64) ([]byte, error) {
	st, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if err := check(name, st, most); err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readAll(name, f, most)
	if err != nil {
		return nil, err
	}
	return data, downloaded(name, bytes.NewReader(data))
}

// ReadFile is [Read] for a path.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(path, f, most)
}

// Open opens a regular file of at most most bytes for reading, or what a symbolic link to one leads to. The error wraps
// [fs.ErrNotExist] where there is no such file.
func Open(path string, most int64) (*os.File, error) {
	f, err := open(path, most, 0)
	if err != nil {
		return nil, err
	}
	if err := downloaded(path, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenOwn is [Open] for a file of a folder that only this program writes to: a symbolic link is refused.
func OpenOwn(path string, most int64) (*os.File, error) {
	if err := Plain(path); err != nil {
		return nil, err
	}
	return open(path, most, NoFollow)
}

// Plain refuses a path that is there and is not a regular file itself, such as a symbolic link.
func Plain(path string) error {
	st, err := os.Lstat(path)
	switch {
	case err != nil || st.Mode().IsRegular():
		return nil // a missing file is for the caller
	case st.Mode()&fs.ModeSymlink != 0:
		to, _ := os.Readlink(path)
		return unfit(path, "want a file, got a symbolic link to %q: remove the link", to)
	}
	return check(path, st, 0)
}

func open(path string, most int64, flags int) (*os.File, error) {
	st, err := os.Stat(path) // first, because to open a device may already do something
	if p, ok := err.(*fs.PathError); ok {
		p.Op = "open"
	}
	if err != nil {
		return nil, err
	}
	if err := check(path, st, most); err != nil {
		return nil, err
	}
	// Another file may have the name by now. If it is a pipe, this does not wait.
	f, err := os.OpenFile(path, os.O_RDONLY|noWait|flags, 0)
	if err != nil {
		return nil, err
	}
	if st, err = f.Stat(); err == nil {
		err = check(path, st, most)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func check(name string, st fs.FileInfo, most int64) error {
	switch {
	case !st.Mode().IsRegular():
		return unfit(name, "want a regular file, got a %s: replace it", kind(st.Mode()))
	case st.Size() > most:
		return tooLarge(name, most)
	}
	return nil
}

func readAll(name string, r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1)) // it may have grown since
	var p *fs.PathError
	switch {
	case errors.As(err, &p):
		return nil, err // names the file
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case int64(len(data)) > most:
		return nil, tooLarge(name, most)
	}
	return data, nil
}

func tooLarge(name string, most int64) error {
	return unfit(name, "want at most %s, got more: is this the right file?", size(most))
}

// unfit is an error like those of package os, so that callers that name the file themselves can strip its name.
func unfit(name, format string, args ...any) error {
	return &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf(format, args...)}
}

// size writes a limit for people.
func size(n int64) string {
	for _, unit := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return fmt.Sprintf("%d %s", n/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
