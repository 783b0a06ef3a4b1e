package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// cells lists the cells of a prompt, or of a text of side effects, in the order of the grid; the memories of a point follow each other.
func (e *evaluation) cells(prompt int) (rows []results.Cell, cells []cell, err error) {
	for point := range e.grid.Points() {
		at := placeOf(point)
		for _, m := range e.memories(point, prompt) {
			row := results.Cell{
				Prompt: prompt, Site: point.Site, Layer: point.Layer, Head: point.Head, Tau: point.Tau, Source: point.Source, Memory: m.Text,
			}
			if m.encoded() {
				row.Encoding = string(e.Encoding)
			}
			c := cell{BakedAt: at, tau: point.Tau}
			for i, part := range m.each() {
				if v := e.encode.vector(part, prompt, at); i == 0 {
					c.vector = v
				} else {
					c.more = append(c.more, v)
				}
			}
			if h, one := point.Head.Index(); one {
				c.heads = []int{h}
			}
			if e.TauUnit == steer.TauNorm && c.vector != nil {
				if c.vector, err = steer.Direction(c.vector); err != nil {
					return nil, nil, fmt.Errorf("memory %q: %w", m.Text, err)
				}
				for i, v := range c.more {
					if c.more[i], err = steer.Direction(v); err != nil {
						return nil, nil, fmt.Errorf("memory %q: %w", m.Text, err)
					}
				}
				c.tau *= e.lengths[prompt][slices.Index(e.bench.places, at)]
			}
			rows, cells = append(rows, row), append(cells, c)
		}
	}
	return rows, cells, nil
}

// placeOf returns the place that the cells of a point change.
func placeOf(p results.Point) models.BakedAt {
	if p.Site == "" {
		p.Site = models.DefaultSite
	}
	return models.BakedAt{Site: p.Site, Layer: p.Layer}
}

// encodeAll computes all that the cells of the prompts need besides the evaluation itself, then frees the memory that this took.
func (e *evaluation) encodeAll(ctx context.Context, prompts []int) error {
	// First what the other interventions need: they may show other values of the model, and each set of values has its session.
	for _, i := range prompts {
		q := e.asked[i]
		var err error
		if q.also, err = e.bench.model.Resolve(ctx, e.Also, e.TauUnit, q.ids); err != nil {
			return fmt.Errorf("prompt %d: %w", i, err)
		}
		e.asked[i] = q
	}
	for n, i := range prompts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for point := range e.grid.Points() {
			if len(e.asked[i].at) == 0 {
				break // the prompt has no place for a memory
			}
			for _, m := range e.memories(point, i) {
				for _, part := range m.each() {
					if err := e.encode.add(ctx, part, i, e.asked[i]); err != nil {
						return fmt.Errorf("prompt %d: %w", i, err)
					}
				}
			}
		}
		if e.TauUnit == steer.TauNorm {
			if err := e.measure(ctx, i); err != nil {
				return fmt.Errorf("prompt %d: %w", i, err)
			}
		}
		e.Progress(Progress{Stage: Encoding, Done: n + 1, All: len(prompts)})
	}
	return e.bench.model.Unload()
}

// measure records the mean length of the model's own values at the places that change.
func (e *evaluation) measure(ctx context.Context, prompt int) error {
	ids := e.asked[prompt].ids
	values, err := e.bench.model.Values(ctx, ids, e.encode.looked)
	if err != nil {
		return err
	}
	for i := range e.bench.places { // the first of those that are looked at
		e.lengths[prompt] = append(e.lengths[prompt], steer.MeanLength(values[i], len(ids)))
	}
	return nil
}

// memories returns the memories of a prompt at a point of the grid.
func (e *evaluation) memories(p results.Point, prompt int) []Memory {
	prompt = e.owner(prompt)
	s := e.sources[slices.IndexFunc(e.sources, func(s *Source) bool { return s.Name == p.Source })]
	list := s.at(prompt, p.Layer, slices.Index(e.Taus, p.Tau))
	if e.First > 0 {
		list = list[:min(len(list), e.First)]
	}
	if s.pairs {
		list = slices.Clone(list)
		for i, m := range list {
			list[i] = m.forPhrases(1 + len(e.data.Rows[prompt].More))
		}
	}
	return list
}
