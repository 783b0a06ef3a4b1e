package decoder

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// Model is a decoder on disk. Its methods may be called from several goroutines.
type Model struct {
	Path     string // as it was given: a file or a folder
	Folder   *folder.Folder
	Config   *models.Config   // of the folder
	Graph    *graph.Model     // as the file has it; sessions are opened on copies
	Manifest *models.Manifest // nil for a model that is not patched

	mu     sync.Mutex
	layout *models.Layout
}

// Open reads a model file or folder: the graph, no weights. The manifest of a patched file must hold: weights that changed after
// a reference to them was written would give other numbers without a word.
func Open(path string) (*Model, error) {
	f, err := folder.Open(path)
	if err != nil {
		return nil, err
	}
	g, err := graph.Load(f.Model)
	if err != nil {
		if hint.Of(err) == "" && filepath.Ext(f.Model) != ".onnx" {
			err = hint.With(err, "want an ONNX file; optimum-cli export onnx --model FOLDER --task text-generation OUT makes one of a PyTorch checkpoint")
		}
		return nil, err
	}
	man, err := models.ReadManifest(g)
	if err != nil {
		g.Close()
		return nil, err
	}
	return &Model{Path: path, Folder: f, Graph: g, Manifest: man, Config: f.Config}, nil
}

// Close says that the weights are not read any more; see [graph.Model.Close]. Sessions that are open are not affected.
func (m *Model) Close() error { return m.Graph.Close() }

// Locate recognises the decoder in the graph, on the first call.
func (m *Model) Locate(ctx context.Context) (*models.Layout, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.layout == nil {
		l, err := recognise.Locate(ctx, m.Graph, m.Config)
		if err != nil {
			return nil, err
		}
		m.layout = l
	}
	return m.layout, nil
}

// With returns the same model under another configuration: a patched copy may be in another folder than its original.
func (m *Model) With(cfg *models.Config) *Model {
	return &Model{Path: m.Path, Folder: m.Folder, Config: cfg, Graph: m.Graph, Manifest: m.Manifest}
}
