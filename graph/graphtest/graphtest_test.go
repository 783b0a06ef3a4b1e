package graphtest

import (
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// changes lists all changes of this package, each as a function of a seed.
var changes = []struct {
	name string
	do   func(testing.TB, *graph.Model, uint64)
}{
	{"rename", RenameAll},
	{"shuffle", Shuffle},
	{"swap", SwapCommutative},
	{"constants", func(t testing.TB, m *graph.Model, _ uint64) { ConstantsFromInitializers(t, m) }},
	{"all", func(t testing.TB, m *graph.Model, seed uint64) {
		ConstantsFromInitializers(t, m)
		SwapCommutative(t, m, seed)
		Shuffle(t, m, seed)
		RenameAll(t, m, seed)
	}},
}

func TestChangesKeepTheModel(t *testing.T) {
	files, _ := filepath.Glob("../../models/testdata/*.onnx")
	if len(files) != 16 {
		t.Fatalf("want 16 fixtures, got %d", len(files))
	}
	for _, path := range files {
		for _, c := range changes {
			t.Run(filepath.Base(path)+"/"+c.name, func(t *testing.T) {
				m, err := graph.Load(path)
				if err != nil {
					t.Fatal(err)
				}
				bytes := m.WeightBytes()
				c.do(t, m, 7)
				out := filepath.Join(t.TempDir(), "out.onnx")
				if _, err := graph.Save(t.Context(), m, out, graph.Embed, false); err != nil {
					t.Fatal(err)
				}
				again, err := graph.Load(out)
				if err != nil {
					t.Fatal(err)
				}
				if got := again.WeightBytes(); got != bytes {
					t.Errorf("%d bytes of weights, want %d", got, bytes)
				}
				for i, v := range again.Graph.Inputs() {
					if want := m.Graph.Inputs()[i]; v.Name() != want.Name() {
						t.Errorf("input %d is %v, want %v", i, v, want)
					}
				}
				for i, v := range again.Graph.Outputs() {
					if want := m.Graph.Outputs()[i]; v.Name() != want.Name() {
						t.Errorf("output %d is %v, want %v", i, v, want)
					}
				}
				if a, b := len(again.Graph.Nodes()), len(m.Graph.Nodes()); a != b {
					t.Errorf("%d nodes, want %d", a, b)
				}
			})
		}
	}
}
