package intervention

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// Change is an intervention at one layer, with its numbers.
type Change struct {
	Site      models.PortKind
	Layer     int
	Heads     []int   // of a site by head; nil for all
	Keep      float64 // multiplies the model's own value
	Tau       float64
	Vector    []float32 // [d_model], or [head, d_head]; nil for no memory
	Positions Positions // found in the prompt; see Positions.Find
	When      When      // "" is always
	Entry     int       // the index of the entry that it comes from, among those that were resolved
}

// Change returns the change that an entry makes at a layer. vector is its memory, nil for none.
func (e Entry) Change(layer int, vector []float32) (Change, error) {
	p, err := e.positions()
	return Change{Site: e.At(), Layer: layer, Heads: e.Heads, Keep: e.keep(), Tau: e.tau(), Vector: vector, Positions: p, When: e.When}, err
}

var errRange = errors.New("no such position")

// at returns the position of a prompt of n tokens.
func (c *Captured) at(n int) (int, error) {
	if c.Position == "" || c.Position == "last" {
		return n - 1, nil
	}
	i, err := strconv.Atoi(c.Position)
	if err != nil {
		return 0, fmt.Errorf("captured: position %q: want last or a number", c.Position)
	}
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return 0, fmt.Errorf("captured: position %s, the prompt has tokens 0 to %d: %w", c.Position, n-1, errRange)
	}
	return i, nil
}

// At returns the position in a prompt of n tokens. A negative index counts from the end.
func (c *Captured) At(n int) (int, error) { return c.at(n) }

// Span is the part of a text that runs in one step: the positions From to To, To excluded. The first Prompt positions of the text
// are its prompt.
type Span struct{ From, To, Prompt int }

// Plan is the changes of one run, in order. A later change of a value sees what the earlier ones made of it.
type Plan []Change

// Check refuses changes that the model cannot make.
func (p Plan) Check(l *models.Layout) error {
	for _, c := range p {
		if c.Layer < 0 || c.Layer >= l.Layers {
			return fmt.Errorf("layer %d, the model has 0 to %d", c.Layer, l.Layers-1)
		}
		for _, h := range c.Heads {
			if h < 0 || h >= l.Heads {
				return fmt.Errorf("head %d, the model has 0 to %d", h, l.Heads-1)
			}
		}
		if n := c.Site.Intervention().MemoryLen(l); c.Vector != nil && len(c.Vector) != n {
			return fmt.Errorf("a memory of %d numbers at %s, want %d", len(c.Vector), c.Site, n)
		}
		for _, b := range l.Bodies {
			if why := c.Site.Intervention().Missing(b.Layers[c.Layer]); why != "" {
				return fmt.Errorf("%s of layer %d: %s", c.Site, c.Layer, why)
			}
		}
	}
	return nil
}

// Acts reports whether any change can have an effect.
func (p Plan) Acts() bool {
	return slices.ContainsFunc(p, func(c Change) bool { return c.Keep != 1 || c.Vector != nil && c.Tau != 0 })
}

// Ports are the inputs that a place needs.
type Ports struct {
	models.BakedAt
	Memory, Keep bool
}

// Ports lists the places that the plan changes, each once, in the order of the plan.
func (p Plan) Ports() []Ports {
	var out []Ports
	for _, c := range p {
		at := models.BakedAt{Site: c.Site, Layer: c.Layer}
		i := slices.IndexFunc(out, func(x Ports) bool { return x.BakedAt == at })
		if i < 0 {
			i, out = len(out), append(out, Ports{BakedAt: at})
		}
		out[i].Memory = out[i].Memory || c.Vector != nil
		out[i].Keep = out[i].Keep || c.Keep != 1
	}
	return out
}

// Feeds returns the tensors of the ports for a span of the text. Where all positions are alike, they have one position.
func (p Plan) Feeds(l *models.Layout, s Span) (map[string]*graph.Tensor, error) {
	return p.feeds(p.Ports(), l, s)
}

func (p Plan) feeds(ports []Ports, l *models.Layout, s Span) (map[string]*graph.Tensor, error) {
	out := map[string]*graph.Tensor{}
	for _, at := range ports {
		if err := p.feed(out, at, l, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Rows returns the tensors of the ports for a batch: row i of the batch has the changes of plan i. The ports are those that any of
// the plans needs.
func Rows(plans []Plan, l *models.Layout, s Span) (map[string]*graph.Tensor, error) {
	ports := Plan(slices.Concat(plans...)).Ports()
	rows := map[string][]*graph.Tensor{}
	for _, p := range plans {
		feeds, err := p.feeds(ports, l, s)
		if err != nil {
			return nil, err
		}
		for name, t := range feeds {
			rows[name] = append(rows[name], t)
		}
	}
	out := map[string]*graph.Tensor{}
	for name, list := range rows {
		t, err := stack(list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = t
	}
	return out, nil
}

// stack joins tensors [1, 1 or pos, …] of one port along the first axis.
func stack(list []*graph.Tensor) (*graph.Tensor, error) {
	pos := int64(1)
	for _, t := range list {
		pos = max(pos, t.Dims[1])
	}
	var out []float32
	for _, t := range list {
		x, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		for range pos / t.Dims[1] {
			out = append(out, x...)
		}
	}
	dims := slices.Clone(list[0].Dims)
	dims[0], dims[1] = int64(len(list)), pos
	return graph.NewFloat32(out, dims...), nil
}

// feed makes the tensors of one place: for each position and head the product of all factors, and the sum of all memories times
// their taus and the later factors. One memory alone is fed as it is, with its tau.
func (p Plan) feed(out map[string]*graph.Tensor, at Ports, l *models.Layout, s Span) error {
	dims := at.Site.Intervention().MemoryDims(l)
	width := int(dims[len(dims)-1])
	rows := at.Site.Intervention().MemoryLen(l) / width // 1, or the heads
	n := s.To - s.From
	keep, tau := slices.Repeat([]float32{1}, n*rows), make([]float32, n*rows)
	var memory, single []float32
	var changes []Change
	for _, c := range p {
		if c.Site == at.Site && c.Layer == at.Layer {
			changes = append(changes, c)
		}
	}
	alone := len(changes) == 1
	for _, c := range changes {
		from, to, err := c.Positions.Within(s.Prompt)
		if err != nil {
			return err
		}
		if c.Vector != nil && memory == nil {
			if memory, single = make([]float32, n*rows*width), c.Vector; !alone {
				single = nil
			}
		}
		for i := range n {
			if !c.acts(s, s.From+i, from, to) {
				continue
			}
			for h := range rows {
				if c.Heads != nil && !slices.Contains(c.Heads, h) {
					continue
				}
				k := i*rows + h
				keep[k] = float32(float64(keep[k]) * c.Keep)
				if memory == nil {
					continue
				}
				tau[k] = 1
				if alone {
					tau[k] = float32(c.Tau)
				}
				for j := range width {
					m := &memory[k*width+j]
					*m = float32(float64(*m) * c.Keep)
					if c.Vector != nil {
						*m += float32(c.Tau) * c.Vector[h*width+j]
					}
				}
			}
		}
	}
	scalar := append(slices.Clone(dims[:len(dims)-1]), 1)
	put := func(kind models.PortKind, x []float32, dims []int64) {
		pos := n
		if size := len(x) / n; uniform(x, size) {
			x, pos = x[:size], 1
		}
		out[at.Site.Input(kind).Name(at.Layer)] = graph.NewFloat32(x, append([]int64{1, int64(pos)}, dims...)...)
	}
	if at.Keep {
		put(models.PortKeep, keep, scalar)
	}
	if !at.Memory {
		return nil
	}
	put(models.PortTau, tau, scalar)
	switch {
	case single != nil:
		memory = slices.Repeat(single, n)
	case memory == nil: // of another row of the batch
		memory = make([]float32, n*rows*width)
	}
	put(models.PortMemory, memory, dims)
	return nil
}

// acts reports whether the change acts at position p; from and to are its positions in the prompt.
func (c Change) acts(s Span, p, from, to int) bool {
	if p >= s.Prompt {
		return c.When != Prompt && c.Positions == AllPositions
	}
	return c.When != Generated && from <= p && p < to
}

// uniform reports whether all parts of x of a size are equal.
func uniform(x []float32, size int) bool {
	for at := size; at < len(x); at += size {
		if !slices.Equal(x[at:at+size], x[:size]) {
			return false
		}
	}
	return true
}
