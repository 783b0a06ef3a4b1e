package rewrite

import (
	"context"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// newManifest starts the manifest of a patched model. A file that was patched before keeps its ports and its source.
func newManifest(m *graph.Model, l *models.Layout, old *models.Manifest) *models.Manifest {
	man := models.NewManifest(l)
	man.Weights = string(graph.Ref)
	if m.Path() != "" {
		man.Source.File = filepath.Base(m.Path())
		if st, err := os.Stat(m.Path()); err == nil {
			man.Source.Bytes = st.Size()
		}
	}
	if old != nil {
		man.Source, man.Baked, man.Variant = old.Source, old.Baked, old.Variant
		man.Ports = append(man.Ports, old.Ports...)
	}
	return man
}

// Save writes a patched model and records in its manifest where the weights are stored. ctx is used as in [graph.Save].
func Save(ctx context.Context, m *graph.Model, man *models.Manifest, path string, w graph.Weights, force bool) (*graph.Saved, error) {
	w = graph.WeightsFor(m, path, w)
	man.Weights, man.Data = string(w), nil
	if w == graph.Ref {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err == nil {
			dir, err = filepath.Abs(dir)
		}
		if err == nil { // else graph.Save reports the problem with the folder
			if man.Data, err = models.DataOf(ctx, m, dir, man.WholeData); err != nil {
				return nil, err
			}
		}
	}
	e := m.Edit()
	e.SetMeta(models.ManifestKey, man.Encode())
	if err := e.Commit(); err != nil {
		return nil, err
	}
	return graph.Save(ctx, m, path, w, force)
}

// portType returns the declared type of an output port. Batch and positions are those of the model's token input, so that
// the ports of a file with fixed shapes are fixed too, and no added name equals one of the exporter's by accident.
func portType(port models.Port, l *models.Layout) graph.Type {
	t := port.Type(l)
	axes := map[string]graph.Dim{"batch": {Size: -1}, "pos": {Size: -1}, "key": {Size: -1}}
	if in := l.Tokens(); in != nil && len(in.Type().Dims) == 2 {
		axes["batch"], axes["pos"] = in.Type().Dims[0], in.Type().Dims[1]
	}
	axes["query"] = axes["pos"]
	for i, d := range t.Dims {
		if axis, ok := axes[d.Name]; ok {
			t.Dims[i] = axis
		}
	}
	return t
}
