package generate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
)

// These forms of a cache have no fixture: they are made of fixtures, whose references they must give.

// changed writes a changed fixture to a folder of its own.
func changed(t *testing.T, fixture string, changes ...func(m *graph.Model, e *graph.Edit)) string {
	t.Helper()
	m, err := graph.Load(filepath.Join(testdata, fixture))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		e := m.Edit()
		change(m, e)
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	if _, err := graph.Save(t.Context(), m, path, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	return path
}

func cacheInputs(m *graph.Model) []*graph.Value {
	return slices.DeleteFunc(m.Graph.Inputs(), func(v *graph.Value) bool { return !v.Type().DType.IsFloat() })
}

// stacked gives GPT-2 one tensor as a cache: [layer, 2, batch, head, pos, d_head], or [2, layer, …].
func stacked(pairsFirst bool) func(m *graph.Model, e *graph.Edit) {
	return func(m *graph.Model, e *graph.Edit) {
		pasts, presents := cacheInputs(m), m.Graph.Outputs()[1:]
		sizes := []any{len(pasts) / 2, 2, "batch", 4, "past", 8}
		if pairsFirst {
			sizes[0], sizes[1] = sizes[1], sizes[0]
		}
		past := e.Input("past", graph.TensorType(graph.Float32, sizes...))
		number := func(i int) *graph.Value {
			return e.Const(m.Graph, fmt.Sprint("number_", i), graph.NewInt64([]int64{int64(i)}))
		}
		first := e.Const(m.Graph, "first_axis", graph.NewInt64([]int64{0}, 1))
		node := func(op string, attrs graph.Attrs, inputs ...*graph.Value) *graph.Value {
			return e.Node(m.Graph, graph.Spec{Op: op, Attrs: attrs, Inputs: inputs})
		}
		outer := make([][]*graph.Value, sizes[0].(int))
		for i := range pasts {
			a, b := i/2, i%2
			if pairsFirst {
				a, b = b, a
			}
			part := node("Gather", graph.Attrs{"axis": 0}, node("Gather", graph.Attrs{"axis": 0}, past, number(a)), number(b))
			for _, u := range pasts[i].Uses() {
				e.Redirect(u, part)
			}
			outer[a] = append(outer[a], node("Unsqueeze", nil, presents[i], first))
		}
		var all []*graph.Value
		for _, parts := range outer {
			all = append(all, node("Unsqueeze", nil, node("Concat", graph.Attrs{"axis": 0}, parts...), first))
		}
		present := e.Node(m.Graph, graph.Spec{Op: "Concat", Attrs: graph.Attrs{"axis": 0}, Inputs: all, As: "present", Type: graph.TensorType(graph.Float32, sizes[0], sizes[1], "batch", 4, "total", 8)})
		for i := range pasts {
			e.RemoveInput(pasts[i])
			e.RemoveOutput(m.Graph, presents[i])
		}
		e.Output(m.Graph, present)
	}
}

// withPast gives the standard operator Attention the cache: its own inputs and outputs are those of the model.
func withPast(m *graph.Model, e *graph.Edit) {
	for _, u := range m.Graph.Lookup("attention_mask").Uses() { // only its length is used then, as that of the tokens
		e.Redirect(u, m.Graph.Lookup("input_ids"))
	}
	for i, n := range attentions(m) {
		// k and v without the Expand that repeats them: the operator does that itself
		k, v := rotated(n.In(1)), rotated(n.In(2))
		cache := graph.TensorType(graph.Float32, "batch", 2, fmt.Sprint("past_", i), 16)
		y := e.Node(m.Graph, graph.Spec{Op: "Attention", Outputs: 3, Attrs: graph.Attrs{"is_causal": 1, "scale": n.Float("scale", 0.25)}, Type: n.Out(0).Type(),
			Inputs: []*graph.Value{n.In(0), k, v, nil, e.Input(fmt.Sprint("key_", i), cache), e.Input(fmt.Sprint("value_", i), cache)}})
		for _, u := range n.Out(0).Uses() {
			e.Redirect(u, y)
		}
	}
	e.Prune()
}

// rotated follows a repeated value back to the four axes that it had before.
func rotated(v *graph.Value) *graph.Value {
	for v.Producer().Is("Reshape", "Expand", "Unsqueeze") && !v.Producer().In(0).Producer().Is("MatMul") {
		v = v.Producer().In(0)
	}
	return v
}

// attentions lists the operators whose result is read.
func attentions(m *graph.Model) []*graph.Node {
	return slices.DeleteFunc(m.Graph.Nodes(), func(n *graph.Node) bool { return !n.Is("Attention") || len(n.Out(0).Uses()) == 0 })
}

func presents(m *graph.Model, e *graph.Edit) {
	for i, n := range attentions(m) {
		for j, name := range []string{"new_key_", "new_value_"} {
			v := n.Out(j + 1)
			e.Retype(v, graph.TensorType(graph.Float32, "batch", 2, fmt.Sprint("total_", i), 16))
			e.Rename(v, fmt.Sprint(name, i))
			e.Output(m.Graph, v)
		}
	}
}

// unused drops inputs that only what was pruned read.
func unused(m *graph.Model, e *graph.Edit) {
	for _, v := range m.Graph.Inputs() {
		if len(v.Uses()) == 0 {
			e.RemoveInput(v)
		}
	}
}

func TestForms(t *testing.T) {
	refs := readReferences(t)
	attention23 := func(t *testing.T) string {
		return changed(t, "families/dynamo23-llama.onnx", withPast, presents, unused)
	}
	for _, c := range []struct {
		name, ref string
		path      func(t *testing.T) string
	}{
		{"all layers in one tensor", "gpt2", func(t *testing.T) string { return changed(t, "optimum-2-cache.onnx", stacked(false)) }},
		{"keys before values of all layers", "gpt2", func(t *testing.T) string { return changed(t, "optimum-2-cache.onnx", stacked(true)) }},
		{"Attention of opset 23", "llama", attention23},
		{"Attention of opset 24", "llama", func(t *testing.T) string {
			path := attention23(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			later := bytes.Replace(data, []byte{0x42, 4, 0x0a, 0, 0x10, 23}, []byte{0x42, 4, 0x0a, 0, 0x10, 24}, 1) // opset_import: domain "", version
			if bytes.Equal(data, later) {
				t.Fatal("the file does not import opset 23 as expected")
			}
			if err := os.WriteFile(path, later, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, l := openModel(t, c.path(t))
			if !m.Cached() {
				t.Fatal("the cache was not found")
			}
			ran := 0
			for _, x := range refs[c.ref].Cases {
				ran++
				got, err := m.Continue(t.Context(), Request{Prompt: refs[c.ref].Prompt, Max: 40, Plan: plan(t, x.Interventions, l)})
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(x.IDs, got.IDs); d != "" {
					t.Errorf("%s: got %v, want %v", x.Name, got.IDs, x.IDs)
				}
			}
			if ran < 12 {
				t.Errorf("only %d cases ran", ran)
			}
		})
	}
}

// A cache input without an output that continues it is refused with its name.
func TestNoPresent(t *testing.T) {
	path := changed(t, "optimum-2-cache.onnx", func(m *graph.Model, e *graph.Edit) { e.RemoveOutput(m.Graph, m.Graph.Outputs()[1]) })
	if _, err := openPath(t, path); err == nil || !strings.Contains(err.Error(), `cache input "past_key_values.0.key": the output with its new keys or values was not found`) {
		t.Errorf("got %v", err)
	}
}
