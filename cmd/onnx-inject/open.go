package main

import (
	"context"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

// opened is a model on disk with the other files of its folder. The caller closes the model.
type opened struct {
	folder   *folder.Folder
	model    *graph.Model
	manifest *models.Manifest // nil for a model that is not patched
}

// open reads the MODEL of a command line: the graph, but no weights. It checks the manifest of a patched file for every command:
// if the weights that the file refers to have changed, the model would silently compute other numbers.
func open(path string) (*opened, error) {
	f, err := folder.Open(path)
	if err != nil {
		return nil, refused(err)
	}
	m, err := graph.Load(f.Model)
	if err != nil && hint.Of(err) == "" && filepath.Ext(f.Model) != ".onnx" {
		err = hintf(err, "want an ONNX file; optimum-cli export onnx makes one of a PyTorch checkpoint")
	}
	if err != nil {
		return nil, refused(err)
	}
	man, err := models.ReadManifest(m)
	if err != nil {
		m.Close()
		return nil, refused(err)
	}
	return &opened{f, m, man}, nil
}

// locate finds the layers of an opened model.
func (o *opened) locate() (*models.Layout, error) {
	l, err := recognise.Locate(context.Background(), o.model, o.folder.Config)
	if err != nil {
		err = hintf(err, "onnx-inject inspect --why %s shows how far each form of attention got", shellWord(o.folder.Model))
	}
	return l, refused(err)
}

// ports returns the number of ports in the file.
func (o *opened) ports() int {
	if o.manifest == nil {
		return 0
	}
	return len(o.manifest.Ports)
}

// tokens encodes a text with the model's own tokenizer.
func (o *opened) tokens(text string) ([]int64, error) {
	t, err := o.folder.Tokenizer()
	if err != nil {
		return nil, refused(err)
	}
	return t.Encode(text), nil
}

// boolFlag returns a Boolean flag without a default in the help.
func boolFlag(name, usage string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}
}

func jsonFlag() cli.Flag { return boolFlag("json", "print one JSON document") }
