package generate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// steps runs one text, step by step.
type steps struct {
	m      *Model
	plan   intervention.Plan
	prompt int // tokens
	ids    []int64
	ran    int // positions whose keys and values are in the cache
	cache  map[string]runtime.Value
}

// begin prepares a text of at most limit tokens.
func (m *Model) begin(prompt []int64, limit int, plan intervention.Plan) (*steps, error) {
	s := &steps{m: m, plan: plan, prompt: len(prompt), cache: map[string]runtime.Value{}}
	in := m.session.Signature
	size := 0
	if m.inPlace() {
		size = limit
	}
	empty, err := in.FullCache(1, size)
	if err != nil {
		return nil, err
	}
	for name, t := range empty {
		if s.cache[name], err = m.session.Hold(t); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// inPlace reports whether one tensor can hold the cache of the whole text.
func (m *Model) inPlace() bool {
	for _, c := range m.carries {
		if !c.InPlace {
			return false
		}
	}
	return len(m.carries) > 0
}

// next appends tokens to the text and returns the logits [vocab] at the last of them.
func (s *steps) next(ctx context.Context, ids ...int64) (logits []float32, err error) {
	s.ids = append(s.ids, ids...)
	for s.ran < len(s.ids) {
		to := len(s.ids)
		if s.m.session.Signature.Length == 1 {
			to = s.ran + 1
		}
		if logits, err = s.run(ctx, to); err != nil {
			return nil, err
		}
	}
	if !s.m.Cached() {
		s.ran = 0
	}
	return logits, nil
}

// run runs the positions that are not in the cache, up to one.
func (s *steps) run(ctx context.Context, to int) ([]float32, error) {
	m, at := s.m, intervention.Span{From: s.ran, To: to, Prompt: s.prompt}
	in, err := m.session.Signature.Step([][]int64{s.ids[at.From:at.To]}, at.From)
	if err != nil {
		return nil, err
	}
	ports, err := s.plan.Feeds(m.session.Layout, at)
	if err != nil {
		return nil, err
	}
	maps.Copy(in, ports)
	step := runtime.Step{In: in, Held: s.cache, Want: []string{m.logits}}
	if m.signal {
		step.Want = append(step.Want, rewrite.Signal)
	}
	inPlace := m.inPlace()
	if inPlace {
		step.Into = map[string]runtime.Value{}
	}
	for _, c := range m.carries {
		if inPlace {
			step.Into[c.Present] = s.cache[c.Past]
		} else {
			step.Keep = append(step.Keep, c.Present)
		}
	}
	r, err := m.session.Step(ctx, step)
	if err != nil {
		return nil, err
	}
	for _, c := range m.carries {
		if v := r.Kept[c.Present]; v != nil {
			old := s.cache[c.Past]
			s.cache[c.Past] = v
			if err := old.Close(); err != nil {
				return nil, err
			}
		}
	}
	s.ran = at.To
	return lastRow(r.Out, m.logits)
}

// close frees the cache.
func (s *steps) close() error {
	var errs []error
	for _, v := range s.cache {
		if v != nil {
			errs = append(errs, v.Close())
		}
	}
	return errors.Join(errs...)
}

// ErrRange is wrapped by errors about logits that are not finite, or that say nothing about the text.
var ErrRange = errors.New("the numbers left the range of the model's type")

// lastRow takes the logits of the last position, and refuses those that are not finite and those of a stream that the last norm
// lost; see [rewrite.Signal].
func lastRow(out map[string]*graph.Tensor, name string) ([]float32, error) {
	t := out[name]
	x, err := t.Float32s()
	if err != nil {
		return nil, fmt.Errorf("logits: %w", err)
	}
	if len(t.Dims) < 2 || len(x) == 0 {
		return nil, fmt.Errorf("logits of shape %v, want [batch, pos, vocab]", t.Dims)
	}
	row := x[len(x)-int(t.Dims[len(t.Dims)-1]):]
	for id, v := range row {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("the logit of token %d is %v: %w", id, v, ErrRange)
		}
	}
	if t := out[rewrite.Signal]; t != nil {
		if signal, err := t.Float32s(); err != nil || len(signal) != 1 || signal[0] == 0 {
			return nil, errors.Join(ErrRange, err)
		}
	}
	return row, nil
}
