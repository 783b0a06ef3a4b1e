package capture

import (
	"context"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Runner runs prompts through a copy of a model that ends in the hooks: what comes after the last of them, the logits above
// all, is not computed.
type Runner struct {
	session *decoder.Session
	names   []string  // of the hooks
	rows    [][]int64 // shape of a row of each hook
}

// OpenRunner opens a session that computes the hooks.
func OpenRunner(ctx context.Context, host runtime.Host, m *decoder.Model, o runtime.Options, hooks []Hook) (*Runner, error) {
	if err := checkHooks(hooks); err != nil {
		return nil, err
	}
	l, err := m.Locate(ctx)
	if err != nil {
		return nil, err
	}
	r := &Runner{}
	req := rewrite.Request{Prefill: len(l.Bodies) > 1} // an output of a branch cannot be dropped without its If
	for _, h := range hooks {
		dims, err := h.rowDims(l)
		if err != nil {
			return nil, err
		}
		r.names, r.rows = append(r.names, h.Name()), append(r.rows, dims)
		if m.Manifest.Port(h.Name()) == nil { // a patched file may have it
			req.Expose = append(req.Expose, rewrite.Expose{Kind: h.Kind, Layers: []int{h.Layer}})
		}
	}
	r.session, err = m.Session(ctx, host, o, decoder.Apply(req), decoder.Only(r.names...))
	return r, err
}

// accepts requires that the model can be fed prompts of these lengths.
func (r *Runner) accepts(prompts []prompt) error {
	seen := map[int]bool{}
	for _, p := range prompts {
		if n := len(p.ids); !seen[n] {
			seen[n] = true
			if _, err := r.session.Signature.Feeds([][]int64{p.ids}); err != nil {
				return fmt.Errorf("prompt %d: %w", p.index, err)
			}
		}
	}
	return nil
}

// Run runs prompts of equal length in one batch. It returns the values of each hook, [batch, pos, row…], in the order of the
// hooks.
func (r *Runner) Run(ctx context.Context, ids [][]int64) ([][]float32, error) {
	feeds, err := r.session.Signature.Feeds(ids)
	if err != nil {
		return nil, err
	}
	got, err := r.session.Run(ctx, feeds, r.names...)
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(r.names))
	for i, name := range r.names {
		t := got[name]
		if want := append([]int64{int64(len(ids)), int64(len(ids[0]))}, r.rows[i]...); !slices.Equal(t.Dims, want) {
			return nil, fmt.Errorf("%s has shape %v, want %v", name, t.Dims, want)
		}
		if out[i], err = t.Float32s(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

// Last returns the values of each hook at the last position of one prompt, [row…].
func (r *Runner) Last(ctx context.Context, ids []int64) ([][]float32, error) {
	out, err := r.Run(ctx, [][]int64{ids})
	for i, dims := range r.rows {
		if err == nil {
			out[i] = out[i][len(out[i])-int(size(dims)):]
		}
	}
	return out, err
}

// Close frees the session.
func (r *Runner) Close() error { return r.session.Close() }

// size returns the number of elements of a shape.
func size(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return n
}

// HooksOf returns the hooks of a kind at the given layers.
func HooksOf(kind models.PortKind, layers ...int) ([]Hook, error) {
	k, err := rewrite.KindByName(string(kind))
	if err != nil {
		return nil, err
	}
	var out []Hook
	for _, l := range layers {
		out = append(out, Hook{k, l})
	}
	return out, nil
}
