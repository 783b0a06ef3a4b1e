package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Weights selects where the large tensors of a saved model are stored.
type Weights string

const (
	// Auto is Ref when the output is in the weights' real folder, else Embed below 1 GiB, else Copy.
	Auto Weights = "auto"
	// Ref writes only the graph and points into the original's bytes. The file must stay in its folder, and so must the
	// original.
	Ref Weights = "ref"
	// Copy writes one external data file next to the model, with each tensor aligned to 4 KiB.
	Copy Weights = "copy"
	// Embed writes one self-contained file. protobuf limits it to 2 GiB.
	Embed Weights = "embed"
)

// WeightsModes lists the modes in the order of the help texts.
var WeightsModes = []Weights{Auto, Ref, Copy, Embed}

const (
	embedAuto = 1 << 30
	align     = 4096
)

// Saved reports what [Save] wrote.
type Saved struct {
	Path    string   `json:"path"`
	Bytes   int64    `json:"bytes"`
	Weights Weights  `json:"weights"`           // the mode used: never Auto
	Data    string   `json:"data,omitempty"`    // external data file of Copy
	Removed []string `json:"removed,omitempty"` // removed data files of the replaced model
}

// Save writes the model to path. The file appears complete or not at all. Without force, nothing is ever replaced. The
// model's own file and its data files are always refused as targets. The same model gives the same bytes. When ctx ends
// before the file has its name, everything is left as it was, and the error wraps the context's cause.
//
// A replaced model may leave data files. Save removes those that [Copy] named for it and that no other model of the
// folder reads. It never removes any other file.
func Save(ctx context.Context, m *Model, path string, w Weights, force bool) (*Saved, error) {
	if err := m.refuseOwnFiles(path); err != nil {
		return nil, err
	}
	dir, err := resolve(filepath.Dir(path))
	if err != nil {
		return nil, &atomicfile.Error{Path: path, Err: fmt.Errorf("folder %s does not exist", filepath.Dir(path))}
	}
	if w == Auto {
		w = m.autoWeights(dir)
	}
	s := &saving{model: m, saved: &Saved{Path: path, Weights: w}}
	if s.out, err = atomicfile.Create(path, force); err != nil {
		return nil, hintTaken(err)
	}
	defer s.abort()
	if err := s.arrange(dir, force); err != nil {
		return nil, err
	}
	if err := s.write(ctx); err != nil {
		return nil, err
	}
	if err := s.commit(ctx); err != nil {
		return nil, err
	}
	return s.saved, nil
}

// saving is the state of one save.
type saving struct {
	model *Model
	saved *Saved
	plan  *plan
	out   *atomicfile.File
	data  *dataWriter // nil if no data file is needed
}

// abort drops the files that do not have their final names yet.
func (s *saving) abort() {
	s.out.Abort()
	if s.data != nil && s.data.out != nil {
		s.data.out.Abort()
	}
}

// arrange decides where every byte is stored. dir is the real folder of the model file.
func (s *saving) arrange(dir string, force bool) error {
	skeleton := s.model.encode()
	var place func(hole) (string, int64, bool, error)
	switch s.saved.Weights {
	case Ref:
		place = refTo(dir)
	case Embed:
		place = func(hole) (string, int64, bool, error) { return "", 0, false, nil }
	case Copy:
		data, err := s.model.newDataWriter(skeleton, s.saved.Path, force)
		if err != nil {
			return err
		}
		place = data.place
		if len(data.spans) > 0 {
			s.saved.Data = data.path
		}
		if len(data.spans) > 0 && !data.exists {
			s.data = data
		}
	default:
		return fmt.Errorf("weights mode %q, want auto, ref, copy or embed", s.saved.Weights)
	}
	var err error
	if s.plan, err = (&filler{s.model.holes, place}).message(kModel, skeleton); err != nil {
		return err
	}
	if s.saved.Bytes = s.plan.size; s.plan.size > maxMessageSize {
		return hint.With(fmt.Errorf("write %s: %d bytes in one file, protobuf allows 2 GiB", s.saved.Path, s.plan.size), "use --weights copy, or --weights ref in the original's folder")
	}
	return nil
}

// write writes the files and flushes them to the disk. This is the long part of a save.
func (s *saving) write(ctx context.Context) error {
	if s.data != nil {
		if err := s.data.write(ctx); err != nil {
			return err
		}
	}
	if s.saved.Weights == Embed {
		if err := s.out.Reserve(s.plan.size); err != nil {
			return writeError(s.saved.Path, err)
		}
	}
	if err := s.plan.writeTo(ctx, s.out); err != nil {
		return writeError(s.saved.Path, err)
	}
	if s.data != nil {
		if err := s.data.out.Sync(); err != nil {
			return err
		}
	}
	return s.out.Sync()
}

// commit gives the files their names and then removes the unused data files of the replaced model. The data file comes
// first, so that a model never exists without its weights. Its name is new, so the replaced model keeps its own data until
// then.
func (s *saving) commit(ctx context.Context) error {
	if ctx.Err() != nil { // a cancelled save must not name any file
		return writeError(s.saved.Path, context.Cause(ctx))
	}
	old := s.model.leftBehind(s.saved.Path)
	if s.data != nil {
		if err := s.data.out.Commit(); err != nil {
			return err
		}
	}
	if err := s.out.Commit(); err != nil {
		if s.data != nil {
			os.Remove(s.data.path)
		}
		return hintTaken(err)
	}
	for _, path := range old {
		if path != s.saved.Data && os.Remove(path) == nil {
			s.saved.Removed = append(s.saved.Removed, path)
		}
	}
	return nil
}

// Marshal returns the model as bytes that refer to the weights by location relative to dir, which is the folder of all
// weights. Pass both to a host that can load a model from memory.
func Marshal(m *Model) (data []byte, dir string, err error) {
	dir = m.weightsDir()
	p, err := (&filler{m.holes, refTo(dir)}).message(kModel, m.encode())
	if err != nil {
		return nil, "", err
	}
	var buf bytes.Buffer
	buf.Grow(int(p.size))
	if err := p.writeTo(context.Background(), &buf); err != nil {
		return nil, "", err
	}
	return buf.Bytes(), dir, nil
}

// Files returns the files that hold the model's large tensors, each once.
func (m *Model) Files() []*DataFile {
	var out []*DataFile
	seen := map[string]bool{}
	for _, h := range m.weights() {
		if f := h.span.File; f != nil && !seen[f.Real] {
			seen[f.Real] = true
			out = append(out, f)
		}
	}
	return out
}

// WeightBytes returns the total size of the model's large tensors in bytes.
func (m *Model) WeightBytes() int64 {
	var n int64
	for _, h := range m.weights() {
		n += h.span.Length
	}
	return n
}

// weights returns the holes that the model still has. An edit may have dropped some.
func (m *Model) weights() []hole {
	if m.whole {
		return m.holes
	}
	var out []hole
	seen := map[uint64]bool{}
	eachHole(kModel, m.encode(), func(i uint64) {
		if !seen[i] {
			seen[i] = true
			out = append(out, m.holes[i])
		}
	})
	return out
}

// eachHole calls f for every hole in a message of the skeleton.
func eachHole(k kind, b []byte, f func(number uint64)) {
	if !mayHaveHoles(b) {
		return
	}
	_ = fields(b, func(num protowire.Number, _, body []byte) error {
		switch child := k.field(num).child; {
		case k == kTensor && num == holeField:
			i, _ := protowire.ConsumeVarint(body)
			f(i)
		case child.holdsTensors():
			eachHole(child, body, f)
		}
		return nil
	})
}

// weightsDir returns the real folder of the weights: that of the first data file, else that of the model.
func (m *Model) weightsDir() string {
	elsewhere := func(h hole) bool { return h.span.File != m.file }
	if m.file != nil && !slices.ContainsFunc(m.holes, elsewhere) { // whether or not an edit dropped some
		return filepath.Dir(m.file.Real)
	}
	for _, f := range m.Files() {
		if m.file == nil || f.Real != m.file.Real {
			// A data file may be in a folder below the model's.
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

// refTo places payloads where they are already stored, with locations relative to dir.
func refTo(dir string) func(hole) (string, int64, bool, error) {
	names := map[*DataFile]string{}
	return func(h hole) (string, int64, bool, error) {
		f := h.span.File
		if names[f] == "" {
			rel, err := filepath.Rel(dir, f.Real)
			if err != nil || !filepath.IsLocal(rel) {
				return "", 0, false, hint.With(fmt.Errorf("the weights are in %s, outside %s: a reference cannot leave the folder", f.Real, dir),
					"write into the weights' folder, or use --weights copy or embed")
			}
			names[f] = rel
		}
		return names[f], h.span.Offset, true, nil
	}
}

// refuseOwnFiles refuses to overwrite a file that the model is read from, under any name.
func (m *Model) refuseOwnFiles(path string) error {
	if m.owns(path) {
		return hint.With(&atomicfile.Error{Path: path, Err: errors.New("this is the input file")}, "give the output another name")
	}
	return nil
}

// owns reports whether path is the model's file or one of its data files, including those that an edit no longer needs.
func (m *Model) owns(path string) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false // does not exist
	}
	return slices.ContainsFunc(m.Sources(), func(f *DataFile) bool {
		own, err := os.Stat(f.Real)
		return err == nil && os.SameFile(st, own)
	})
}

// Sources returns every file that was read to make the model, including those that an edit no longer needs.
func (m *Model) Sources() []*DataFile {
	var out []*DataFile
	seen := map[*DataFile]bool{nil: true}
	add := func(f *DataFile) {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	add(m.file)
	for _, h := range m.holes {
		add(h.span.File)
	}
	return out
}

// hintTaken adds advice to an error about a name that is already taken. Other errors are returned unchanged.
func hintTaken(err error) error {
	if errors.Is(err, os.ErrExist) {
		return hint.With(err, "give another name, or --force to replace it")
	}
	return err
}

// writeError describes a failed write by its target, without the temporary file's name.
func writeError(path string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &atomicfile.Error{Path: path, Err: err}
}

// WeightsFor returns the mode that [Save] uses for path: w itself unless it is [Auto].
func WeightsFor(m *Model, path string, w Weights) Weights {
	if w != Auto {
		return w
	}
	dir, err := resolve(filepath.Dir(path))
	if err != nil {
		return Embed
	}
	return m.autoWeights(dir)
}
