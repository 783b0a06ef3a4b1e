package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// opened is the MODEL of a command line. The caller closes it.
type opened struct{ *decoder.Model }

// open reads the MODEL of a command line: the graph, but no weights. It checks the manifest of a patched file for every command.
func open(path string) (*opened, error) {
	m, err := decoder.Open(path)
	if err != nil {
		return nil, refused(withDemo(path, err))
	}
	return &opened{m}, nil
}

// withDemo adds advice to an error about a path in the folder of the examples, if the demo has not been run here.
func withDemo(path string, err error) error {
	folder, _, _ := strings.Cut(filepath.ToSlash(path), "/")
	if _, missing := os.Stat(demoDir); missing == nil || folder != demoDir {
		return err
	}
	return hintf(err, "onnx-inject demo writes this folder")
}

// openDecoder opens the MODEL of a command and recognises the decoder in it. The caller closes the model.
func (c *call) openDecoder() (*opened, *models.Layout, error) {
	o, err := open(c.args[0])
	if err != nil {
		return nil, nil, err
	}
	l, err := o.locate(c.ctx)
	if err != nil {
		o.Close()
		return nil, nil, err
	}
	return o, l, nil
}

// locate finds the layers of an opened model.
func (o *opened) locate(ctx context.Context) (*models.Layout, error) {
	l, err := o.Locate(ctx)
	if err != nil {
		err = hintf(err, "onnx-inject inspect --why %s shows how far each form of attention got", shellWord(o.Folder.Model))
	}
	return l, refused(err)
}

// ports returns the number of ports in the file.
func (o *opened) ports() int {
	if o.Manifest == nil {
		return 0
	}
	return len(o.Manifest.Ports)
}

// tokens encodes a text with the model's own tokenizer.
func (o *opened) tokens(text string) ([]int64, error) {
	t, err := o.Folder.Tokenizer()
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
