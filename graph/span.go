package graph

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
)

// DataFile is a file that holds weights: a model file or one of its external data files.
type DataFile struct {
	Path string // as given, for messages
	Real string // absolute, symbolic links resolved
	Size int64
	f    *os.File

	links    uint64      // number of hard links; 0 if the system does not report it
	declared string      // its SHA-1 in hexadecimal as the model declares it, "" for none
	checked  atomic.Bool // the file has that checksum
}

// close closes the file. A DataFile of a text model or of [Locations] was never open.
func (f *DataFile) close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}

// readAt reads like io.ReaderAt.
func (f *DataFile) readAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	return n, sayClosed(err)
}

// sayClosed replaces the error of a closed file with one that explains it.
func sayClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return errors.New("the model is closed: read its weights before closing it")
	}
	return err
}

func openDataFile(path string) (*DataFile, error) {
	real, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if st, err := os.Stat(real); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() { // checked before opening, because opening a pipe waits for a writer
		return nil, fmt.Errorf("not a regular file")
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, err
	}
	return newDataFile(path, real, f)
}

// openUnder opens a file of a folder. real is its resolved path. A link that is created after that check is not followed
// out of the folder.
func openUnder(dir, real, path string) (*DataFile, error) {
	rel, err := filepath.Rel(dir, real)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if st, err := root.Stat(rel); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file")
	}
	f, err := root.Open(rel)
	if err != nil {
		return nil, err
	}
	return newDataFile(path, real, f)
}

// newDataFile takes ownership of an open file, which must be a regular one and not what a failed download leaves.
func newDataFile(path, real string, f *os.File) (*DataFile, error) {
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	if !st.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("not a regular file")
	}
	if err := sidefile.Downloaded(path, f); err != nil {
		f.Close()
		return nil, err
	}
	return &DataFile{Path: path, Real: real, Size: st.Size(), f: f, links: links(st)}, nil
}

// Span is a range of bytes in a file. A range is checked against the file's size before its Span is made.
type Span struct {
	File   *DataFile
	Offset int64
	Length int64
}

// overlaps refuses two ranges of external data that share some of their bytes, which is most likely a wrong offset. Two
// equal ranges are valid: tied weights are stored that way.
func (s *skeleton) overlaps() error {
	var spans []Span
	for _, h := range s.holes {
		if h.field == 13 && h.span.Length > 0 {
			spans = append(spans, h.span)
		}
	}
	slices.SortFunc(spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.File.Real, b.File.Real), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length))
	})
	for i := 1; i < len(spans); i++ {
		a, b := spans[i-1], spans[i]
		if a.File.Real == b.File.Real && b.Offset < a.Offset+a.Length && (a.Offset != b.Offset || a.Length != b.Length) {
			return fmt.Errorf("external data %v and %v share bytes", a, b)
		}
	}
	return nil
}

func (s Span) String() string { return fmt.Sprintf("%s[%d:+%d]", s.File.Path, s.Offset, s.Length) }

// ReadAt reads len(p) bytes starting at off within the span.
func (s Span) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.Length || int64(len(p)) > s.Length-off {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := s.File.readAt(p, s.Offset+off)
	if n == len(p) {
		err = nil
	}
	return n, err
}
