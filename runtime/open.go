package runtime

import (
	"context"

	"github.com/onnx-inject/onnx-inject/graph"
)

// OpenGraph opens a model that was changed in memory on a host. The weights are read from their original files.
func OpenGraph(ctx context.Context, h Host, g *graph.Model, o Options) (Session, error) {
	data, dir, err := graph.Marshal(g)
	if err != nil {
		return nil, err
	}
	return h.Open(ctx, Model{Path: g.Path(), Bytes: data, Dir: dir}, o)
}
