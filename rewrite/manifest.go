package rewrite

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// newManifest starts the manifest of a patched model. A file that was patched before keeps its ports and its source.
func newManifest(m *graph.Model, l *models.Layout, old *models.Manifest) *models.Manifest {
	man := &models.Manifest{
		Version: models.ManifestVersion, Family: l.Family, Variant: l.Exporter, Layers: l.Layers, Heads: l.Heads,
		DHead: l.DHead, DModel: l.DModel, Vocab: l.Vocab, Weights: graph.Ref,
	}
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

// Save writes a patched model and records in its manifest where the weights lie.
func Save(m *graph.Model, man *models.Manifest, path string, w graph.Weights, force bool) (*graph.Saved, error) {
	man.Weights = graph.WeightsFor(m, path, w)
	e := m.Edit()
	e.SetMeta(models.ManifestKey, man.Encode())
	if err := e.Commit(); err != nil {
		return nil, err
	}
	return graph.Save(m, path, man.Weights, force)
}

// dimensions are the sizes behind the words that port shapes are written in.
type dimensions map[string]graph.Dim

// portDims takes batch and positions from the model's token input, so that a file of fixed shape says so in its ports too.
func portDims(m *graph.Model, l *models.Layout) dimensions {
	fixed := func(n int) graph.Dim { return graph.Dim{Size: int64(n)} }
	d := dimensions{"head": fixed(l.Heads), "d_head": fixed(l.DHead), "d_model": fixed(l.DModel), "key": {Size: -1}, "batch": {Size: -1}, "pos": {Size: -1}}
	if in := l.Tokens(); in != nil && len(in.Type.Dims) == 2 {
		d["batch"], d["pos"] = in.Type.Dims[0], in.Type.Dims[1]
	}
	d["query"] = d["pos"]
	return d
}

// of gives the declared type of a port.
func (d dimensions) of(words []string) graph.Type {
	t := graph.Type{DType: graph.Float32, Ranked: true}
	for _, w := range words {
		t.Dims = append(t.Dims, d[w])
	}
	return t
}

// manifest writes the shape for people: words where the size is open.
func (d dimensions) manifest(words []string) []string {
	var out []string
	for _, w := range words {
		if d[w].Size >= 0 {
			w = fmt.Sprint(d[w].Size)
		}
		out = append(out, w)
	}
	return out
}
