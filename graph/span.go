package graph

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// DataFile is a file that weights lie in: a model file itself or one of its external data files.
type DataFile struct {
	Path string // as found, for messages
	Real string // absolute, symbolic links resolved
	Size int64
	f    *os.File
}

func openDataFile(path string) (*DataFile, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if real, err = filepath.Abs(real); err != nil {
		return nil, err
	}
	if st, err := os.Stat(real); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() { // looked at before opening: opening a pipe would wait for a writer
		return nil, fmt.Errorf("not a regular file")
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !st.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("not a regular file")
	}
	return &DataFile{Path: path, Real: real, Size: st.Size(), f: f}, nil
}

// Span is a range of bytes in a file. Ranges are checked against the file's size before a Span is made.
type Span struct {
	File   *DataFile
	Offset int64
	Length int64
}

func (s Span) String() string { return fmt.Sprintf("%s[%d:+%d]", s.File.Path, s.Offset, s.Length) }

// ReadAt reads len(p) bytes starting at off within the span.
func (s Span) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.Length || int64(len(p)) > s.Length-off {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := s.File.f.ReadAt(p, s.Offset+off)
	if n == len(p) {
		err = nil
	}
	return n, err
}

// copyTo streams the span into w. Between two files Go uses copy_file_range where the system has it.
func (s Span) copyTo(w io.Writer) error {
	// A second handle: the seek position of the shared one must not be fought over.
	f, err := os.Open(s.File.Real)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(s.Offset, io.SeekStart); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, s.Length)
	return err
}
