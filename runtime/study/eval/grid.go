package eval

import (
	"context"
	"fmt"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// cells lists the cells of a prompt, ordered by source, layer, tau and memory.
func (e *evaluation) cells(prompt int) (rows []results.Cell, cells []cell) {
	for _, s := range e.sources {
		for _, layer := range e.Layers {
			for k, tau := range e.Taus {
				for _, m := range e.memories(s, prompt, layer, k) {
					c := results.Cell{Prompt: prompt, Layer: layer, Tau: tau, Source: s.Name, Memory: m.Text}
					if m.Text != "" && m.Vector == nil {
						c.Encoding = string(e.Encoding)
					}
					rows = append(rows, c)
					cells = append(cells, cell{layer, tau, e.encode.vector(m, layer)})
				}
			}
		}
	}
	return rows, cells
}

// encodeAll encodes all memories of the prompts, then frees the memory that encoding needed.
func (e *evaluation) encodeAll(ctx context.Context, prompts []int) error {
	for n, i := range prompts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for _, s := range e.sources {
			for k := range e.Taus {
				for _, layer := range e.Layers {
					for _, m := range e.memories(s, i, layer, k) {
						if err := e.encode.add(ctx, m); err != nil {
							return fmt.Errorf("prompt %d: %w", i, err)
						}
					}
				}
			}
		}
		e.Progress(Progress{Stage: Encoding, Done: n + 1, All: len(prompts)})
	}
	return e.bench.model.Unload()
}

// memories returns the memories of a source at a cell.
func (e *evaluation) memories(s *Source, prompt, layer, tau int) []Memory {
	list := s.at(prompt, layer, tau)
	if e.First > 0 {
		list = list[:min(len(list), e.First)]
	}
	return list
}
