package generate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// Request describes a continuation.
type Request struct {
	Prompt   []int64
	Max      int // the most tokens that are generated
	Sampling Sampling
	Plan     intervention.Plan // the ports that it needs are in the model; nil: no interventions
	EOS      []int64           // tokens that end the text; such a token is the last one of the result and not part of its text

	// Tokenizer turns tokens into text. Without it, Text is "" and there can be no stop texts.
	Tokenizer *tokenizer.Tokenizer
	Stop      []string                // texts that end the text; the result's text ends before the first of them
	Stream    func(text string) error // receives the text piece by piece; nil: nobody
}

// End is the reason why a continuation is complete.
type End string

// The reasons.
const (
	EndLength  End = "length"  // as many tokens as requested
	EndEOS     End = "eos"     // a token that ends the text
	EndStop    End = "stop"    // a stop text
	EndContext End = "context" // the text is as long as the model's context
)

// Continuation is a generated text.
type Continuation struct {
	IDs  []int64 // without the prompt
	Text string
	End  End
	Took time.Duration // from the first step to the last
}

// Continue generates a text. The result depends only on the request: equal requests give equal tokens.
func (m *Model) Continue(ctx context.Context, r Request) (c *Continuation, err error) {
	if err := errors.Join(m.check(r.Prompt), r.Sampling.Check(), r.check(), r.Plan.Check(m.session.Layout)); err != nil {
		return nil, err
	}
	limit := len(r.Prompt) + r.Max
	if m.context > 0 {
		limit = min(limit, m.context)
	}
	s, err := m.begin(r.Prompt, limit, r.Plan)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	start := time.Now()
	c = &Continuation{End: EndLength}
	text, choose := newText(r.Tokenizer, r.Stop, r.Stream), r.Sampling.chooser(r.Prompt)
	for fresh := r.Prompt; len(c.IDs) < r.Max; {
		if len(s.ids)+len(fresh) > limit {
			c.End = EndContext
			break
		}
		logits, err := s.next(ctx, fresh...)
		if err != nil {
			return nil, fmt.Errorf("token %d of the continuation: %w", len(c.IDs), err)
		}
		id := choose(logits)
		c.IDs = append(c.IDs, id)
		if slices.Contains(r.EOS, id) {
			c.End = EndEOS
			break
		}
		stopped, err := text.add(id)
		if err != nil {
			return nil, err
		}
		if stopped {
			c.End = EndStop
			break
		}
		fresh = []int64{id}
	}
	c.Text, err = text.end()
	c.Took = time.Since(start)
	return c, err
}

func (r Request) check() error {
	switch {
	case r.Max < 1:
		return fmt.Errorf("%d tokens, want 1 or more", r.Max)
	case len(r.Stop) > 0 && r.Tokenizer == nil:
		return errors.New("stop texts need a tokenizer")
	case slices.Contains(r.Stop, ""):
		return errors.New("a stop text is empty")
	}
	return nil
}
