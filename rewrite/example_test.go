package rewrite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// A copy that shows what the heads of one layer write, and takes a memory at another.
func ExampleApply() {
	dir, err := os.MkdirTemp("", "rewrite")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, path, out := context.Background(), "../models/testdata/optimum-2-cache.onnx", filepath.Join(dir, "heads.onnx")

	m, err := graph.Load(path) // the weights stay on disk
	if err != nil {
		log.Fatal(err)
	}
	layout, err := recognise.Locate(ctx, m, nil) // by structure
	if err != nil {
		log.Fatal(err)
	}
	result, err := rewrite.KindByName("result")
	if err != nil {
		log.Fatal(err)
	}
	manifest, _, err := rewrite.Apply(ctx, m, layout, rewrite.Request{
		Expose: []rewrite.Expose{{Kind: result, Layers: []int{1}}},
		Inject: []rewrite.Inject{{Site: models.PortAttnOut, Layers: []int{2}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := rewrite.Save(ctx, m, manifest, out, graph.Auto, false); err != nil {
		log.Fatal(err)
	}
	for _, p := range manifest.Ports {
		fmt.Println(p.IO, p.Name, p.Shape)
	}
	// Output:
	// out blocks.1.attn.hook_result [batch pos 4 32]
	// in blocks.2.attn.memory [1|batch 1|pos 32]
	// in blocks.2.attn.tau [1|batch 1|pos 1]
}
