package generate

import (
	"fmt"
	"maps"
	"slices"

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

// Change is an intervention: at a site of some layers, the value x becomes keep * x + tau * memory.
type Change struct {
	Site   models.PortKind
	Layers []int
	Heads  []int // at a site by head: the heads that it changes; nil means all
	Keep   float64
	Tau    float64
	Memory []float32 // [d_model], or [head, d_head] at a site by head; nil: the model needs no ports for a memory, and Tau has no effect
	Gate   bool      // the model has the port for Keep; without it, Keep has no effect
	When   When
	// From and To limit it to some positions, To excluded; To 0 means all.
	From, To int
}

// Feeds returns the tensors of the ports of a change: memory [1, 1, …], tau and keep [1, pos, …].
func (c Change) Feeds(l *models.Layout) Feeds {
	return func(s Span) (map[string]*graph.Tensor, error) {
		site := c.Site.Intervention()
		heads := 1
		if site.ByHead() {
			heads = l.Heads
		}
		if c.Memory != nil && len(c.Memory) != site.MemoryLen(l) {
			return nil, fmt.Errorf("a memory of %d numbers at %s, want %d", len(c.Memory), c.Site, site.MemoryLen(l))
		}
		positions := s.To - s.From
		keep, tau := slices.Repeat([]float32{1}, positions*heads), make([]float32, positions*heads)
		for i := range keep {
			p, head := s.From+i/heads, i%heads
			if c.When.Acts(s, p) && c.From <= p && (c.To == 0 || p < c.To) && (c.Heads == nil || slices.Contains(c.Heads, head)) {
				keep[i], tau[i] = float32(c.Keep), float32(c.Tau)
			}
		}
		dims := []int64{1, int64(positions), 1}
		if site.ByHead() {
			dims = []int64{1, int64(positions), int64(heads), 1}
		}
		out := map[string]*graph.Tensor{}
		for _, layer := range c.Layers {
			if c.Memory != nil {
				out[c.Site.Input(models.PortMemory).Name(layer)] = graph.NewFloat32(c.Memory, append([]int64{1, 1}, site.MemoryDims(l)...)...)
				out[c.Site.Input(models.PortTau).Name(layer)] = graph.NewFloat32(tau, dims...)
			}
			if c.Gate {
				out[c.Site.Input(models.PortKeep).Name(layer)] = graph.NewFloat32(keep, dims...)
			}
		}
		return out, nil
	}
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
