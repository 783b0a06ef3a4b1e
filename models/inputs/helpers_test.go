package inputs

import (
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
)

func load(t *testing.T, name string) *graph.Model {
	t.Helper()
	m, err := graph.Load(filepath.Join("..", "testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func located(t *testing.T, name string) (*graph.Model, *models.Layout) {
	t.Helper()
	m := load(t, name)
	l, err := recognise.Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

// withMeta is a model with two inputs and one output by the names of ports, and the given manifest.
func withMeta(t *testing.T, text string) *graph.Model {
	t.Helper()
	m, err := graph.Load("../testdata/nanogpt-torchscript.onnx")
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	memory := e.Input("blocks.1.attn.memory", graph.TensorType(graph.Float32, nil, nil, 32))
	tau := e.Input("blocks.1.attn.tau", graph.TensorType(graph.Float32, nil, nil, 1))
	e.Output(m.Graph, e.Node(m.Graph, graph.Spec{Op: "Mul", Inputs: []*graph.Value{memory, tau}, As: "blocks.1.hook_attn_out", Type: graph.TensorType(graph.Float32, nil, nil, 32)}))
	e.SetMeta(models.ManifestKey, text)
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	return m
}
