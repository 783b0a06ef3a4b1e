package rewrite

import (
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
)

// Only leaves the named output, less work for a lower layer than for a higher one, and no unembedding. The inputs stay.
func TestOnly(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(path, func(t *testing.T) {
			var nodes []int
			for _, layer := range []int{0, 1} {
				m, l := load(t, path)
				t.Cleanup(func() { m.Close() })
				merged := len(l.Bodies) > 1
				req := exposing(t, models.PortAttnOut, layer)
				req.Prefill = merged
				_, now, err := Apply(t.Context(), m, l, req)
				if err != nil {
					t.Fatal(err)
				}
				inputs := m.Graph.Inputs()
				unembed := now.Unembed
				if err := Only(m, models.PortAttnOut.Name(layer)); err != nil {
					t.Fatal(err)
				}
				out := m.Graph.Outputs()
				if len(out) != 1 || out[0].Name() != models.PortAttnOut.Name(layer) || !slices.Equal(m.Graph.Inputs(), inputs) {
					t.Errorf("the outputs are %v", out)
				}
				if unembed != nil && slices.Contains(m.Graph.Nodes(), unembed.Node) {
					t.Error("the unembedding is still computed")
				}
				nodes = append(nodes, len(m.Graph.Nodes()))
			}
			if nodes[0] >= nodes[1] {
				t.Errorf("%d nodes for layer 0, %d for layer 1", nodes[0], nodes[1])
			}
		})
	}
	m, _ := load(t, testdata+"/torchscript-op10.onnx")
	defer m.Close()
	if err := Only(m, "nothing"); err == nil || !strings.Contains(err.Error(), "no such output") {
		t.Errorf("got %v", err)
	}
}

func exposing(t *testing.T, kind models.PortKind, layer int) Request {
	t.Helper()
	k, err := KindByName(string(kind))
	if err != nil {
		t.Fatal(err)
	}
	return Request{Expose: []Expose{{Kind: k, Layers: []int{layer}}}}
}
