// Package sidefile reads the small files beside a model: configurations, tokenizers. A folder from elsewhere may hold
// anything, so a file is checked before it is opened: a pipe or a device could keep the reader waiting for ever, and a
// file of gigabytes would fill the memory.
package sidefile

import (
	"fmt"
	"io"
	"io/fs"
)

// Read returns the bytes of a regular file, or of what a symbolic link to one leads to. It refuses a file of more than most
// bytes. The error wraps [fs.ErrNotExist] where there is no such file.
func Read(fsys fs.FS, name string, most int64) ([]byte, error) {
	st, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a regular file, got a %s: replace it by the file that belongs to the model", name, kind(st.Mode()))
	}
	if st.Size() > most {
		return nil, tooLarge(name, most)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1)) // it may have grown since
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case int64(len(data)) > most:
		return nil, tooLarge(name, most)
	}
	return data, nil
}

func tooLarge(name string, most int64) error {
	return fmt.Errorf("%s: want at most %d bytes, got more: is this the file that belongs to the model?", name, most)
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
