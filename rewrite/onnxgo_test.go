package rewrite

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	onnx "github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"gorgonia.org/tensor"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// onnx-go cannot run GPT-2, but it can run the inserted part: Mul and Add, cut out of a patched model. Its result
// independently confirms that attn_out' = attn_out + tau * memory.
func TestInsertedNodesInOnnxGo(t *testing.T) {
	m, l := load(t, filepath.Join(testdata, "torchscript-op10.onnx"))
	attn := l.Bodies[0].Layers[1].AttnOut[0]
	if _, _, err := Apply(t.Context(), m, l, Request{Inject: []Inject{{models.PortAttnOut, []int{1}}}}); err != nil {
		t.Fatal(err)
	}
	join := l.Bodies[0].Layers[1].Join
	injected := join.Node.In(join.Slot)
	memory, tau := m.Graph.Lookup(models.PortAttnOut.Input(models.PortMemory).Name(1)), m.Graph.Lookup(models.PortAttnOut.Input(models.PortTau).Name(1))
	// Only the two nodes are left. onnx-go requires fixed shapes: 5 positions of 32 numbers.
	const pos, d = 5, 32
	e, sum := m.Edit(), injected.Producer()
	x := e.Input("x", graph.TensorType(graph.Float32, pos, d))
	for i, v := range sum.Inputs() {
		if v == attn {
			e.Redirect(graph.Use{Node: sum, Slot: i}, x)
		}
	}
	for _, v := range m.Graph.Outputs() {
		e.RemoveOutput(m.Graph, v)
	}
	e.Output(m.Graph, injected)
	for _, v := range m.Graph.Inputs() {
		if v != memory && v != tau {
			e.RemoveInput(v)
		}
	}
	e.Retype(memory, graph.TensorType(graph.Float32, 1, d))
	e.Retype(tau, graph.TensorType(graph.Float32, 1, 1))
	e.Retype(injected, graph.TensorType(graph.Float32, pos, d))
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.Graph.Nodes()); n != 2 {
		t.Fatalf("%d nodes were inserted, want Mul and Add", n)
	}
	path := filepath.Join(t.TempDir(), "inserted.onnx")
	if _, err := graph.Save(t.Context(), m, path, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	backend := gorgonnx.NewGraph()
	other := onnx.NewModel(backend)
	if err := other.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	random := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(r.NormFloat64())
		}
		return out
	}
	stream, v, scale := random(pos*d), random(d), []float32{2.5}
	feed := map[string]tensor.Tensor{
		x.Name():      tensor.New(tensor.WithShape(pos, d), tensor.WithBacking(append([]float32(nil), stream...))),
		memory.Name(): tensor.New(tensor.WithShape(1, d), tensor.WithBacking(append([]float32(nil), v...))),
		tau.Name():    tensor.New(tensor.WithShape(1, 1), tensor.WithBacking(append([]float32(nil), scale...))),
	}
	for i, in := range m.Graph.Inputs() {
		if err := other.SetInput(i, feed[in.Name()]); err != nil {
			t.Fatal(err)
		}
	}
	if err := backend.Run(); err != nil {
		t.Fatal(err)
	}
	out, err := other.GetOutputTensors()
	if err != nil {
		t.Fatal(err)
	}
	got := out[0].Data().([]float32)
	for i := range stream {
		if want := stream[i] + v[i%d]*scale[0]; got[i] != want {
			t.Fatalf("element %d is %v, want %v", i, got[i], want)
		}
	}
}
