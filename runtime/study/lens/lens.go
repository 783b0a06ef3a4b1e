package lens

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// Options say how to look.
type Options struct {
	Norm    Norm
	Layers  []int        // the layers whose heads are shown, sorted; nil is all
	Parts   Parts        // what else is shown
	Texts   memory.Texts // how texts become tokens
	Runtime runtime.Options
}

// Lens is a model whose heads can be looked at. It is not safe for several goroutines.
type Lens struct {
	Layout *models.Layout
	Layers []int // those that are looked at

	name      string
	host      runtime.Host
	options   Options
	texts     *steer.Model // never loaded: it knows the tokenizer
	heads     *heads
	bias      []float32 // b_U, nil for none
	at        *coordinates
	ending    *ending // nil if no part is selected that needs it
	parts     Parts
	absent    []Absent
	constants [][]float32 // [layer * head][d_model] what heads write whatever they read; nil until needed
}

// Open loads a model on a host. A file without an unembedding is refused, and so is one whose unembedding or final norm cannot
// be read. The decoder stays the caller's to close, after the lens.
func Open(ctx context.Context, host runtime.Host, d *decoder.Model, o Options) (*Lens, error) {
	m, err := steer.New(ctx, host, d, o.Runtime)
	if err != nil {
		return nil, err
	}
	m.Texts = o.Texts
	abs, err := filepath.Abs(d.Path) // "." has a name too
	if err != nil {
		return nil, err
	}
	l := &Lens{name: filepath.Base(abs), Layout: m.Layout, Layers: o.Layers, host: host, options: o, texts: m}
	if l.Layers == nil {
		for i := range m.Layout.Layers {
			l.Layers = append(l.Layers, i)
		}
	}
	if m.Layout.Unembed == nil {
		return nil, hint.With(errors.New("the file ends in hidden states: it has no unembedding"), "use a file exported for text generation")
	}
	if l.bias, err = m.Layout.UnembedBias(); err != nil {
		return nil, err
	}
	if l.at, err = newCoordinates(o.Norm, m.Layout, l.bias); err != nil {
		return nil, fmt.Errorf("norm %q: %w", o.Norm, err)
	}
	l.parts = o.Parts
	unseen := shown(m.Layout, d.Manifest)
	if o.Norm == NormFinal && !l.parts.SkipHeads && unseen != nil {
		return nil, unseen
	}
	if l.parts.any() {
		ending, err := newEnding(m.Layout)
		if l.parts, l.absent, err = o.Parts.fit(m.Layout, cmp.Or(unseen, hint.With(err, ""))); err != nil {
			return nil, err
		}
		l.ending = ending
	}
	layers := l.Layers
	if l.parts.SkipHeads {
		layers = nil
	}
	l.heads, err = openHeads(ctx, host, d, layers, l.parts, o.Norm == NormFinal && layers != nil, o.Norm == NormTL && layers != nil, o.Runtime)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Close frees the model.
func (l *Lens) Close() error { return l.heads.session.Close() }

// Name is the last element of the path that the model was opened by.
func (l *Lens) Name() string { return l.name }

// Query is one prompt to look at.
type Query struct {
	Prompt string
	Entity *Entity // what is looked for; nil for nothing
}

// View is what the heads write for one prompt, at its last position.
type View struct {
	Prompt string   `json:"prompt"`
	Tokens []int64  `json:"tokens"`          // of the prompt, the beginning-of-text token included where it has one
	Pieces []string `json:"pieces"`          // the same as texts
	Heads  []Head   `json:"heads,omitempty"` // by layer, then by head

	Stream      *Stream      `json:"stream,omitempty"`
	Attribution *Attribution `json:"attribution,omitempty"`
	Patterns    []Pattern    `json:"patterns,omitempty"`
}

// Head is what one head writes.
type Head struct {
	Layer  int     `json:"layer"`
	Head   int     `json:"head"`
	Size   float64 `json:"size"` // the length of what the head adds to the stream, a vector [d_model]
	Top    []Token `json:"top"`  // likeliest first
	Entity *Mark   `json:"entity,omitempty"`
}

// Token is a token under a head.
type Token struct {
	Token string  `json:"token"`
	ID    int64   `json:"id"`
	Logit float64 `json:"logit"`
	LogP  float64 `json:"logp"` // natural logarithm of the softmax of the head's logits
}

// Look shows prompts head by head, with the top likeliest tokens of each head. Where one query has an entity all must.
func (l *Lens) Look(ctx context.Context, queries []Query, top int) ([]View, error) {
	asked := 0
	for i, q := range queries {
		if (q.Entity != nil) != (queries[0].Entity != nil) {
			return nil, fmt.Errorf("query %d: an entity for some queries and not for others", i)
		}
		if q.Entity != nil {
			asked = slots
		}
	}
	p, err := l.product(ctx, top, asked)
	if err != nil {
		return nil, err
	}
	defer p.session.Close()
	return l.look(ctx, p, queries)
}

// product opens the product of heads with the unembedding. Under "final" the logits of a head are its part of a sum, and b_U is another part.
func (l *Lens) product(ctx context.Context, top, asked int) (*product, error) {
	bias := l.bias
	if l.options.Norm == NormFinal {
		bias = nil
	}
	return openProduct(ctx, l.host, l.Layout, bias, 0, top, asked, l.options.Runtime)
}

func (l *Lens) look(ctx context.Context, p *product, queries []Query) ([]View, error) {
	var rows []*row
	views := make([]View, len(queries))
	for i, q := range queries {
		v := &views[i]
		var err error
		if *v, err = l.view(q.Prompt); err != nil {
			return nil, err
		}
		some, sizes, err := l.rows(ctx, v.Tokens)
		if err != nil {
			return nil, err
		}
		for k, r := range some {
			if q.Entity != nil {
				r.asked = q.Entity.asked()
			}
			v.Heads = append(v.Heads, Head{Layer: l.Layers[k/l.Layout.Heads], Head: k % l.Layout.Heads, Size: sizes[k]})
		}
		rows = append(rows, some...)
	}
	if err := p.run(ctx, rows); err != nil {
		return nil, err
	}
	for i, q := range queries {
		for k := range views[i].Heads {
			h, r := &views[i].Heads[k], rows[i*len(rows)/len(queries)+k]
			for _, t := range r.top {
				h.Top = append(h.Top, Token{l.texts.Token(t.id), t.id, t.logit, t.logit - r.logZ})
			}
			if q.Entity != nil {
				h.Entity = q.Entity.mark(r)
			}
		}
	}
	return views, nil
}

// view is a prompt with nothing seen yet.
func (l *Lens) view(prompt string) (View, error) {
	v := View{Prompt: prompt}
	var err error
	v.Tokens, err = l.texts.Prompt(prompt)
	for _, id := range v.Tokens {
		v.Pieces = append(v.Pieces, l.texts.Token(id))
	}
	return v, err
}

// rows runs a prompt and gives a row for every head, with the lengths of the heads' results.
func (l *Lens) rows(ctx context.Context, ids []int64) ([]*row, []float64, error) {
	if l.options.Norm == NormTL && l.constants == nil {
		var err error
		if l.constants, err = l.heads.constants(ctx, ids, l.Layout.Embed.In); err != nil {
			return nil, nil, err
		}
	}
	a, err := l.heads.run(ctx, ids, true)
	if err != nil {
		return nil, nil, err
	}
	sigma := 1.0
	if a.stream != nil {
		sigma = l.at.scale(a.stream)
	}
	rows, sizes := make([]*row, len(a.results)), make([]float64, len(a.results))
	for k, r := range a.results {
		v, own := make([]float64, len(r)), make([]float64, len(r))
		for i := range r {
			v[i], own[i] = float64(r[i]), float64(r[i])
			if l.constants != nil {
				v[i] -= float64(l.constants[k][i])
			}
		}
		join := a.steps[k/l.Layout.Heads]
		join.apply(v)
		join.apply(own)
		x := &row{x: make([]float32, len(r))}
		x.shift = l.at.vector(v, sigma, x.x)
		rows[k] = x
		for _, v := range own {
			sizes[k] += v * v
		}
		sizes[k] = math.Sqrt(sizes[k])
	}
	return rows, sizes, nil
}
