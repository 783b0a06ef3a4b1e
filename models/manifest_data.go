package models

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// ManifestData identifies a file that weights are read from by reference, as it was when the model was patched. Another
// export under the same name would silently give other numbers. The sample (see [graph.DataFile.Sample]) detects this.
type ManifestData struct {
	File   string `json:"file"` // its path relative to the patched file's folder, with slashes
	Bytes  int64  `json:"bytes"`
	Sample string `json:"sample"`
}

// DataOf describes the files in or below a folder that a model was read from. dir is absolute, with symbolic links
// resolved.
func DataOf(m *graph.Model, dir string) ([]ManifestData, error) {
	var out []ManifestData
	for _, f := range m.Sources() {
		name, ok := below(dir, f)
		if !ok {
			continue
		}
		sample, err := f.Sample()
		if err != nil {
			return nil, err
		}
		out = append(out, ManifestData{name, f.Size, sample})
	}
	return out, nil
}

// below returns the path of a file relative to a folder, with slashes. ok is false if the file is not in or below the
// folder.
func below(dir string, f *graph.DataFile) (name string, ok bool) {
	name, err := filepath.Rel(dir, f.Real)
	return filepath.ToSlash(name), err == nil && filepath.IsLocal(name)
}

// unchanged checks that the files that hold a model's weights are those that it was made from.
func (m *Manifest) unchanged(g *graph.Model) error {
	if len(m.Data) == 0 || g.Path() == "" {
		return nil
	}
	for _, f := range g.Sources()[1:] { // its own file comes first
		name, err := filepath.Rel(filepath.Dir(g.Path()), f.Path) // as written in the file, with links not resolved
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		i := slices.IndexFunc(m.Data, func(d ManifestData) bool { return d.File == name })
		if i < 0 {
			return hint.With(fmt.Errorf("it refers to %s, which it does not list", f.Path), "the file was changed by another program: patch the original again")
		}
		if sample, err := f.Sample(); err != nil {
			return err
		} else if f.Size != m.Data[i].Bytes || sample != m.Data[i].Sample {
			return hint.With(fmt.Errorf("the weights in %s have changed since the file was patched", f.Path), "patch the model again, from the current weights")
		}
	}
	return nil
}
