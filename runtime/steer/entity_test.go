package steer

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// The state of a name in place of that of a description's last token gives the log-probabilities that PyTorch gives with hooks, in
// double precision. scripts/interventions/entity.py computes them.
func TestEntitiesAgainstPyTorch(t *testing.T) {
	var ref struct {
		Places []struct {
			Site  models.PortKind
			Layer int
		}
		Cells []struct {
			Prompt, Name, For, Answer string
			IDs                       []int64
			Position                  int
			Token                     int64
			Clean                     float64
			Injected                  []float64 // by place
		}
	}
	readJSON(t, filepath.Join(testdata, "interventions", "entity.json"), &ref)
	if len(ref.Cells) != 12 || len(ref.Places) != 4 {
		t.Fatalf("%d prompts and %d places", len(ref.Cells), len(ref.Places))
	}
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	m, err := Open(t.Context(), orttest.Host(t), dir, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i, place := range ref.Places {
		for _, c := range ref.Cells {
			what := fmt.Sprintf("%s at %s@%d", c.Prompt, place.Site, place.Layer)
			e := intervention.Entity(c.Name, c.For, place.Site, intervention.Layers(fmt.Sprint(place.Layer)), 1)
			r, err := m.Run(t.Context(), Query{Prompt: c.Prompt, Answer: c.Answer, Entries: []intervention.Entry{e}})
			if err != nil {
				t.Fatal(err)
			}
			for j, token := range r.Prompt {
				if len(r.Prompt) != len(c.IDs) || token.ID != c.IDs[j] {
					t.Fatalf("%s: tokens %v, want %v", what, r.Prompt, c.IDs)
				}
			}
			if from, to, err := r.Plan[0].Positions.Within(len(c.IDs)); err != nil || len(r.Plan) != 1 || from != c.Position || to != from+1 || r.Answer.ID != c.Token {
				t.Errorf("%s: positions %d to %d and answer %d, want %d and %d (%v)", what, from, to, r.Answer.ID, c.Position, c.Token, err)
			}
			for name, x := range map[string][2]float64{"clean": {r.Answer.LogPClean, c.Clean}, "with the memory": {r.Answer.LogPInjected, c.Injected[i]}} {
				if !(math.Abs(x[0]-x[1]) <= 1e-4) {
					t.Errorf("%s, %s: log-probability %.6f, want %.6f", what, name, x[0], x[1])
				}
			}
		}
	}
}
