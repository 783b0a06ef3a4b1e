package graph

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/atomicfile"
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
		return nil, Hint(&atomicfile.Error{Path: d.old[0], Err: os.ErrExist}, "give another name, or --force to replace it")
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

// stretch is how many bytes are copied before they start on their way to the disk.
const stretch = 8 << 20

// write copies the ranges into a temporary file; its Commit is the caller's. What has been copied is written to disk while the
// rest is still being copied: waiting for the disk would take as long again.
func (d *dataWriter) write() error {
	var err error
	if d.out, err = atomicfile.Create(d.path, false); err != nil {
		return err
	}
	copied := make(chan int64, d.end/stretch+1) // ends of stretches; never full
	written := make(chan struct{})
	go func() {
		defer close(written)
		from := int64(0)
		for to := range copied {
			d.out.WriteBack(from, to-from)
			from = to
		}
	}()
	err = d.copyAll(copied)
	close(copied)
	<-written
	if err != nil {
		d.out.Abort()
		return writeError(d.path, err)
	}
	return nil
}

// copyAll copies every range to its place, and tells of every stretch that is done.
func (d *dataWriter) copyAll(copied chan<- int64) error {
	if err := d.out.Reserve(d.end); err != nil {
		return err
	}
	from := copier{}
	defer from.close()
	told := int64(0)
	for _, p := range d.spans {
		if _, err := d.out.Seek(p.offset, io.SeekStart); err != nil {
			return err
		}
		for rest := p.span; rest.Length > 0; {
			part := rest
			part.Length = min(rest.Length, stretch)
			if err := from.copy(d.out.File, part); err != nil {
				return err
			}
			rest.Offset, rest.Length = rest.Offset+part.Length, rest.Length-part.Length
			if at := p.offset + p.span.Length - rest.Length; at-told >= stretch {
				copied <- at
				told = at
			}
		}
	}
	return nil
}

func (d *dataWriter) removeOld() {
	for _, path := range d.old {
		os.Remove(path)
	}
}
