package steer

import (
	"slices"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// The last position alone has the logits that it has among all, whatever the rank of the logits.
func TestLastLogits(t *testing.T) {
	for _, c := range fixtures(t) {
		for _, f := range forms {
			m, l := f.of(t, c.File)
			if m == nil {
				continue
			}
			t.Run(c.File+f.name, func(t *testing.T) { checkLastLogits(t, m, l) })
		}
	}
}

func checkLastLogits(t *testing.T, m *graph.Model, l *models.Layout) {
	t.Helper()
	ids := [][]int64{{3, 1, 4, 1, 5}, {2, 7, 1, 8, 2}}
	if d := l.Tokens().Type().Dims; d[1].Size == 1 {
		ids = [][]int64{{3}, {2}}
	}
	in, err := inputs.Read(m, l)
	if err != nil {
		t.Fatal(err)
	}
	name := l.Logits().Name()
	whole := run(t, m, in, ids, nil)[name]
	want, err := lastRows(whole, len(ids))
	if err != nil {
		t.Fatal(err)
	}
	if _, l, err = rewrite.Apply(t.Context(), m, l, rewrite.Request{LastLogits: true}); err != nil {
		t.Fatal(err)
	}
	if in, err = inputs.Read(m, l); err != nil {
		t.Fatal(err)
	}
	part := run(t, m, in, ids, nil)[name]
	shape := slices.Clone(whole.Dims)
	if n := len(shape); n > 2 {
		shape[n-2] = 1
	}
	if !slices.Equal(part.Dims, shape) {
		t.Errorf("logits of shape %v, want %v", part.Dims, shape)
	}
	got, err := lastRows(part, len(ids))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		worst := float32(0)
		for j := range want[i] {
			worst = max(worst, want[i][j]-got[i][j], got[i][j]-want[i][j])
		}
		if !(worst <= 1e-4*float32(largest(want[i]))) {
			t.Errorf("row %d differs by %g", i, worst)
		}
	}
}
