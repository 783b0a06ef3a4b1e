package generate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/inputs"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Model is a decoder that is ready to continue texts. Its methods may be called from several goroutines.
type Model struct {
	session *decoder.Session
	logits  string
	signal  bool // the session has the output rewrite.Signal
	carries []inputs.Carry
	context int // the longest text, 0 if unknown
}

// Open opens a session on a decoder with the changes of a request, usually the ports of interventions. Only the logits of the
// last position are computed, where the form of the file allows that.
func Open(ctx context.Context, host runtime.Host, d *decoder.Model, o runtime.Options, req rewrite.Request) (*Model, error) {
	s, err := open(ctx, host, d, o, req)
	if err != nil {
		return nil, err
	}
	m := &Model{session: s, context: s.Layout.NCtx}
	if m.context == 0 {
		m.context = d.Config.NCtx
	}
	m.carries, err = s.Signature.Cache()
	switch logits := s.Layout.Logits(); {
	case err != nil:
	case logits == nil:
		err = hint.With(errors.New("the model ends in hidden states: it has no logits"), "use a file exported for text generation")
	default:
		m.logits = logits.Name()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	m.signal = slices.ContainsFunc(s.Outputs(), func(p runtime.Port) bool { return p.Name == rewrite.Signal })
	return m, nil
}

// open asks for the last logits, and does without where the file cannot give them alone.
func open(ctx context.Context, host runtime.Host, d *decoder.Model, o runtime.Options, req rewrite.Request) (*decoder.Session, error) {
	req.LastLogits = true
	refused := false
	change := func(ctx context.Context, c *decoder.Copy) error {
		err := decoder.Apply(req)(ctx, c)
		refused = err != nil
		return err
	}
	s, err := d.Session(ctx, host, o, change)
	if refused && ctx.Err() == nil {
		req.LastLogits = false
		return d.Session(ctx, host, o, decoder.Apply(req))
	}
	return s, err
}

// Cached reports whether the file has a cache. Without one, every step runs the whole text again.
func (m *Model) Cached() bool { return len(m.carries) > 0 }

// Close frees the session.
func (m *Model) Close() error { return m.session.Close() }

// check refuses prompts that cannot be run.
func (m *Model) check(prompt []int64) error {
	if len(prompt) == 0 {
		return errors.New("the prompt is empty")
	}
	if m.context > 0 && len(prompt) >= m.context {
		return hint.With(fmt.Errorf("a prompt of %d tokens leaves no room: the model's context is %d", len(prompt), m.context), "shorten the prompt")
	}
	return nil
}
