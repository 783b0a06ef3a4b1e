package eval

import (
	"context"
	"fmt"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// encoder encodes memories as vectors, each text once.
type encoder struct {
	model      *steer.Model
	encoding   memory.Encoding
	convention memory.Convention
	layers     []int // injected layers
	tokens     *memory.Encoder
	vectors    map[string][]float32         // unembed, embed
	byLayer    map[string]map[int][]float32 // layer
	faint      []string                     // memories whose vectors are almost zero
}

func newEncoder(m *steer.Model, enc memory.Encoding, conv memory.Convention, layers []int) *encoder {
	return &encoder{model: m, encoding: enc, convention: conv, layers: layers, vectors: map[string][]float32{}, byLayer: map[string]map[int][]float32{}}
}

// look refuses a vector that was made for another model, and records a vector that is almost zero.
func (e *encoder) look(m Memory) error {
	if got, want := len(m.Vector), e.model.Layout.DModel; m.Vector != nil && got != want {
		return fmt.Errorf("memory %q: the vector has %d numbers, d_model is %d", m.Text, got, want)
	}
	if m.Vector != nil && memory.Length(m.Vector) < memory.Faint {
		e.faint = append(e.faint, m.Text)
	}
	return nil
}

// add encodes a memory that has not been encoded yet.
func (e *encoder) add(ctx context.Context, m Memory) error {
	if m.Vector != nil || m.Text == "" || e.vectors[m.Text] != nil || e.byLayer[m.Text] != nil {
		return nil
	}
	if err := e.encode(ctx, m.Text); err != nil {
		return fmt.Errorf("memory %q: %w", m.Text, err)
	}
	return nil
}

func (e *encoder) encode(ctx context.Context, text string) (err error) {
	if e.encoding == memory.EncodingLayer {
		vectors, err := e.model.EncodeLayers(ctx, text, e.convention, e.layers...)
		if err != nil {
			return err
		}
		at := map[int][]float32{}
		for i, l := range e.layers {
			at[l] = vectors[i]
		}
		e.byLayer[text] = at
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

// vector returns the vector of a memory after add, nil for no memory.
func (e *encoder) vector(m Memory, layer int) []float32 {
	switch {
	case m.Vector != nil:
		return m.Vector
	case m.Text == "":
		return nil
	case e.encoding == memory.EncodingLayer:
		return e.byLayer[m.Text][layer]
	}
	return e.vectors[m.Text]
}
