package steer

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// sizes describes a model, so that two can be compared.
func sizes(l *models.Layout) string {
	return fmt.Sprintf("%d layers of d_model %d and %d tokens", l.Layers, l.DModel, l.Vocab)
}

// sourceOf finds the original that the manifest names and makes sure it is still the same size.
func sourceOf(patched string, man *models.Manifest) (string, error) {
	path := filepath.Join(filepath.Dir(patched), man.Source.File)
	st, err := os.Stat(path)
	same := err == nil && (man.Source.Bytes == 0 || st.Size() == man.Source.Bytes)
	switch {
	case err != nil, !same && isPatched(path): // a copy often has the name of the original, in another folder
		return "", hint.With(fmt.Errorf("%s: its original %q does not lie beside it", patched, man.Source.File), "name it with --against")
	case !same:
		return "", hint.With(fmt.Errorf("%s: its original %s has %d bytes, %d when it was patched: it has changed since", patched, path, st.Size(), man.Source.Bytes),
			"patch it again, or name the unchanged original with --against")
	}
	return path, nil
}

// isPatched reports whether a file was patched. A copy of a copy keeps the first source.
func isPatched(path string) bool {
	m, err := graph.Load(path)
	if err != nil {
		return false
	}
	defer m.Close()
	_, ok := m.Meta(models.ManifestKey)
	return ok
}
