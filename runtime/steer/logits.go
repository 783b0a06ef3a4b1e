package steer

import (
	"context"
	"fmt"
	"maps"

	"github.com/onnx-inject/onnx-inject/models/intervention"
)

// Logits runs a text with the changes of a plan and returns the logits at every position, [pos][vocab]. The first prompt tokens are its
// prompt, and the others follow it as generated ones do; see [intervention.Span]. ports are the changes of which the session has the
// inputs: calls with the same ports share it, and their clean numbers are those of one another. All logits are +Inf when the numbers
// left the range of their type; see [Batch.Rows].
func (m *Model) Logits(ctx context.Context, ports, plan intervention.Plan, ids []int64, prompt int) ([][]float32, error) {
	if err := m.fits("text", ids); err != nil {
		return nil, err
	}
	if err := plan.Check(m.Layout); err != nil {
		return nil, err
	}
	s, err := m.steering(ctx, ports)
	if err != nil {
		return nil, err
	}
	feeds, err := s.Signature.Feeds([][]int64{ids})
	if err != nil {
		return nil, err
	}
	changed, err := plan.Feeds(m.Layout, intervention.Span{To: len(ids), Prompt: prompt})
	if err != nil {
		return nil, err
	}
	maps.Copy(feeds, changed)
	t, out, err := m.runLogits(ctx, s, feeds)
	if err != nil {
		return nil, err
	}
	signal, err := signals(out, 1)
	if err != nil {
		return nil, err
	}
	x, err := t.Float32s()
	if err != nil {
		return nil, fmt.Errorf("logits: %w", err)
	}
	vocab := 0
	if k := len(t.Dims); k > 0 {
		vocab = int(t.Dims[k-1])
	}
	if len(x) == 0 || len(x) != vocab*len(ids) {
		return nil, fmt.Errorf("logits of shape %v, want those of each of %d positions", t.Dims, len(ids))
	}
	rows := make([][]float32, len(ids))
	for i := range rows {
		rows[i] = x[i*vocab : (i+1)*vocab]
		if signal[0] == 0 || tooLoud(plan) {
			rows[i] = overflowed(vocab)
		}
	}
	return rows, nil
}
