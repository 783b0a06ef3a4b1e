package stats

import (
	"slices"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// entities are the sources whose memories are states of names, each in place of that of a phrase.
var entities = []string{"entity", "wrong:entity"}

// usual returns the effect of an entity memory at the cell that run has unless told otherwise: at the residual stream after 0.3 of the
// layers, tau 1. nil for another kind of memory, and when the series lacks the cell.
func (s *Series) usual(m *results.Manifest) *Effect {
	if m == nil || !slices.Contains(entities, s.Source) || m.Op != intervention.Replace || s.Site != intervention.EntitySite || s.Heads != nil {
		return nil
	}
	layer, tau := slices.Index(s.Layers, intervention.EntityLayer(m.Model.Layers)), slices.Index(s.Taus, 1)
	if layer < 0 || tau < 0 {
		return nil
	}
	return &s.Grid[layer][tau]
}
