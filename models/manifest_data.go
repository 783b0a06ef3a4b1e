package models

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// ManifestData identifies a file that weights are read from by reference, as it was when the model was patched. Another
// export under the same name would silently give other numbers. The two samples differ in what they miss and cost: see
// [graph.DataFile.Sample] and [graph.Model.SampleTensors].
type ManifestData struct {
	File    string `json:"file"` // its path relative to the patched file's folder, with slashes
	Bytes   int64  `json:"bytes"`
	Sample  string `json:"sample"`            // all that earlier versions of this program wrote and read
	Tensors string `json:"tensors,omitempty"` // a sample of every tensor; "" in files of earlier versions
	SHA256  string `json:"sha256,omitempty"`  // of the whole file, if it is small or the caller asked for it
}

// DataOf describes the files in or below a folder that a model was read from. dir is absolute, with symbolic links
// resolved. With whole, it reads every byte of large files too, so that any change can be found later.
func DataOf(ctx context.Context, m *graph.Model, dir string, whole bool) ([]ManifestData, error) {
	var out []ManifestData
	for _, f := range m.Sources() {
		name, ok := below(dir, f)
		if !ok {
			continue
		}
		d := ManifestData{File: name, Bytes: f.Size}
		var err error
		if d.Sample, err = f.Sample(); err == nil {
			d.Tensors, err = m.SampleTensors(f)
		}
		if err == nil && (whole || f.Small()) {
			d.SHA256, err = f.SHA256(ctx)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// holds compares a file with its description. With whole, it reads a large file too if the description has a checksum of all
// of it; covered reports whether every byte was compared.
func (d *ManifestData) holds(ctx context.Context, m *graph.Model, f *graph.DataFile, whole bool) (same, covered bool, err error) {
	switch {
	case f.Size != d.Bytes:
		return false, true, nil
	case d.SHA256 != "" && (whole || f.Small()):
		sum, err := f.SHA256(ctx)
		return sum == d.SHA256, true, err
	case d.Tensors != "":
		sample, err := m.SampleTensors(f)
		return sample == d.Tensors, false, err
	}
	sample, err := f.Sample()
	return sample == d.Sample, false, err
}

// below returns the path of a file relative to a folder, with slashes. ok is false if the file is not in or below the
// folder.
func below(dir string, f *graph.DataFile) (name string, ok bool) {
	name, err := filepath.Rel(dir, f.Real)
	return filepath.ToSlash(name), err == nil && filepath.IsLocal(name)
}

// unchanged checks that the files that hold a model's weights are those that it was made from, as far as a sample shows.
func (m *Manifest) unchanged(g *graph.Model) error {
	_, err := m.CheckData(context.Background(), g, false)
	return err
}

// CheckData checks that the files that hold the weights of a patched model are those that it was made from. Without whole,
// it compares samples of files above 16 MiB. With whole, it reads all of every file whose checksum is known, and returns the
// files for which only a sample is.
func (m *Manifest) CheckData(ctx context.Context, g *graph.Model, whole bool) (sampled []string, err error) {
	if len(m.Data) == 0 || g.Path() == "" {
		return nil, nil
	}
	for _, f := range g.Sources()[1:] { // its own file comes first
		name, err := filepath.Rel(filepath.Dir(g.Path()), f.Path) // as written in the file, with links not resolved
		if err != nil {
			return nil, err
		}
		name = filepath.ToSlash(name)
		i := slices.IndexFunc(m.Data, func(d ManifestData) bool { return d.File == name })
		if i < 0 {
			return nil, hint.With(fmt.Errorf("it refers to %s, which it does not list", f.Path), "the file was changed by another program: patch the original again")
		}
		same, covered, err := m.Data[i].holds(ctx, g, f, whole)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, hint.With(fmt.Errorf("the weights in %s have changed since the file was patched", f.Path), "patch the model again, from the current weights")
		}
		if !covered {
			sampled = append(sampled, f.Path)
		}
	}
	return sampled, nil
}
