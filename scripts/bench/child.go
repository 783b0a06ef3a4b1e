package main

import (
	"context"
	"encoding/json"
	"io"
	"os"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
)

// children are the subcommands that this program runs as child processes, so that it stays small and each measurement has a
// separate process. The name is the first argument; the result is printed as JSON.
var children = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"session":  session,
	"naive":    naive,
	"matmul":   matmul,
	"last":     last,
	"generate": generateTokens,
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

// patched is a changed graph in a session.
type patched struct {
	*decoder.Session
	logits string
}

// openDecoder loads the model of a folder, changes it in memory, and opens a session on it.
func openDecoder(ctx context.Context, dir string, threads int, change decoder.Change) (*patched, error) {
	m, err := decoder.Open(dir)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	l, err := m.Locate(ctx)
	if err != nil {
		return nil, err
	}
	s, err := m.Session(ctx, ort.Host{}, runtime.Options{Threads: threads}, change)
	if err != nil {
		return nil, err
	}
	return &patched{s, l.Logits().Name()}, nil
}

// feeds returns a prompt of n tokens, and zeros for every input that the patch added, with open as the size of open dimensions.
func (d *patched) feeds(n int, open int64) (map[string]*graph.Tensor, error) {
	in, err := d.Signature.Feeds([][]int64{ids(n, d.Layout.Vocab)})
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
