package decoder

import (
	"context"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// Session is a decoder that is ready to run. Weights are read through the layout of its [Model]: that of a changed graph is for looking at.
type Session struct {
	runtime.Session
	Layout    *models.Layout    // of the graph that runs
	Signature *inputs.Signature // what to feed it
}

// Copy is a copy of a model that a session will be opened on.
type Copy struct {
	Graph     *graph.Model
	Layout    *models.Layout
	Signature *inputs.Signature // nil: read from the graph after the last change
}

// Change changes a copy. One that adds inputs which package inputs does not know must come after one that reads the others.
type Change func(ctx context.Context, c *Copy) error

// Apply makes a change of a request. It reads the inputs.
func Apply(req rewrite.Request) Change {
	return func(ctx context.Context, c *Copy) (err error) {
		if _, c.Layout, err = rewrite.Apply(ctx, c.Graph, c.Layout, req); err != nil {
			return err
		}
		c.Signature, err = inputs.Read(c.Graph, c.Layout)
		return err
	}
}

// FanOut makes a change of the fan-out graph of a grid. It sets rows to the order of the rows.
func FanOut(g rewrite.Grid, rows *[]models.BakedAt) Change {
	return func(ctx context.Context, c *Copy) (err error) {
		c.Signature, *rows, err = rewrite.FanOut(ctx, c.Graph, c.Layout, g)
		return err
	}
}

// Only makes a change that drops every output except those named; see [rewrite.Only]. It must come after one that reads the inputs,
// because some of them may have no use left.
func Only(names ...string) Change {
	return func(_ context.Context, c *Copy) error { return rewrite.Only(c.Graph, names...) }
}

// Session opens a session on a copy of the model, changed in memory. The model stays as it is.
func (m *Model) Session(ctx context.Context, host runtime.Host, o runtime.Options, changes ...Change) (*Session, error) {
	c := &Copy{Graph: m.Graph.Clone()}
	defer c.Graph.Close() // the host opens the weights itself
	var err error
	if c.Layout, err = recognise.Locate(ctx, c.Graph, m.Config); err != nil { // a layout points into its graph
		return nil, err
	}
	for _, change := range changes {
		if err := change(ctx, c); err != nil {
			return nil, err
		}
	}
	if c.Signature == nil {
		if c.Signature, err = inputs.Read(c.Graph, c.Layout); err != nil {
			return nil, err
		}
	}
	s, err := runtime.OpenGraph(ctx, host, c.Graph, o)
	if err != nil {
		return nil, err
	}
	return &Session{s, c.Layout, c.Signature}, nil
}

// Unchanged opens a session on the bytes of the file, which the host reads itself.
func (m *Model) Unchanged(ctx context.Context, host runtime.Host, o runtime.Options) (*Session, error) {
	l, err := m.Locate(ctx)
	if err != nil {
		return nil, err
	}
	in, err := inputs.Read(m.Graph, l)
	if err != nil {
		return nil, err
	}
	s, err := host.Open(ctx, runtime.Model{Path: m.Folder.Model}, o)
	if err != nil {
		return nil, err
	}
	return &Session{s, l, in}, nil
}
