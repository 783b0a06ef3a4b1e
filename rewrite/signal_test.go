package rewrite

import (
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Every recognised fixture can show whether its last norm saw the stream.
func TestHasSignal(t *testing.T) {
	seen := 0
	for _, file := range fixtures(t) {
		m, err := graph.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		l, err := tryLocate(t, m)
		if err != nil || l.Logits() == nil {
			continue
		}
		if seen++; !hasSignal(m, l) {
			t.Errorf("%s has no signal", filepath.Base(file))
		}
	}
	if seen < 30 {
		t.Errorf("%d fixtures were looked at", seen)
	}
}
