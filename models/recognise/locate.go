package recognise

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
)

// Locate recognises a decoder of the GPT-2 kind in a graph, by structure and constants alone: what values, nodes and
// initializers are called plays no part. cfg may be nil; what it says about heads must then come from the graph. Every check
// must hold: a graph that is nearly such a decoder is refused with a [*Refusal] that tells where it differs.
func Locate(m *graph.Model, cfg *models.Config) (*models.Layout, error) {
	l, report := locate(m, cfg)
	if l == nil {
		return nil, hint.With(&Refusal{Path: m.Path(), Report: report}, "onnx-inject inspect --why shows how far each form of attention got")
	}
	return l, nil
}

// Why reports what Locate tried, whether it succeeded or not.
func Why(m *graph.Model, cfg *models.Config) *Report {
	_, report := locate(m, cfg)
	return report
}

// Refusal says why a graph was not recognised.
type Refusal struct {
	Path   string
	Report *Report
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: no GPT-2 recognised: %s", r.Path, r.Report.Reason)
}

// Report tells for every form of attention what was looked at, how far it got, and what it wanted.
type Report struct {
	Reason string       `json:"reason,omitempty"` // why the graph was refused, "" when it was not
	Forms  []FormReport `json:"forms"`
	Ops    []string     `json:"ops,omitempty"` // attention-like and most frequent operations, when nothing was found
}

// FormReport is the part of a report about one form.
type FormReport struct {
	Form    string `json:"form"`
	Doc     string `json:"doc"`
	Anchors int    `json:"anchors"` // nodes looked at
	Found   int    `json:"found"`   // attention computations recognised
	Steps   int    `json:"steps"`   // of StepsAll, on the node that got furthest without arriving
	At      string `json:"at,omitempty"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
}

// StepsAll is how many steps a form has to pass: anchor, core, scores, projection, join, shape of W_O, heads, place in the
// residual stream.
const StepsAll = 8

func locate(m *graph.Model, cfg *models.Config) (*models.Layout, *Report) {
	r := &Report{}
	for _, f := range forms {
		r.Forms = append(r.Forms, FormReport{Form: f.name, Doc: f.doc})
	}
	l := &models.Layout{}
	graphs := bodies(m)
	for _, g := range graphs {
		if err := addBody(l, g, cfg, r); err != nil {
			r.Reason = err.Error()
			if len(graphs) > 1 {
				r.Reason = fmt.Sprintf("branch %s: %s", g.Attr(), r.Reason)
			}
			return nil, r
		}
	}
	l.Exporter = exporterOf(m, l)
	return l, r
}

// bodies returns the graphs to look for a decoder in: the main graph, or, when an If chooses between decoders, its branches,
// the one without a cache first.
func bodies(m *graph.Model) []*graph.Graph {
	var nearly []*graph.Graph // for the reason why they are none
	for _, n := range m.Graph.Nodes() {
		branches := n.Branches()
		if !n.Is("If") || len(branches) != 2 {
			continue
		}
		if readsCache(branches[0]) && !readsCache(branches[1]) {
			slices.Reverse(branches)
		}
		if slices.ContainsFunc(branches, hasAttention) {
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

// hasAttention reports whether some form of attention is in a graph. A Softmax alone may choose the next token.
func hasAttention(g *graph.Graph) bool {
	a := newAnalysis(g)
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

// readsCache reports whether a branch reads four-dimensional float inputs of the main graph: keys and values of earlier tokens.
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

// addBody recognises one graph and adds it to the layout; the bodies of a merged file must agree.
func addBody(l *models.Layout, g *graph.Graph, cfg *models.Config, r *Report) error {
	a := newAnalysis(g)
	var deepest *miss
	note := func(f *form, m *miss) {
		fr := &r.Forms[slices.Index(forms, f)]
		if fr.At == "" || m.steps > fr.Steps {
			fr.Steps, fr.At, fr.Want, fr.Got = m.steps, m.at.String(), m.want, m.got
		}
		if deepest == nil || m.steps > deepest.steps {
			deepest = m
		}
	}
	for _, n := range g.Nodes() {
		for i, f := range forms {
			if !n.Is(f.anchors...) {
				continue
			}
			r.Forms[i].Anchors++
			c, m := f.match(a, n)
			if m != nil {
				note(f, m)
				continue
			}
			c.form = f
			if slices.ContainsFunc(a.cores, func(o *core) bool { return o.node == c.node }) {
				return fmt.Errorf("two Softmax feed %v", c.node)
			}
			a.cores = append(a.cores, c)
		}
	}
	if len(a.cores) == 0 {
		r.Ops = opsOf(g)
		if deepest != nil {
			return fmt.Errorf("no attention found; the closest is %v: want %s, got %s", deepest.at, deepest.want, deepest.got)
		}
		return fmt.Errorf("no attention found: neither Softmax followed by MatMul nor an attention operator among %s", strings.Join(r.Ops, ", "))
	}
	a.trace()
	body := &models.Body{Graph: g}
	heads, dHead := int64(0), int64(0)
	var f facts
	for _, c := range a.cores {
		layer, h, d, m := a.layer(c, cfg)
		if m != nil {
			note(c.form, m)
			return m
		}
		r.Forms[slices.Index(forms, c.form)].Found++
		if heads == 0 {
			heads, dHead = h, d
		}
		if h != heads || d != dHead || layer.WO.Out != width(body, layer) {
			return fmt.Errorf("%v: %d heads of %d, other layers have %d of %d", c.node, h, d, heads, dHead)
		}
		fused, apart, err := qkvOf(c)
		if err != nil {
			return err
		}
		f.fusedQKV, f.apart = f.fusedQKV || fused, f.apart || apart
		f.biased = f.biased || apart && c.qkv[0].bias
		f.parallel = f.parallel || layer.Missing["resid_mid"] != ""
		body.Layers = append(body.Layers, layer)
	}
	if m := a.stack(body.Layers); m != nil {
		return m
	}
	if cfg != nil && cfg.Layers > 0 && cfg.Layers != len(body.Layers) {
		return fmt.Errorf("%d layers found, config.json says %d", len(body.Layers), cfg.Layers)
	}
	if d := int(body.Layers[0].WO.Out); cfg != nil && cfg.DModel > 0 && cfg.DModel != d {
		return fmt.Errorf("W_O gives d_model %d, config.json says %d", d, cfg.DModel)
	}
	for _, c := range a.cores {
		if c.causal == "" {
			return fmt.Errorf("%v: no causal mask found (an encoder?): want a triangle, a comparison of positions, an attribute or a cache", c.node)
		}
	}
	merged := &models.Layout{Layers: len(body.Layers), Heads: int(heads), DHead: int(dHead), DModel: int(body.Layers[0].WO.Out)}
	if m := a.ends(merged, body, cfg); m != nil {
		return m
	}
	f.positions = merged.Positions != nil
	if body.Norm == nil {
		return a.noNorm(body)
	}
	f.rms = a.rms(body.Norm)
	if n := a.elements(body.Norm.Gamma); body.Norm.Gamma != nil && n != int64(merged.DModel) {
		return fmt.Errorf("the final norm has %d weights, W_O gives d_model %d", n, merged.DModel)
	}
	family, err := nameFamily(f)
	if err != nil {
		return err
	}
	merged.Family = family
	return merge(l, merged, body)
}

// noNorm says why no final norm was found.
func (a *analysis) noNorm(b *models.Body) error {
	if a.stray != nil {
		return &miss{8, a.stray.Node, "a norm of what the last block gives", "a norm of something else"}
	}
	last := b.Layers[len(b.Layers)-1]
	for _, n := range b.Graph.Nodes() {
		if v := n.Out(0); v != nil && a.depth(v) == len(b.Layers) && a.finalNorm(v, last) != nil {
			return &miss{8, n, "an output that is this norm, or W_U times it with nothing but constants added", "none"}
		}
	}
	return errors.New("no LayerNorm found behind the last block (RMSNorm, as in Llama?)")
}

// width is d_model by the first layer seen.
func width(b *models.Body, l *models.Layer) int64 {
	if len(b.Layers) > 0 {
		return b.Layers[0].WO.Out
	}
	return l.WO.Out
}

// layer recognises everything around one core.
func (a *analysis) layer(c *core, cfg *models.Config) (*models.Layer, int64, int64, *miss) {
	b, m := a.follow(c)
	if m != nil {
		return nil, 0, 0, m
	}
	heads, dHead, m := a.headShape(c, b, cfg)
	if m != nil {
		return nil, 0, 0, m
	}
	l, m := a.block(c, b)
	return l, heads, dHead, m
}

// qkvOf tells whether q, k and v come from one projection, which must hand them out in this order, or from three.
func qkvOf(c *core) (fused, apart bool, err error) {
	q, k, v := c.qkv[0], c.qkv[1], c.qkv[2]
	switch {
	case q == nil || k == nil || v == nil:
		return false, false, nil
	case q.node == k.node && k.node == v.node:
		if q.split >= 0 && (q.split != 0 || k.split != 1 || v.split != 2) {
			return false, false, fmt.Errorf("%v: q, k and v are parts %d, %d and %d of one projection, want 0, 1 and 2", c.node, q.split, k.split, v.split)
		}
		return true, false, nil
	case q.node != k.node && k.node != v.node && q.node != v.node:
		return false, true, nil
	}
	return false, false, nil
}

// merge adds a recognised body; all bodies of a file are the same decoder.
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

// Error makes a miss the reason of a refusal.
func (m *miss) Error() string {
	return fmt.Sprintf("%v: want %s, got %s", m.at, m.want, m.got)
}

// opsOf lists a graph's operations, most frequent first, for the message that nothing was found.
func opsOf(g *graph.Graph) []string {
	count := map[string]int{}
	for _, n := range g.Nodes() {
		count[n.FullOp()]++
	}
	var ops []string
	for op := range count {
		ops = append(ops, op)
	}
	slices.SortFunc(ops, func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	if len(ops) > 12 {
		ops = append(ops[:12], "…")
	}
	return ops
}
