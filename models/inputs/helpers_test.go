package inputs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
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
	f, err := folder.Open(m.Path())
	if err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, f.Config)
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

// cases lists the fixtures of a folder.
func cases(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", dir, "cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ File string }
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, c.File)
	}
	return out
}

// withMeta returns a model with two inputs and one output named like ports, and the given manifest.
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
