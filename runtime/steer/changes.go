package steer

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// TauUnit is the unit of the taus of added memories.
type TauUnit string

// The units.
const (
	// TauRaw multiplies the memory as it is: the paper's unit.
	TauRaw TauUnit = "raw"
	// TauNorm scales the memory to length 1 and multiplies tau by the mean length of the site's own clean value over the
	// positions of the prompt: tau 1 is as long as what the site holds. At a site by head, all heads together are one vector.
	TauNorm TauUnit = "norm"
)

// TauUnits lists the units, the default first.
var TauUnits = []TauUnit{TauRaw, TauNorm}

// Resolve turns interventions as users write them into a plan for a prompt: layers become numbers, texts and files become
// vectors, and captured values are computed by a run of the model.
func (m *Model) Resolve(ctx context.Context, entries []intervention.Entry, unit TauUnit, ids []int64) (intervention.Plan, error) {
	r := &resolver{Model: m, unit: unit, ids: ids}
	if err := r.look(ctx, entries); err != nil {
		return nil, err
	}
	var plan intervention.Plan
	for i, e := range entries {
		changes, err := r.resolve(ctx, e)
		if err != nil {
			return nil, fmt.Errorf("intervention %d (%s at %s@%s): %w", i, e.Op, e.At(), e.Layers, err)
		}
		for _, c := range changes {
			c.Entry = i
			plan = append(plan, c)
		}
	}
	if err := plan.OneMemory(entries); err != nil {
		return nil, err
	}
	return plan, plan.Check(m.Layout)
}

// resolver holds what the entries of one prompt need.
type resolver struct {
	*Model
	unit   TauUnit
	ids    []int64
	values map[string]map[string]*graph.Tensor // of the runs of prompts: hook → value
}

// look runs the prompts whose values are needed, all in one session.
func (r *resolver) look(ctx context.Context, entries []intervention.Entry) error {
	r.values = map[string]map[string]*graph.Tensor{}
	hooks := map[string][]string{} // prompt → hooks
	needed := map[models.BakedAt]bool{}
	add := func(prompt string, site models.PortKind, layer int) {
		needed[models.BakedAt{Site: site, Layer: layer}] = true
		if name := site.Name(layer); !slices.Contains(hooks[prompt], name) {
			hooks[prompt] = append(hooks[prompt], name)
		}
	}
	for _, e := range entries {
		if e.Memory == nil {
			continue
		}
		layers, err := models.ParseLayers(string(e.Layers), r.Layout.Layers)
		if err != nil {
			return err
		}
		for _, layer := range layers {
			if r.unit == TauNorm && e.Op == intervention.Add {
				add("", e.At(), layer)
			}
			if c := e.Memory.Captured; c != nil {
				site, from := source(c, e.At(), layer)
				if from < 0 || from >= r.Layout.Layers {
					return fmt.Errorf("captured: layer %d, the model has 0 to %d", from, r.Layout.Layers-1)
				}
				add(c.Prompt, site, from)
			}
		}
	}
	if len(hooks) == 0 {
		return nil
	}
	s, err := r.looker(ctx, func(at models.BakedAt) bool { return needed[at] })
	if err != nil {
		return err
	}
	for prompt, names := range hooks {
		ids := r.ids
		if prompt != "" {
			if ids, err = r.Prompt(prompt); err != nil {
				return err
			}
		}
		feeds, err := s.Signature.Feeds([][]int64{ids})
		if err != nil {
			return err
		}
		if r.values[prompt], err = s.Run(ctx, feeds, names...); err != nil {
			return err
		}
	}
	return nil
}

// looker returns the session that shows the values of the sites for which wanted holds.
func (m *Model) looker(ctx context.Context, wanted func(models.BakedAt) bool) (*decoder.Session, error) {
	var req rewrite.Request
	for _, site := range models.Sites() {
		x := missingPorts(site, m.Layout, m.Decoder.Manifest, func(l *models.Layer) bool { return wanted(models.BakedAt{Site: site, Layer: l.Index}) })
		req.Expose = append(req.Expose, x...)
	}
	return m.open(ctx, &m.looking, req)
}

// Values runs a text and returns the model's own values at the given places: [pos, d_model], or [pos, head, d_head] at a site by
// head, as one list of numbers each. Calls with the same places share a session.
func (m *Model) Values(ctx context.Context, ids []int64, places []models.BakedAt) ([][]float32, error) {
	if err := m.fits("text", ids); err != nil {
		return nil, err
	}
	s, err := m.looker(ctx, func(at models.BakedAt) bool { return slices.Contains(places, at) })
	if err != nil {
		return nil, err
	}
	return m.values(ctx, s, ids, places)
}

// values is Values in a session that shows the places.
func (m *Model) values(ctx context.Context, s *decoder.Session, ids []int64, places []models.BakedAt) ([][]float32, error) {
	feeds, err := s.Signature.Feeds([][]int64{ids})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, at := range places {
		names = append(names, at.Site.Name(at.Layer))
	}
	out, err := s.Run(ctx, feeds, names...)
	if err != nil {
		return nil, err
	}
	values := make([][]float32, len(places))
	for i, at := range places {
		if values[i], err = out[names[i]].Float32s(); err != nil {
			return nil, err
		}
		if want := len(ids) * at.Site.Intervention().MemoryLen(m.Layout); len(values[i]) != want {
			return nil, fmt.Errorf("%s: %d numbers, want %d", names[i], len(values[i]), want)
		}
	}
	return values, nil
}

// source returns the site and the layer that a captured value comes from.
func source(c *intervention.Captured, at models.PortKind, layer int) (models.PortKind, int) {
	if c.Site != "" {
		at = c.Site
	}
	if c.Layer != nil {
		layer = *c.Layer
	}
	return at, layer
}

// resolve makes the changes of one entry.
func (r *resolver) resolve(ctx context.Context, e intervention.Entry) ([]intervention.Change, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	layers, err := models.ParseLayers(string(e.Layers), r.Layout.Layers)
	if err != nil {
		return nil, err
	}
	var out []intervention.Change
	for _, layer := range layers {
		v, err := r.memoryOf(ctx, e, layer)
		if err != nil {
			return nil, err
		}
		c, err := e.Change(layer, v)
		if err != nil {
			return nil, err
		}
		found, err := r.Find(c.Positions, r.ids)
		if err != nil {
			return nil, err
		}
		if r.unit == TauNorm && e.Op == intervention.Add {
			if c, err = r.inNorms(c); err != nil {
				return nil, err
			}
		}
		for _, c.Positions = range found {
			out = append(out, c)
		}
	}
	return out, nil
}

// Find locates positions that are given by a text in a prompt; see [intervention.Positions.Find].
func (m *Model) Find(p intervention.Positions, ids []int64) ([]intervention.Positions, error) {
	if !p.InText() {
		return []intervention.Positions{p}, nil
	}
	t, err := m.tokens()
	if err != nil {
		return nil, err
	}
	var pieces [][]byte
	for _, id := range ids {
		pieces = append(pieces, t.Bytes(id))
	}
	return p.Find(pieces)
}

// memoryOf returns the vector of an entry at a layer, nil for none.
func (r *resolver) memoryOf(ctx context.Context, e intervention.Entry, layer int) ([]float32, error) {
	m := e.Memory
	switch {
	case m == nil:
		return nil, nil
	case m.Vector != "":
		v, err := vector.Read(m.Vector)
		if err != nil {
			return nil, err
		}
		if want := e.At().Intervention().MemoryLen(r.Layout); len(v.Data) != want {
			return nil, fmt.Errorf("the vector has %d numbers, but a memory at %s has %d: it was made for another model or site", len(v.Data), e.At(), want)
		}
		return v.Data, nil
	case m.Captured != nil:
		site, from := source(m.Captured, e.At(), layer)
		return at(r.values[m.Captured.Prompt][site.Name(from)], m.Captured)
	}
	enc, conv := m.Encoding, m.Convention
	if enc == "" {
		enc = memory.Encodings[0]
	}
	if conv == "" {
		conv = memory.Conventions[0]
	}
	return r.Encode(ctx, m.Text, enc, conv, layer)
}

// at returns the numbers of a value [1, pos, …] at the position that is captured.
func at(t *graph.Tensor, c *intervention.Captured) ([]float32, error) {
	x, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	n := int(t.Dims[1])
	i, err := c.At(n)
	if err != nil {
		return nil, err
	}
	size := len(x) / n
	return slices.Clone(x[i*size : (i+1)*size]), nil
}

// inNorms gives a change with tau in units of the site's own length the memory and the tau that have the same effect.
func (r *resolver) inNorms(c intervention.Change) (intervention.Change, error) {
	own, err := r.values[""][c.Site.Name(c.Layer)].Float32s()
	if err != nil {
		return c, err
	}
	c.Vector, err = Direction(c.Vector)
	c.Tau *= MeanLength(own, len(r.ids))
	return c, err
}

// MeanLength is the mean length of a value [pos, …] over its n positions.
func MeanLength(value []float32, n int) float64 {
	mean, size := 0.0, len(value)/n
	for p := range n {
		mean += memory.Length(value[p*size:(p+1)*size]) / float64(n)
	}
	return mean
}

// Direction returns a vector with the direction of v and length 1.
func Direction(v []float32) ([]float32, error) {
	length := memory.Length(v)
	if length == 0 || math.IsInf(length, 0) || math.IsNaN(length) {
		return nil, fmt.Errorf("a memory of length %g has no direction, which --tau-unit norm needs", length)
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / length)
	}
	return out, nil
}

// steering is the session with the ports that a plan needs and the file does not have.
func (m *Model) steering(ctx context.Context, p intervention.Plan) (*decoder.Session, error) {
	return m.open(ctx, &m.planned, RequestOf(p, m.Decoder.Manifest))
}

// RequestOf returns the request for the ports of a plan that a patched file does not have. man may be nil.
func RequestOf(p intervention.Plan, man *models.Manifest) rewrite.Request {
	req := rewrite.Request{Signal: true}
	for _, x := range p.Ports() {
		add := func(list *[]rewrite.Inject, wanted bool, kind models.PortKind) {
			if wanted && man.Port(x.Site.Input(kind).Name(x.Layer)) == nil {
				*list = append(*list, rewrite.Inject{Site: x.Site, Layers: []int{x.Layer}})
			}
		}
		add(&req.Inject, x.Memory, models.PortMemory)
		add(&req.Gate, x.Keep, models.PortKeep)
	}
	return req
}

// runPlan runs a text with a plan, and returns the logits at the last position. The first n tokens of the text are the prompt.
func (m *Model) runPlan(ctx context.Context, s *decoder.Session, ids []int64, p intervention.Plan, n int) ([]float32, error) {
	feeds, err := s.Signature.Feeds([][]int64{ids})
	if err != nil {
		return nil, err
	}
	changed, err := p.Feeds(m.Layout, intervention.Span{To: len(ids), Prompt: n})
	if err != nil {
		return nil, err
	}
	maps.Copy(feeds, changed)
	out, err := m.score(ctx, s, feeds, 1)
	if err != nil {
		return nil, err
	}
	if tooLoud(p) {
		return overflowed(len(out[0])), nil
	}
	return out[0], nil
}

// overflowed is the logits of a row whose numbers left the range of their type.
func overflowed(n int) []float32 { return slices.Repeat([]float32{float32(math.Inf(1))}, n) }

// requestKey identifies a request by the ports that it adds.
func requestKey(req rewrite.Request) string {
	var b strings.Builder
	for _, x := range req.Expose {
		fmt.Fprint(&b, x.Kind.Name(), x.Layers)
	}
	fmt.Fprint(&b, req.Inject, req.Gate, req.Signal)
	return b.String()
}
