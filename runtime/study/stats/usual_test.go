package stats

import (
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Only an entity memory has a usual cell, and it is that of run: of 30 layers the ninth, of 18 the fifth, and tau 1.
func TestUsual(t *testing.T) {
	grid := func(layers []int, taus []float64) (out [][]Effect) {
		for _, l := range layers {
			var line []Effect
			for _, tau := range taus {
				line = append(line, Effect{Layer: l, Tau: tau})
			}
			out = append(out, line)
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		layers int // of the model
		op     intervention.Op
		series Series
		want   int // layer; -1 for no cell
	}{
		{"30 layers", 30, intervention.Replace, Series{Source: "entity", Site: models.PortResidPost, Layers: []int{3, 8, 9}, Taus: []float64{0.5, 1}}, 8},
		{"18 layers, another entity", 18, intervention.Replace, Series{Source: "wrong:entity", Site: models.PortResidPost, Layers: []int{4}, Taus: []float64{1, 2}}, 4},
		{"another layer", 30, intervention.Replace, Series{Source: "entity", Site: models.PortResidPost, Layers: []int{3, 9}, Taus: []float64{1}}, -1},
		{"another tau", 30, intervention.Replace, Series{Source: "entity", Site: models.PortResidPost, Layers: []int{8}, Taus: []float64{0.5, 2}}, -1},
		{"another site", 30, intervention.Replace, Series{Source: "entity", Site: models.PortResidPre, Layers: []int{8}, Taus: []float64{1}}, -1},
		{"added", 30, intervention.Add, Series{Source: "entity", Site: models.PortResidPost, Layers: []int{8}, Taus: []float64{1}}, -1},
		{"another source", 30, intervention.Replace, Series{Source: "captured", Site: models.PortResidPost, Layers: []int{8}, Taus: []float64{1}}, -1},
	} {
		s := tt.series
		s.Grid = grid(s.Layers, s.Taus)
		m := &results.Manifest{Op: tt.op}
		m.Model.Layers = tt.layers
		switch got := s.usual(m); {
		case tt.want < 0 && got != nil:
			t.Errorf("%s: got %+v", tt.name, got)
		case tt.want >= 0 && (got == nil || got.Layer != tt.want || got.Tau != 1):
			t.Errorf("%s: got %+v, want layer %d", tt.name, got, tt.want)
		}
	}
}
