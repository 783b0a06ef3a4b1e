package models

import (
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// A term that is not a constant is an error. A layout without terms has no bias.
func TestUnembedBiasOfWhatIsNone(t *testing.T) {
	m, err := graph.Load("testdata/nanogpt-torchscript.onnx")
	if err != nil {
		t.Fatal(err)
	}
	l := &Layout{Vocab: 4, Bodies: []*Body{{Graph: m.Graph, BU: m.Graph.Inputs()}}}
	if _, err := l.UnembedBias(); err == nil || !strings.HasPrefix(err.Error(), "bias of the unembedding: read constant") {
		t.Errorf("got %v", err)
	}
	for _, l := range []*Layout{{Vocab: 4}, {Vocab: 4, Bodies: []*Body{{Graph: m.Graph}}}} {
		if b, err := l.UnembedBias(); b != nil || err != nil {
			t.Errorf("a bias of %d numbers, %v", len(b), err)
		}
	}
}
