package graph

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

// dataWriter collects the external data file of [Copy].
type dataWriter struct {
	path  string
	old   []string // data files of a replaced model, removed at the end
	spans []placed
	at    map[placeID]int64
	end   int64
	out   *atomicfile.File
}

type placed struct {
	span   Span
	offset int64
}

// placeID tells ranges of bytes apart, whatever names their file was found by.
type placeID struct {
	real           string
	offset, length int64
}

// newDataWriter picks the first free name of OUT.data, OUT.1.data, and so on: a model that is being replaced keeps its own
// data until it is gone itself. Then all others of these names go, those that killed runs left behind included. Data files
// that the model reads from are never touched.
func (m *Model) newDataWriter(path string, force bool) (*dataWriter, error) {
	d := &dataWriter{at: map[placeID]int64{}}
	for i := 0; d.path == ""; i++ {
		name := path + ".data"
		if i > 0 {
			name = fmt.Sprintf("%s.%d.data", path, i)
		}
		if _, err := os.Lstat(name); err != nil {
			d.path = name
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, writeError(path, err)
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		number, ok2 := strings.CutSuffix("."+number, ".data")
		name := filepath.Join(filepath.Dir(path), e.Name())
		if ok && ok2 && strings.Trim(number, ".0123456789") == "" && e.Type().IsRegular() && !m.owns(name) {
			d.old = append(d.old, name)
		}
	}
	if len(d.old) > 0 && !force {
		return nil, hintTaken(&atomicfile.Error{Path: d.old[0], Err: os.ErrExist})
	}
	return d, nil
}

// place gives each distinct range its offset; tied weights share one.
func (d *dataWriter) place(h hole) (string, int64, bool, error) {
	id := placeID{h.span.File.Real, h.span.Offset, h.span.Length}
	off, ok := d.at[id]
	if !ok {
		off = (d.end + align - 1) / align * align
		d.at[id], d.end = off, off+h.span.Length
		d.spans = append(d.spans, placed{h.span, off})
	}
	return filepath.Base(d.path), off, true, nil
}

// write copies the ranges into a temporary file; its Commit is the caller's.
func (d *dataWriter) write(ctx context.Context) error {
	var err error
	if d.out, err = atomicfile.Create(d.path, false); err != nil {
		return err
	}
	if err := d.copyAll(ctx); err != nil {
		d.out.Abort()
		return writeError(d.path, err)
	}
	return nil
}

// copyAll copies every range to its place.
func (d *dataWriter) copyAll(ctx context.Context) error {
	if err := d.out.Reserve(d.end); err != nil {
		return err
	}
	var from copier
	defer from.close()
	for _, p := range d.spans {
		if _, err := d.out.Seek(p.offset, io.SeekStart); err != nil {
			return err
		}
		if err := from.copy(ctx, d.out, p.span); err != nil {
			return err
		}
	}
	return nil
}

func (d *dataWriter) removeOld() {
	for _, path := range d.old {
		os.Remove(path)
	}
}
