package lens

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// heads runs a model for the results of its heads, and for whatever else its ports give.
type heads struct {
	session *decoder.Session
	layers  []int
	joins   map[int]*joint // of those with a step between the heads and the stream
	biases  [][]float32    // b_O by layer, for attribution; nil entries for none
	layout  *models.Layout // of the model
	last    int            // the last layer of the model
	heads   int
	d       int
	stream  bool // the residual stream after the last layer is returned too
	silence bool // the session has the switch, in front of these layers
}

// switchName is the input that silences the stream in front of every layer.
const switchName = "lens.listen"

// ports are layers by the kind of output that is read at them.
type ports map[models.PortKind][]int

// add adds layers of a kind that are not there yet.
func (p ports) add(kind models.PortKind, layers ...int) {
	for _, i := range layers {
		if !slices.Contains(p[kind], i) {
			p[kind] = append(p[kind], i)
		}
	}
}

// names lists the names of the ports.
func (p ports) names() []string {
	var out []string
	for _, kind := range models.Outputs() {
		for _, i := range p[kind] {
			out = append(out, kind.Name(i))
		}
	}
	return out
}

// request asks for the ports that a patched file does not have yet.
func (p ports) request(man *models.Manifest) rewrite.Request {
	var req rewrite.Request
	for _, kind := range rewrite.Kinds {
		x := rewrite.Expose{Kind: kind}
		for _, i := range p[kind.Port] {
			if man.Port(kind.Port.Name(i)) == nil {
				x.Layers = append(x.Layers, i)
			}
		}
		req.Expose = append(req.Expose, x)
	}
	return req
}

// openHeads has a model give the results of the layers' heads and the parts of prompts. stream asks for the residual stream after the
// last layer, silence for the switch.
func openHeads(ctx context.Context, host runtime.Host, d *decoder.Model, layers []int, parts Parts, stream, silence bool, o runtime.Options) (*heads, error) {
	l, err := d.Locate(ctx)
	if err != nil {
		return nil, err
	}
	h := &heads{layout: l, layers: layers, joins: map[int]*joint{}, last: l.Layers - 1, heads: l.Heads, d: l.DModel, stream: stream, silence: silence}
	want := parts.ports(l)
	for _, i := range slices.Concat(layers, want[models.PortResult]) {
		if x := l.Bodies[0].Layers[i]; joinsLater(x) && h.joins[i] == nil {
			if h.joins[i], err = openJoint(x, l.DModel); err != nil {
				return nil, err
			}
		}
	}
	if parts.Attribution {
		for _, x := range l.Bodies[0].Layers {
			b, err := biasOf(x, l.DModel)
			if err != nil {
				return nil, err
			}
			h.biases = append(h.biases, b)
		}
	}
	for kind, at := range h.ports() {
		want.add(kind, at...)
	}
	if h.session, err = d.Session(ctx, host, o, decoder.Apply(want.request(d.Manifest)), h.change(want.names(), parts.Attribution)); err != nil {
		return nil, err
	}
	return h, nil
}

// ports are the outputs that the heads are read from.
func (h *heads) ports() ports {
	out := ports{}
	for _, i := range h.layers {
		out.add(models.PortResult, i)
		if h.joins[i] != nil {
			out.add(models.PortAttnOut, i)
		}
	}
	if h.stream {
		out.add(models.PortResidPost, h.last)
	}
	return out
}

// change drops every output that is not named, with what computes it; logits says whether the logits stay. It adds the switch:
//
//	resid_pre → Where(listen, resid_pre, 0) → everything that reads it
func (h *heads) change(names []string, logits bool) decoder.Change {
	return func(_ context.Context, c *decoder.Copy) error {
		keep := map[string]bool{}
		for _, name := range names {
			keep[name] = true
		}
		if logits {
			keep[c.Layout.Logits().Name()] = true
		}
		g := c.Graph
		e := g.Edit()
		if h.silence {
			listen := e.Input(switchName, graph.TensorType(graph.Bool, 1))
			for _, b := range c.Layout.Bodies {
				for _, i := range h.layers {
					silence(e, b.Graph, b.Layers[i], listen)
				}
			}
		}
		for _, o := range g.Graph.Outputs() {
			if !keep[o.Name()] {
				e.RemoveOutput(g.Graph, o)
			}
		}
		e.Prune()
		return e.Commit()
	}
}

// silence puts the switch in front of everything that reads the stream before a layer.
func silence(e *graph.Edit, g *graph.Graph, layer *models.Layer, listen *graph.Value) {
	if why := layer.Missing[string(models.PortResidPre)]; why != "" {
		e.Fail(hint.With(fmt.Errorf("layer %d: %s", layer.Index, why), "use --norm final or raw"))
		return
	}
	for i, term := range layer.ResidPre {
		name := fmt.Sprintf("lens.%d.%d%s", layer.Index, i, g.Attr())
		for copies(term.Producer()) { // attention may read another copy than the next block does
			term = term.Producer().In(0)
		}
		n := term.Producer()
		if norm := ops.Of(n).Norm; norm != nil && norm.Sum > 0 && term.Index() == norm.Sum && n.Out(0) != nil {
			var beta *graph.Value // the fused norm does not read its own sum: a norm of zeros is its bias
			if norm.Beta > 0 {
				beta = n.In(norm.Beta)
			}
			mute(e, g, name+"/norm", n.Out(0), beta, listen)
		}
		var zero *graph.Value
		if n.Is("DequantizeLinear") && n.In(2) != nil { // attention may read the integers
			term, zero = n.In(0), n.In(2)
		}
		mute(e, g, name, term, zero, listen)
	}
}

// copies reports whether a node gives the numbers of its one operand as they are.
func copies(n *graph.Node) bool {
	return ops.Is(n, ops.Reshape) || ops.Is(n, ops.Convert) && n.NumIn() == 1
}

// mute puts a switch between a value and everything that reads it: the value, or something else instead; nil is zeros.
func mute(e *graph.Edit, g *graph.Graph, name string, v, otherwise, listen *graph.Value) {
	uses := v.Uses()
	if otherwise == nil { // zeros of whatever type the graph computes in
		otherwise = e.Node(g, graph.Spec{Op: "Sub", Name: name + "/zero", Inputs: []*graph.Value{v, v}})
	}
	heard := e.Node(g, graph.Spec{Op: "Where", Name: name + "/heard", Inputs: []*graph.Value{listen, v, otherwise}})
	for _, u := range uses {
		e.Redirect(u, heard)
	}
}

// constants are the results of a model whose layers hear nothing: what the heads write whatever they read. That they are the same for two
// prompts shows that nothing is heard.
func (h *heads) constants(ctx context.Context, ids []int64, vocab int64) ([][]float32, error) {
	other := make([]int64, len(ids))
	for i, id := range ids {
		other[i] = (id + 1 + int64(i)) % vocab
	}
	a, err := h.run(ctx, ids, false)
	if err != nil {
		return nil, err
	}
	b, err := h.run(ctx, other, false)
	if err != nil {
		return nil, err
	}
	for k, x := range a.results {
		largest := 0.0
		for _, v := range x {
			largest = max(largest, math.Abs(float64(v)))
		}
		for i, v := range x {
			if d := math.Abs(float64(v) - float64(b.results[k][i])); !(d <= 1e-2*largest+1e-6) { // 16-bit floats carry three digits
				return nil, hint.With(fmt.Errorf("layer %d: what its heads write whatever they read could not be found: it depends on the prompt", h.layers[k/h.heads]),
					"use --norm final or raw")
			}
		}
	}
	return a.results, nil
}

// activations are what a prompt leaves at its last position.
type activations struct {
	results [][]float32 // [layer * head][d_model], layers as asked for
	steps   []*step     // for each of the layers; nil where heads write to the stream itself
	stream  []float32   // after the last layer; nil if it was not requested
}

// read runs a prompt for some outputs; with listen false on a model whose layers hear nothing.
func (h *heads) read(ctx context.Context, ids []int64, listen bool, names ...string) (map[string]*graph.Tensor, error) {
	feeds, err := h.session.Signature.Feeds([][]int64{ids})
	if err != nil {
		return nil, err
	}
	if h.silence {
		t := graph.Zeros(graph.Bool, 1)
		if listen {
			t.Data[0] = 1
		}
		feeds[switchName] = t
	}
	return h.session.Run(ctx, feeds, names...)
}

// run computes the activations of a prompt; with listen false those of a model whose layers hear nothing.
func (h *heads) run(ctx context.Context, ids []int64, listen bool) (*activations, error) {
	out, err := h.read(ctx, ids, listen, h.ports().names()...)
	if err != nil {
		return nil, err
	}
	a := &activations{}
	for _, layer := range h.layers {
		last, err := lastPosition(out[models.PortResult.Name(layer)], h.heads*h.d)
		if err != nil {
			return nil, fmt.Errorf("layer %d: %w", layer, err)
		}
		for k := range h.heads {
			r := last[k*h.d : (k+1)*h.d]
			for _, x := range r {
				if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
					return nil, fmt.Errorf("layer %d, head %d writes %v: the numbers left the range of the model's type", layer, k, x)
				}
			}
			a.results = append(a.results, r)
		}
		var join *step
		if j := h.joins[layer]; j != nil && listen {
			joined, err := lastPosition(out[models.PortAttnOut.Name(layer)], h.d)
			if err != nil {
				return nil, err
			}
			if join, err = j.step(a.results[len(a.results)-h.heads:], joined); err != nil {
				return nil, err
			}
		}
		a.steps = append(a.steps, join)
	}
	if h.stream {
		if a.stream, err = lastPosition(out[models.PortResidPost.Name(h.last)], h.d); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// lastPosition cuts the last position from [1, pos, …] with n numbers a position.
func lastPosition(t *graph.Tensor, n int) ([]float32, error) {
	x, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	if len(x) == 0 || len(x)%n != 0 {
		return nil, fmt.Errorf("a tensor of shape %v, want %d numbers a position", t.Dims, n)
	}
	return append([]float32(nil), x[len(x)-n:]...), nil
}
