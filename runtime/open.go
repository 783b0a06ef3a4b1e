package runtime

import (
	"context"

	"github.com/onnx-inject/onnx-inject/graph"
)

// OpenGraph hands a model that was changed in memory to a host. Its weights stay where they lie.
func OpenGraph(ctx context.Context, h Host, g *graph.Model, o Options) (Session, error) {
	data, dir, err := graph.Marshal(g)
	if err != nil {
		return nil, err
	}
	return h.Open(ctx, Model{Path: g.Path(), Bytes: data, Dir: dir}, o)
}
