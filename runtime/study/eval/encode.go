package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// encoder makes the vectors of memories: it encodes and captures each text once.
type encoder struct {
	model      *steer.Model
	encoding   memory.Encoding
	convention memory.Convention
	places     []models.BakedAt // that change
	looked     []models.BakedAt // whose values are captured
	tokens     *memory.Encoder
	vectors    map[string][]float32                    // unembed, embed
	byPlace    map[string]map[models.BakedAt][]float32 // layer, and captured values; by key
	faint      []string                                // memories whose vectors are almost zero
}

func newEncoder(m *steer.Model, enc memory.Encoding, conv memory.Convention, places []models.BakedAt) *encoder {
	return &encoder{
		model: m, encoding: enc, convention: conv, places: places, looked: places,
		vectors: map[string][]float32{}, byPlace: map[string]map[models.BakedAt][]float32{},
	}
}

// look refuses a vector that was made for another model, and records a vector that is almost zero.
func (e *encoder) look(m Memory) error {
	if m.Vector == nil {
		return nil
	}
	for _, at := range e.places {
		if got, want := len(m.Vector), at.Site.Intervention().MemoryLen(e.model.Layout); got != want && !at.Site.Intervention().ByHead() {
			return fmt.Errorf("memory %q: the vector has %d numbers, d_model is %d", m.Text, got, want)
		} else if got != want {
			return fmt.Errorf("memory %q: the vector has %d numbers, a memory at %s has %d", m.Text, got, at.Site, want)
		}
	}
	if memory.Length(m.Vector) < memory.Faint {
		e.faint = append(e.faint, m.Text)
	}
	return nil
}

// key identifies what the vectors of a memory depend on. A value of the prompt itself depends on the prompt.
func (m Memory) key(prompt int) string {
	switch {
	case m.captured == nil:
		return m.Text
	case m.captured.texts == nil:
		return fmt.Sprintf("captured %d %s", prompt, m.Text)
	}
	return "captured " + m.Text
}

// add makes the vectors of a memory that have not been made yet. q is the prompt of its cell.
func (e *encoder) add(ctx context.Context, m Memory, prompt int, q question) (err error) {
	key := m.key(prompt)
	if m.Vector != nil || m.Text == "" || e.vectors[key] != nil || e.byPlace[key] != nil {
		return nil
	}
	if m.captured != nil {
		e.byPlace[key], err = e.capture(ctx, m.captured, q)
	} else {
		err = e.encode(ctx, m.Text)
	}
	if err != nil {
		return fmt.Errorf("memory %q: %w", m.Text, err)
	}
	return nil
}

func (e *encoder) encode(ctx context.Context, text string) (err error) {
	if e.encoding == memory.EncodingLayer {
		var layers []int // each once: several sites of a layer have the same memory
		for _, at := range e.places {
			if !slices.Contains(layers, at.Layer) {
				layers = append(layers, at.Layer)
			}
		}
		vectors, err := e.model.EncodeLayers(ctx, text, e.convention, layers...)
		if err != nil {
			return err
		}
		e.byPlace[text] = map[models.BakedAt][]float32{}
		for _, at := range e.places {
			e.byPlace[text][at] = vectors[slices.Index(layers, at.Layer)]
		}
		return nil
	}
	if e.tokens == nil {
		if e.tokens, err = memory.NewEncoder(e.model.Layout, e.encoding, e.convention); err != nil {
			return err
		}
	}
	ids, err := e.model.Memory(text)
	if err != nil {
		return err
	}
	if e.vectors[text], err = e.tokens.Vector(ids); err == nil && memory.Length(e.vectors[text]) < memory.Faint {
		e.faint = append(e.faint, text)
	}
	return err
}

// vector returns the vector of a memory at a place after add, nil for no memory.
func (e *encoder) vector(m Memory, prompt int, at models.BakedAt) []float32 {
	switch {
	case m.Vector != nil:
		return m.Vector
	case m.Text == "":
		return nil
	}
	if v := e.vectors[m.key(prompt)]; v != nil {
		return v
	}
	return e.byPlace[m.key(prompt)][at]
}
