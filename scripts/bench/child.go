package main

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
)

// children are the subcommands that this program runs as child processes, so that it stays small and each measurement has a
// separate process. The name is the first argument; the result is printed as JSON.
var children = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"session": session,
	"naive":   naive,
	"matmul":  matmul,
	"last":    last,
}

// run starts a child and reads its result.
func (b *bench) run(ctx context.Context, result any, args ...string) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	s, out, err := process(ctx, self, args...)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(out, result)
}

// decoder is a graph in a session, with its inputs.
type decoder struct {
	runtime.Session
	inputs *inputs.Signature
	layout *models.Layout // layout of the file
	logits string
}

// readDecoder finds the decoder in a file or folder, without a session.
func readDecoder(ctx context.Context, path string) (*decoder, *graph.Model, error) {
	f, err := folder.Open(path)
	if err != nil {
		return nil, nil, err
	}
	g, err := graph.Load(f.Model)
	if err != nil {
		return nil, nil, err
	}
	l, err := recognise.Locate(ctx, g, f.Config)
	if err != nil {
		return nil, nil, err
	}
	d := &decoder{layout: l, logits: l.Logits().Name()}
	d.inputs, err = inputs.Read(g, l)
	return d, g, err
}

// openDecoder reads a model, changes it in memory, and opens a session on it.
func openDecoder(ctx context.Context, path string, threads int, change func(*graph.Model, *models.Layout) (*inputs.Signature, error)) (*decoder, error) {
	d, g, err := readDecoder(ctx, path)
	if err != nil {
		return nil, err
	}
	if d.inputs, err = change(g, d.layout); err != nil {
		return nil, err
	}
	d.Session, err = runtime.OpenGraph(ctx, ort.Host{}, g, runtime.Options{Threads: threads})
	return d, err
}

// feeds returns a prompt of n tokens, and zeros for every input that the patch added, with open as the size of open dimensions.
func (d *decoder) feeds(n int, open int64) (map[string]*graph.Tensor, error) {
	in, err := d.inputs.Feeds([][]int64{ids(n, d.layout.Vocab)})
	if err != nil {
		return nil, err
	}
	for _, p := range d.Inputs() {
		if in[p.Name] != nil {
			continue
		}
		dims := make([]int64, len(p.Dims))
		for i, size := range p.Dims {
			if dims[i] = size; size < 0 {
				dims[i] = 1
				if i == 0 {
					dims[i] = open
				}
			}
		}
		in[p.Name] = graph.Zeros(p.DType, dims...)
	}
	return in, nil
}
