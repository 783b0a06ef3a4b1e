package generate

import (
	"fmt"
	"maps"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// When says on which tokens of a text an intervention acts.
type When string

// The choices.
const (
	Always    When = "always"
	Prompt    When = "prompt"    // the tokens of the prompt
	Generated When = "generated" // the tokens after it
)

// Whens lists the choices, the default first.
var Whens = []When{Always, Prompt, Generated}

// Acts reports whether position p of a span is meant.
func (w When) Acts(s Span, p int) bool {
	return w != Prompt && w != Generated || (w == Prompt) == (p < s.Prompt)
}

// Add adds tau times a vector at a site of some layers.
type Add struct {
	Site   models.PortKind
	Layers []int
	Vector []float32 // [d_model]
	Tau    float64
	When   When
	// From and To limit it to some positions, To excluded; To 0 means all.
	From, To int
}

// Feeds returns the memory [1, 1, d_model] and the magnitudes [1, pos, 1] of a step.
func (a Add) Feeds(s Span) (map[string]*graph.Tensor, error) {
	out := map[string]*graph.Tensor{}
	tau := make([]float32, s.To-s.From)
	for i := range tau {
		if p := s.From + i; a.When.Acts(s, p) && a.From <= p && (a.To == 0 || p < a.To) {
			tau[i] = float32(a.Tau)
		}
	}
	for _, layer := range a.Layers {
		memory, magnitude := a.Site.Input(models.PortMemory), a.Site.Input(models.PortTau)
		out[memory.Name(layer)] = graph.NewFloat32(a.Vector, 1, 1, int64(len(a.Vector)))
		out[magnitude.Name(layer)] = graph.NewFloat32(tau, 1, int64(len(tau)), 1)
	}
	return out, nil
}

// All combines interventions. Two of them must not feed the same port.
func All(feeds ...Feeds) Feeds {
	return func(s Span) (map[string]*graph.Tensor, error) {
		out := map[string]*graph.Tensor{}
		for _, f := range feeds {
			ports, err := f(s)
			if err != nil {
				return nil, err
			}
			for name := range ports {
				if out[name] != nil {
					return nil, fmt.Errorf("two interventions at %s", name)
				}
			}
			maps.Copy(out, ports)
		}
		return out, nil
	}
}
