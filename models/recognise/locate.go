package recognise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// Locate recognises a decoder in a graph by structure and constants alone. Names of values, nodes and initializers are
// ignored. cfg may be nil; the graph must then give the number of heads. Every check must hold: a graph that is nearly a
// decoder is refused with a [*Refusal] that names the difference. The time grows linearly with the size of the graph; a
// graph that would take longer is refused too. When ctx ends, Locate returns its error.
func Locate(ctx context.Context, m *graph.Model, cfg *models.Config) (*models.Layout, error) {
	l, report, err := locate(ctx, m, cfg)
	switch {
	case err == nil:
		return l, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, hint.With(&Refusal{Path: m.Path(), Report: report}, "onnx-inject inspect --why shows how far each form of attention got")
}

// Why reports what Locate tried, whether it succeeds or not.
func Why(ctx context.Context, m *graph.Model, cfg *models.Config) *Report {
	_, report, _ := locate(ctx, m, cfg)
	return report
}

// Refusal gives the reason why a graph was not recognised.
type Refusal struct {
	Path   string
	Report *Report
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: no decoder recognised: %s", r.Path, r.Report.Reason)
}

// Report lists, for every form of attention, what was examined, how far it got, and what it required.
type Report struct {
	Reason string       `json:"reason,omitempty"` // why the graph was refused; "" if it was recognised
	Forms  []FormReport `json:"forms"`
	Ops    []string     `json:"ops,omitempty"` // the most frequent operations, if nothing was found
}

// FormReport is the part of a report about one form.
type FormReport struct {
	Form    string `json:"form"`
	Doc     string `json:"doc"`
	Anchors int    `json:"anchors"` // nodes examined
	Found   int    `json:"found"`   // attention computations recognised
	Steps   int    `json:"steps"`   // steps passed, of StepsAll, on the node that got furthest without success
	At      string `json:"at,omitempty"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
}

// StepsAll is the number of steps that a form has to pass: anchor, core, scores, projection, join, shape of W_O, heads,
// place in the residual stream.
const StepsAll = 8

// note keeps the miss that got furthest.
func (r *Report) note(f *form, m *miss) {
	fr := &r.Forms[slices.Index(forms, f)]
	if fr.At == "" || m.steps > fr.Steps {
		fr.Steps, fr.At, fr.Want, fr.Got = m.steps, m.at.String(), m.want, m.got
	}
}

func locate(ctx context.Context, m *graph.Model, cfg *models.Config) (*models.Layout, *Report, error) {
	r := &Report{}
	for _, f := range forms {
		r.Forms = append(r.Forms, FormReport{Form: f.name, Doc: f.doc})
	}
	l := &models.Layout{}
	constants := ops.NewConstants(m)
	graphs := bodies(ctx, m, constants)
	for _, g := range graphs {
		a := newAnalysis(ctx, g, constants)
		b, o, err := a.body(cfg, r)
		if a.budget.Err() != nil { // then the results of walks are incomplete
			err = a.budget.Err()
		}
		if err == nil {
			err = merge(l, o, b)
		}
		if err != nil {
			r.Reason = err.Error()
			if len(graphs) > 1 {
				r.Reason = fmt.Sprintf("branch %s: %s", g.Attr(), r.Reason)
			}
			return nil, r, err
		}
	}
	l.Exporter = exporterOf(m, l)
	return l, r, nil
}

// bodies returns the graphs to search for a decoder: the main graph, or, if an If chooses between decoders, its branches,
// with the one without a cache first.
func bodies(ctx context.Context, m *graph.Model, c *ops.Constants) []*graph.Graph {
	var nearly []*graph.Graph // candidates, for the reason of a refusal
	for _, n := range m.Graph.Nodes() {
		branches := n.Branches()
		if !n.Is("If") || len(branches) != 2 {
			continue
		}
		if readsCache(branches[0]) && !readsCache(branches[1]) {
			slices.Reverse(branches)
		}
		if slices.ContainsFunc(branches, func(g *graph.Graph) bool { return hasAttention(ctx, g, c) }) {
			return branches
		}
		if nearly == nil && slices.ContainsFunc(branches, hasAnchor) {
			nearly = branches
		}
	}
	if nearly != nil && !hasAnchor(m.Graph) {
		return nearly
	}
	return []*graph.Graph{m.Graph}
}

func hasAnchor(g *graph.Graph) bool {
	return slices.ContainsFunc(g.Nodes(), func(n *graph.Node) bool {
		return slices.ContainsFunc(forms, func(f *form) bool { return n.Is(f.anchors...) })
	})
}

// hasAttention reports whether a graph contains some form of attention. A Softmax alone may only choose the next token.
func hasAttention(ctx context.Context, g *graph.Graph, c *ops.Constants) bool {
	a := newAnalysis(ctx, g, c)
	for _, n := range g.Nodes() {
		for _, f := range forms {
			if n.Is(f.anchors...) {
				if c, _ := f.match(a, n); c != nil {
					return true
				}
			}
		}
	}
	return false
}

// readsCache reports whether a branch reads four-dimensional float inputs of the main graph, which are keys and values of
// earlier tokens.
func readsCache(g *graph.Graph) bool {
	for _, n := range g.Nodes() {
		for _, v := range n.Inputs() {
			if v != nil && v.IsInput() && v.Type().DType.IsFloat() && len(v.Type().Dims) >= 4 {
				return true
			}
		}
	}
	return false
}

// body recognises one graph: its layers, its ends, and the sizes that all layers share.
func (a *analysis) body(cfg *models.Config, r *Report) (*models.Body, *models.Layout, error) {
	if err := a.findCores(r); err != nil {
		return nil, nil, err
	}
	if err := a.trace(); err != nil {
		return nil, nil, err
	}
	b := &models.Body{Graph: a.g}
	l := &models.Layout{}
	for _, c := range a.cores {
		layer, heads, m := a.layer(c, cfg)
		if m != nil {
			r.note(c.form, m)
			return nil, nil, m
		}
		r.Forms[slices.Index(forms, c.form)].Found++
		if l.Layers == 0 {
			l.Heads, l.DHead, l.KVHeads, l.DModel = heads.heads, heads.dHead, heads.kv, int(layer.WO.Out)
		}
		if heads.heads != l.Heads || heads.dHead != l.DHead || int(layer.WO.Out) != l.DModel {
			return nil, nil, fmt.Errorf("%v: %v, other layers have %v", c.node, heads, headCounts{l.Heads, l.DHead, l.KVHeads})
		}
		l.KVHeads = min(l.KVHeads, heads.kv) // if a file gives the number for one layer only, the others seem to have more
		l.Layers++
		b.Layers = append(b.Layers, layer)
	}
	if m := a.stack(b.Layers); m != nil {
		return nil, nil, m
	}
	if m := a.ownCaches(); m != nil {
		return nil, nil, m
	}
	if err := a.agrees(l, cfg); err != nil {
		return nil, nil, err
	}
	a.unembed(l, b, b.Layers[len(b.Layers)-1])
	if m := a.embed(l, b, cfg); m != nil {
		return nil, nil, m
	}
	if rows := rowsOf(l); cfg != nil && rows > 0 && cfg.Vocab > rows { // fewer tokens than rows are padding
		return nil, nil, fmt.Errorf("%d rows of token embeddings found, config.json says %d tokens: do both belong to this model?", rows, cfg.Vocab)
	}
	if b.Norm == nil {
		return nil, nil, a.noNorm(b)
	}
	if n := a.elements(b.Norm.Gamma); b.Norm.Gamma != nil && n != 0 && n != int64(l.DModel) {
		return nil, nil, fmt.Errorf("the final norm has %d weights, but W_O has d_model %d", n, l.DModel)
	}
	l.PositionKind = a.positionsOf(l)
	l.Family = nameFamily(a.traits(l, b))
	return b, l, nil
}

// findCores examines every node that may begin attention.
func (a *analysis) findCores(r *Report) error {
	var deepest *miss
	seen := map[*graph.Node]bool{}
	for _, n := range a.g.Nodes() {
		for i, f := range forms {
			if !n.Is(f.anchors...) {
				continue
			}
			r.Forms[i].Anchors++
			c, m := f.match(a, n)
			if m != nil {
				r.note(f, m)
				if deepest == nil || m.steps > deepest.steps {
					deepest = m
				}
				continue
			}
			c.form = f
			if seen[c.node] {
				return fmt.Errorf("two Softmax feed %v", c.node)
			}
			seen[c.node] = true
			if a.cores = append(a.cores, c); len(a.cores) > maxCores {
				return fmt.Errorf("more than %d attention computations", maxCores)
			}
		}
	}
	switch {
	case len(a.cores) > 0:
		return nil
	case deepest != nil:
		return fmt.Errorf("no attention found; the closest is %v", deepest)
	}
	r.Ops = opsOf(a.g)
	return fmt.Errorf("no attention found: neither Softmax followed by MatMul nor an attention operator among %s", strings.Join(r.Ops, ", "))
}

// agrees compares the layout with config.json, and refuses an encoder.
func (a *analysis) agrees(l *models.Layout, cfg *models.Config) error {
	if cfg != nil && cfg.Layers > 0 && cfg.Layers != l.Layers {
		return fmt.Errorf("%d layers found, config.json says %d", l.Layers, cfg.Layers)
	}
	if cfg != nil && cfg.DModel > 0 && cfg.DModel != l.DModel {
		return fmt.Errorf("W_O has d_model %d, config.json says %d", l.DModel, cfg.DModel)
	}
	for _, c := range a.cores {
		if c.causal == "" {
			return fmt.Errorf("%v: no causal mask found (an encoder?): want a triangle, a comparison of positions, an attribute or a cache", c.node)
		}
	}
	return nil
}

// rowsOf returns the number of tokens that the tables of a model have rows for, or 0 if it has none.
func rowsOf(l *models.Layout) int {
	if l.Vocab == 0 && l.Embed != nil {
		return int(l.Embed.In)
	}
	return l.Vocab
}

// noNorm returns the reason why no final norm was found.
func (a *analysis) noNorm(b *models.Body) error {
	if a.stray != nil {
		return &miss{8, a.stray, "a norm of the last block's output", "a norm of another value"}
	}
	last := b.Layers[len(b.Layers)-1]
	for _, n := range b.Graph.Nodes() {
		if v := n.Out(0); v != nil && a.depth(v) == len(b.Layers) && a.finalNorm(v, last) != nil {
			return &miss{8, n, "an output that is this norm, or W_U times it with only constants added", "none"}
		}
	}
	return errors.New("no norm found after the last block")
}

// headCounts holds the numbers that every layer shares.
type headCounts struct{ heads, dHead, kv int }

func (h headCounts) String() string {
	return fmt.Sprintf("%d heads of %d (%d of keys and values)", h.heads, h.dHead, h.kv)
}

// layer recognises everything around one core.
func (a *analysis) layer(c *core, cfg *models.Config) (*models.Layer, headCounts, *miss) {
	b, m := a.follow(c)
	if m != nil {
		return nil, headCounts{}, m
	}
	heads, dHead, m := a.headShape(c, b, cfg)
	if m != nil {
		return nil, headCounts{}, m
	}
	kv := a.kvHeads(c)
	if kv <= 0 && cfg != nil {
		kv = int64(cfg.KVHeads)
	}
	if kv <= 0 {
		kv = heads
	}
	if heads%kv != 0 {
		return nil, headCounts{}, &miss{7, c.node, fmt.Sprintf("a number of key and value heads that divides %d", heads), fmt.Sprint(kv)}
	}
	l, m := a.block(c, b)
	return l, headCounts{int(heads), int(dHead), int(kv)}, m
}

// merge adds a recognised body. All bodies of a file must be the same decoder.
func merge(l, o *models.Layout, b *models.Body) error {
	if len(l.Bodies) == 0 {
		*l = *o
		l.Bodies = []*models.Body{b}
		return nil
	}
	if l.Family != o.Family || l.Layers != o.Layers || l.Heads != o.Heads || l.DHead != o.DHead || l.DModel != o.DModel || l.Vocab != o.Vocab {
		return fmt.Errorf("%s with %d layers of %d heads, the other branch is %s with %d of %d", o.Family, o.Layers, o.Heads, l.Family, l.Layers, l.Heads)
	}
	l.Bodies = append(l.Bodies, b)
	return nil
}

// opsOf lists a graph's operations, the most frequent first, for the error that nothing was found.
func opsOf(g *graph.Graph) []string {
	count := map[string]int{}
	for _, n := range g.Nodes() {
		count[n.FullOp()]++
	}
	var names []string
	for op := range count {
		names = append(names, op)
	}
	slices.SortFunc(names, func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	if len(names) > 12 {
		names = append(names[:12], "…")
	}
	return names
}
