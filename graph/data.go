package graph

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

// dataWriter collects the external data file of [Copy].
type dataWriter struct {
	path   string
	exists bool // the file already holds exactly these bytes
	spans  []placed
	at     map[placeID]int64
	end    int64
	out    *atomicfile.File
}

type placed struct {
	span   Span
	offset int64
}

// placeID identifies a range of bytes, whatever name its file was opened by.
type placeID struct {
	real           string
	offset, length int64
}

// newDataWriter gives each payload of a skeleton its place in a data file for the model at path. The data file gets the
// first free name of OUT.data, OUT.1.data and so on, because a model that is being replaced keeps its own data until it is
// removed. An existing file of such a name that already holds exactly these bytes is used as it is, so that repeating a
// save gives the same files.
func (m *Model) newDataWriter(skeleton []byte, path string, force bool) (*dataWriter, error) {
	d := &dataWriter{at: map[placeID]int64{}}
	eachHole(kModel, skeleton, func(i uint64) {
		if h := m.holes[i]; h.external() {
			d.add(h)
		}
	})
	existing, err := m.dataNames(path)
	if err != nil {
		return nil, writeError(path, err)
	}
	if len(existing) > 0 && !force {
		return nil, hintTaken(&atomicfile.Error{Path: existing[0], Err: os.ErrExist})
	}
	if i := slices.IndexFunc(existing, d.same); i >= 0 {
		d.path, d.exists = existing[i], true
		return d, nil
	}
	for i := 0; ; i++ {
		d.path = path + ".data"
		if i > 0 {
			d.path = fmt.Sprintf("%s.%d.data", path, i)
		}
		if _, err := os.Lstat(d.path); err != nil {
			return d, nil
		}
	}
}

// dataNames lists the files next to a model that have the names of its data files, except those that m reads from.
func (m *Model) dataNames(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		name := filepath.Join(filepath.Dir(path), e.Name())
		if isDataName(e.Name(), path) && e.Type().IsRegular() && !m.owns(name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// isDataName reports whether [Copy] could give this name to a data file of the model at path.
func isDataName(name, path string) bool {
	number, ok := strings.CutPrefix(name, filepath.Base(path)+".")
	number, ok2 := strings.CutSuffix("."+number, ".data")
	return ok && ok2 && strings.Trim(number, ".0123456789") == ""
}

// leftBehind returns the data files that become unused when m replaces the model at path: files that the old model names,
// whose names [Copy] made, and that neither m nor another model of the folder reads. If path holds no model, there are
// none.
func (m *Model) leftBehind(path string) []string {
	names, err := m.dataNames(path)
	if err != nil || len(names) == 0 {
		return nil
	}
	named, err := Locations(path)
	if err != nil {
		return nil
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(named, filepath.Base(name)) })
	if len(names) == 0 {
		return nil
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.Name() == filepath.Base(path) || !e.Type().IsRegular() || isDataName(e.Name(), path) {
			continue
		}
		named, err := Locations(filepath.Join(filepath.Dir(path), e.Name()))
		if err != nil {
			continue // not a model
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(named, filepath.Base(name)) })
	}
	return names
}

// add assigns a place to a range. Equal ranges share one place, because tied weights are stored once.
func (d *dataWriter) add(h hole) {
	id := placeID{h.span.File.Real, h.span.Offset, h.span.Length}
	if _, ok := d.at[id]; !ok {
		off := (d.end + align - 1) / align * align
		d.at[id], d.end = off, off+h.span.Length
		d.spans = append(d.spans, placed{h.span, off})
	}
}

// place returns the location and offset of a payload.
func (d *dataWriter) place(h hole) (string, int64, bool, error) {
	return filepath.Base(d.path), d.at[placeID{h.span.File.Real, h.span.Offset, h.span.Length}], true, nil
}

// same reports whether a file already holds the bytes that would be written.
func (d *dataWriter) same(path string) bool {
	f, err := openDataFile(path)
	if err != nil {
		return false
	}
	defer f.close()
	if f.Size != d.end {
		return false
	}
	want, got := make([]byte, window), make([]byte, window)
	for _, p := range d.spans {
		old := Span{f, p.offset, p.span.Length}
		for at := int64(0); at < p.span.Length; at += window {
			n := min(window, p.span.Length-at)
			if _, err := p.span.ReadAt(want[:n], at); err != nil {
				return false
			}
			if _, err := old.ReadAt(got[:n], at); err != nil || !bytes.Equal(want[:n], got[:n]) {
				return false
			}
		}
	}
	return true
}

// write copies the ranges into a temporary file. The caller commits it.
func (d *dataWriter) write(ctx context.Context) error {
	var err error
	if d.out, err = atomicfile.Create(d.path, false); err != nil {
		return err
	}
	if err := d.copyAll(ctx); err != nil {
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
