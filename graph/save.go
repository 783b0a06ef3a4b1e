package graph

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph/atomicfile"
)

// Weights says where the large tensors of a saved model lie.
type Weights string

const (
	// Auto is Ref when the output lies in the weights' real folder, else Embed under 1 GiB, else Copy.
	Auto Weights = "auto"
	// Ref writes the graph only and points into the original's bytes. The file must stay in its folder, and the original too.
	Ref Weights = "ref"
	// Copy writes one external data file beside the model, each tensor aligned to 4 KiB.
	Copy Weights = "copy"
	// Embed writes one self-contained file. protobuf limits it to 2 GiB.
	Embed Weights = "embed"
)

// WeightsModes lists the modes in the order help texts show them.
var WeightsModes = []Weights{Auto, Ref, Copy, Embed}

const (
	embedAuto = 1 << 30
	align     = 4096
)

// Saved tells what [Save] wrote.
type Saved struct {
	Path    string  `json:"path"`
	Bytes   int64   `json:"bytes"`
	Weights Weights `json:"weights"`        // the mode taken: never Auto
	Data    string  `json:"data,omitempty"` // external data file written by Copy
}

// Save writes the model to path. The file appears whole or not at all, and without force nothing is ever replaced; the
// model's own file and its data files are refused as targets in any case. The same model gives the same bytes.
func Save(m *Model, path string, w Weights, force bool) (*Saved, error) {
	if err := m.refuseOwnFiles(path); err != nil {
		return nil, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return nil, &atomicfile.Error{Path: path, Err: fmt.Errorf("folder %s does not exist", filepath.Dir(path))}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if w == Auto {
		w = m.autoWeights(dir)
	}
	out, err := atomicfile.Create(path, force)
	if err != nil {
		return nil, Hint(err, "give another name, or --force to replace it")
	}
	defer out.Abort()
	saved := &Saved{Path: path, Weights: w}
	var data *dataWriter
	var place func(hole) (string, int64, bool, error)
	switch w {
	case Ref:
		place = refTo(dir)
	case Embed:
		place = func(hole) (string, int64, bool, error) { return "", 0, false, nil }
	case Copy:
		data = newDataWriter(path)
		place = data.place
	default:
		return nil, fmt.Errorf("weights mode %q, want auto, ref, copy or embed", w)
	}
	p, err := (&filler{m.holes, place}).message(kModel, m.encode())
	if err != nil {
		return nil, err
	}
	if p.size > maxMessageSize {
		return nil, Hint(fmt.Errorf("write %s: %d bytes in one file, protobuf allows 2 GiB", path, p.size), "use --weights copy, or --weights ref in the original's folder")
	}
	if data != nil && len(data.spans) > 0 {
		saved.Data = data.path
		if err := data.write(force); err != nil {
			return nil, err
		}
		defer data.Abort()
	}
	if err := p.writeTo(out.File); err != nil {
		return nil, writeError(path, err)
	}
	if data != nil && data.out != nil {
		// The data file first: a model never stands without its weights. Its name is new, so that a replaced model keeps
		// its own data until the rename.
		if err := data.out.Commit(); err != nil {
			return nil, err
		}
	}
	if err := out.Commit(); err != nil {
		if data != nil && data.out != nil {
			os.Remove(data.path)
		}
		return nil, Hint(err, "give another name, or --force to replace it")
	}
	if data != nil {
		data.removeOld()
	}
	saved.Bytes = p.size
	return saved, nil
}

// Marshal returns the model as bytes that refer to the weights by location relative to dir: hand both to a host that can
// load a model from memory. dir is the folder all weights lie in.
func Marshal(m *Model) (data []byte, dir string, err error) {
	dir = m.weightsDir()
	p, err := (&filler{m.holes, refTo(dir)}).message(kModel, m.encode())
	if err != nil {
		return nil, "", err
	}
	var buf bytes.Buffer
	buf.Grow(int(p.size))
	if err := p.writeTo(&buf); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), dir, nil
}

// Files returns the files the model's large tensors lie in, each once.
func (m *Model) Files() []*DataFile {
	var out []*DataFile
	seen := map[string]bool{}
	for _, h := range m.holes {
		if f := h.span.File; f != nil && !seen[f.Real] {
			seen[f.Real] = true
			out = append(out, f)
		}
	}
	return out
}

// WeightBytes returns how many bytes of the model lie in large tensors.
func (m *Model) WeightBytes() int64 {
	var n int64
	for _, h := range m.holes {
		n += h.span.Length
	}
	return n
}

// weightsDir is the real folder of the weights: of the first data file, else of the model.
func (m *Model) weightsDir() string {
	for _, f := range m.Files() {
		if m.file == nil || f.Real != m.file.Real {
			// A data file may lie in a folder below the model's.
			if m.file != nil && under(f.Real, filepath.Dir(m.file.Real)) {
				return filepath.Dir(m.file.Real)
			}
			return filepath.Dir(f.Real)
		}
	}
	if m.file != nil {
		return filepath.Dir(m.file.Real)
	}
	return ""
}

func (m *Model) autoWeights(dir string) Weights {
	switch {
	case m.file != nil && dir == m.weightsDir():
		return Ref
	case m.WeightBytes() < embedAuto:
		return Embed
	}
	return Copy
}

// refTo places payloads where they lie already, named from dir.
func refTo(dir string) func(hole) (string, int64, bool, error) {
	return func(h hole) (string, int64, bool, error) {
		rel, err := filepath.Rel(dir, h.span.File.Real)
		if err != nil || !filepath.IsLocal(rel) {
			return "", 0, false, Hint(fmt.Errorf("weights lie in %s, outside %s: a reference cannot leave the folder", h.span.File.Real, dir),
				"write into the weights' folder, or use --weights copy or embed")
		}
		return rel, h.span.Offset, true, nil
	}
}

func (m *Model) refuseOwnFiles(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return nil // does not exist
	}
	files := m.Files()
	if m.file != nil {
		files = append(files, m.file)
	}
	for _, f := range files {
		if own, err := os.Stat(f.Real); err == nil && os.SameFile(st, own) {
			return Hint(&atomicfile.Error{Path: path, Err: errors.New("that is the input itself")}, "give the output another name")
		}
	}
	return nil
}

// dataWriter collects the external data file of Copy.
type dataWriter struct {
	path  string
	old   string // data file of a replaced model, removed at the end
	spans []placed
	at    map[string]int64
	end   int64
	out   *atomicfile.File
}

type placed struct {
	span   Span
	offset int64
}

// newDataWriter picks the name OUT.data, or OUT.1.data when a model that is being replaced uses the first.
func newDataWriter(path string) *dataWriter {
	d := &dataWriter{path: path + ".data", at: map[string]int64{}}
	other := path + ".1.data"
	if exists(d.path) {
		d.path, d.old = other, d.path
	} else if exists(other) {
		d.old = other
	}
	return d
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// place gives each distinct range its offset; tied weights share one.
func (d *dataWriter) place(h hole) (string, int64, bool, error) {
	id := fmt.Sprint(h.span.File.Real, " ", h.span.Offset, " ", h.span.Length)
	off, ok := d.at[id]
	if !ok {
		off = (d.end + align - 1) / align * align
		d.at[id], d.end = off, off+h.span.Length
		d.spans = append(d.spans, placed{h.span, off})
	}
	return filepath.Base(d.path), off, true, nil
}

func (d *dataWriter) write(force bool) error {
	if d.old != "" && !force {
		return Hint(&atomicfile.Error{Path: d.old, Err: os.ErrExist}, "give another name, or --force to replace it")
	}
	var err error
	if d.out, err = atomicfile.Create(d.path, force); err != nil {
		return err
	}
	for _, s := range d.spans {
		_, err := d.out.Seek(s.offset, io.SeekStart)
		if err == nil {
			err = s.span.copyTo(d.out.File)
		}
		if err != nil {
			d.out.Abort()
			return writeError(d.path, err)
		}
	}
	return nil
}

func (d *dataWriter) Abort() { d.out.Abort() }

func (d *dataWriter) removeOld() {
	if d.old != "" {
		os.Remove(d.old)
	}
}

// writeError names the target of a failed write without the temporary file's name.
func writeError(path string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &atomicfile.Error{Path: path, Err: err}
}

// WeightsFor returns the mode that [Save] would take for path: w itself unless it is [Auto].
func WeightsFor(m *Model, path string, w Weights) Weights {
	if w != Auto {
		return w
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return Embed
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Embed
	}
	return m.autoWeights(dir)
}
