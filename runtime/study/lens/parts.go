package lens

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
)

// Parts selects what a lens shows of a prompt besides what its heads write.
type Parts struct {
	Stream      bool // the residual stream through the final norm and the unembedding, at every layer and position
	Attribution bool // what each part of the stream adds to the logit of the answer
	Patterns    bool // which positions heads read

	Of        []HeadAt // whose patterns; nil means the heads with the largest attribution
	SkipHeads bool     // leave out what the heads write
	Lenient   bool     // leave out what the file cannot give, and report the reason in [Report.Absent]
}

// HeadAt is a head of a layer.
type HeadAt struct {
	Layer int `json:"layer"`
	Head  int `json:"head"`
}

// String writes a head as LAYER.HEAD.
func (h HeadAt) String() string { return fmt.Sprintf("%d.%d", h.Layer, h.Head) }

// Absent is a part that was left out.
type Absent struct {
	Part string `json:"part"` // "stream", "attribution", "patterns"
	Why  string `json:"why"`
}

// any reports whether a part is selected.
func (p Parts) any() bool { return p.Stream || p.Attribution || p.Patterns }

// part is one of the parts: what selects it, which ports it reads, and whether it needs the final norm.
type part struct {
	name     string
	selected func(*Parts) *bool
	norm     bool
	ports    func(Parts, *models.Layout, ports)
}

// The parts, in the order in which one needs the other.
var parts = []part{
	{"stream", func(p *Parts) *bool { return &p.Stream }, true, func(_ Parts, l *models.Layout, out ports) {
		out.add(models.PortResidPre, 0)
		out.add(models.PortResidPost, layersOf(l)...)
	}},
	{"attribution", func(p *Parts) *bool { return &p.Attribution }, true, func(_ Parts, l *models.Layout, out ports) {
		out.add(models.PortResidPre, 0)
		out.add(models.PortResult, layersOf(l)...)
		for i, x := range l.Bodies[0].Layers {
			if joinsLater(x) {
				out.add(models.PortAttnOut, i)
			}
			if hasMLP(x) {
				out.add(models.PortMLPOut, i)
			}
		}
		out.add(models.PortResidPost, l.Layers-1)
	}},
	{"patterns", func(p *Parts) *bool { return &p.Patterns }, false, func(p Parts, l *models.Layout, out ports) {
		if p.Of == nil {
			out.add(models.PortPattern, layersOf(l)...)
		}
		for _, h := range p.Of {
			out.add(models.PortPattern, h.Layer)
		}
	}},
}

// ports lists the ports that the selected parts read.
func (p Parts) ports(l *models.Layout) ports {
	out := ports{}
	for _, x := range parts {
		if *x.selected(&p) {
			x.ports(p, l, out)
		}
	}
	return out
}

// fit checks that a file can give the selected parts.
func (p Parts) fit(l *models.Layout, final error) (Parts, []Absent, error) {
	for _, h := range p.Of {
		if h.Layer < 0 || h.Layer >= l.Layers || h.Head < 0 || h.Head >= l.Heads {
			return p, nil, fmt.Errorf("no head %v: the model has layers 0 to %d of heads 0 to %d", h, l.Layers-1, l.Heads-1)
		}
	}
	if p.Patterns && p.Of == nil {
		p.Attribution = true // it chooses the heads
	}
	var absent []Absent
	for _, x := range parts {
		selected := x.selected(&p)
		if !*selected {
			continue
		}
		err := missing(p, x, l)
		if x.norm {
			err = cmp.Or(final, err)
		}
		if x.name == "patterns" && p.Of == nil && !p.Attribution {
			err = cmp.Or(err, errors.New("they are shown for the heads with the largest attribution, which is absent too: name the heads"))
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s: %w", x.name, err)
		if !p.Lenient {
			return p, nil, err
		}
		*selected = false
		absent = append(absent, Absent{x.name, errors.Unwrap(err).Error()})
	}
	return p, absent, nil
}

// missing returns the reason why the file lacks a port that a part reads.
func missing(p Parts, x part, l *models.Layout) error {
	want := ports{}
	x.ports(p, l, want)
	for _, kind := range models.Outputs() {
		for _, i := range want[kind] {
			for _, b := range l.Bodies {
				if why := b.Layers[i].Missing[string(kind)]; why != "" {
					return fmt.Errorf("layer %d: no %s: %s", i, kind, why)
				}
			}
		}
	}
	return nil
}

// hasMLP reports whether a layer adds the output of an MLP to the stream.
func hasMLP(l *models.Layer) bool { return l.Missing[string(models.PortMLPOut)] == "" }

func layersOf(l *models.Layout) []int { return numbers(l.Layers) }

// see fills in the selected parts of some views. answer is the token whose logit is attributed; -1 means the likeliest next token of the
// first view.
func (l *Lens) see(ctx context.Context, views []View, answer int64, top int) error {
	for i := range views {
		v := &views[i]
		s, err := l.heads.sight(ctx, v.Tokens, l.parts)
		if err != nil {
			return err
		}
		if l.parts.Attribution {
			if v.Attribution, err = l.attribute(s, answer); err != nil {
				return err
			}
			answer = v.Attribution.Answer.ID
		}
		if l.parts.Stream {
			if v.Stream, err = l.stream(ctx, s, answer, top); err != nil {
				return err
			}
		}
	}
	if !l.parts.Patterns {
		return nil
	}
	of := l.parts.Of
	if of == nil {
		of = views[0].Attribution.largest(patternsShown)
	}
	for i := range views {
		var err error
		if views[i].Patterns, err = l.heads.patterns(ctx, views[i].Tokens, of); err != nil {
			return err
		}
	}
	return nil
}

// sight is what a prompt leaves at the ports of stream and attribution.
type sight struct {
	pos    int
	embed  []float32   // resid_pre of layer 0, [pos, d_model]
	posts  [][]float32 // resid_post by layer, [pos, d_model]; only the last unless the stream is selected
	parts  []layerParts
	logits []float32 // of the last position
}

// layerParts are what a layer adds to the stream at the last position.
type layerParts struct {
	results [][]float32 // by head, before the step
	step    *step
	mlp     []float32 // nil for a layer without an MLP
}

// sight runs a prompt for the ports of stream and attribution.
func (h *heads) sight(ctx context.Context, ids []int64, p Parts) (*sight, error) {
	p.Patterns = false
	if !p.any() {
		return nil, nil
	}
	l := h.layout
	want := p.ports(l)
	names := want.names()
	if p.Attribution {
		names = append(names, h.session.Layout.Logits().Name())
	}
	out, err := h.read(ctx, ids, true, names...)
	if err != nil {
		return nil, err
	}
	s := &sight{pos: len(ids)}
	all := func(kind models.PortKind, layer int) (x []float32) {
		if err == nil {
			if x, err = out[kind.Name(layer)].Float32s(); err == nil && len(x) != s.pos*h.d {
				err = fmt.Errorf("%s has %d numbers, want %d positions of %d", kind.Name(layer), len(x), s.pos, h.d)
			}
			x = slices.Clone(x)
		}
		return x
	}
	last := func(kind models.PortKind, layer, n int) (x []float32) {
		if err == nil {
			x, err = lastPosition(out[kind.Name(layer)], n)
		}
		return x
	}
	s.embed = all(models.PortResidPre, 0)
	slices.Sort(want[models.PortResidPost])
	for _, i := range want[models.PortResidPost] {
		s.posts = append(s.posts, all(models.PortResidPost, i))
	}
	if !p.Attribution {
		return s, err
	}
	for i, layer := range l.Bodies[0].Layers {
		var x layerParts
		results := last(models.PortResult, i, h.heads*h.d)
		if err != nil {
			return nil, err
		}
		x.results = slices.Collect(slices.Chunk(results, h.d))
		if j := h.joins[i]; j != nil {
			if joined := last(models.PortAttnOut, i, h.d); err == nil {
				x.step, err = j.step(x.results, joined)
			}
		}
		if hasMLP(layer) {
			x.mlp = last(models.PortMLPOut, i, h.d)
		}
		s.parts = append(s.parts, x)
	}
	if err == nil {
		s.logits, err = lastPosition(out[h.session.Layout.Logits().Name()], l.Vocab)
	}
	return s, err
}
