package recognise

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// evidence is one place that tells the number of heads or their width; 0 means that it does not.
type evidence struct {
	what         string
	heads, dHead int64
}

// headShape finds the number of heads and their width. d_model alone never tells: gpt2-medium has 16 heads of 64, another
// model of the same width may have 8 of 128. All places that tell must agree, and heads * d_head must be the rows of W_O.
func (a *analysis) headShape(c *core, b *branch, cfg *models.Config) (heads, dHead int64, err *miss) {
	found := a.headEvidence(c)
	if cfg != nil && cfg.Heads > 0 {
		found = append(found, evidence{"config.json", int64(cfg.Heads), 0})
	}
	rows := b.wo.In
	var seen []string
	for _, e := range found {
		switch { // what one place leaves open follows from W_O; a remainder is caught below
		case e.heads <= 0 && e.dHead <= 0:
			continue
		case e.heads <= 0:
			e.heads = rows / e.dHead
		case e.dHead <= 0:
			e.dHead = rows / e.heads
		}
		seen = append(seen, fmt.Sprintf("%s: %d heads of %d", e.what, e.heads, e.dHead))
		switch {
		case e.heads*e.dHead != rows:
			return 0, 0, &miss{7, c.node, fmt.Sprintf("heads * d_head = %d, the rows of W_O", rows), seen[len(seen)-1] + guess(e, rows)}
		case heads == 0:
			heads, dHead = e.heads, e.dHead
		case heads != e.heads || dHead != e.dHead:
			return 0, 0, &miss{7, c.node, "all places to agree on the number of heads", strings.Join(seen, "; ")}
		}
	}
	if heads == 0 {
		return 0, 0, &miss{7, c.node, "the number of heads: an attribute, a Reshape of v, a cache input, a declared shape or config.json", "none of them"}
	}
	return heads, dHead, nil
}

// guess adds to a message what a wrong number of values most likely means.
func guess(e evidence, rows int64) string {
	switch n := e.heads * e.dHead; {
	case n == 3*rows:
		return " (q, k and v head by head in one projection, as in GPT-NeoX?)"
	case n > 0 && rows%n == 0:
		return " (heads that share keys and values, as in Mistral?)"
	}
	return ""
}

func (a *analysis) headEvidence(c *core) []evidence {
	var out []evidence
	if c.heads > 0 {
		out = append(out, evidence{"num_heads", c.heads, 0})
	}
	over := append([]string{"Concat", "Mul", "Expand", "Slice", "Split", "Div", "Gather"}, through...)
	// v is split into heads by a Reshape to [batch, pos, head, d_head], or with q and k to [batch, pos, 3, head, d_head]; the last
	// two elements are what counts.
	a.back(c.value, over, func(n *graph.Node) bool {
		if !n.Is("Reshape") {
			return false
		}
		shape, complete := a.ints(n.In(1))
		if k := len(shape); k >= 2 && (!complete || k == 4 || k == 5 && shape[2] == 3) {
			h, d := shape[k-2], shape[k-1]
			if k == 4 && h == 1 && !feeds(n.Out(0), "Transpose") { // of one token, straight to [batch, head, 1, d_head]
				h = shape[1]
			}
			if h > 0 || d > 0 { // either may be -1 or computed; W_O gives it then
				out = append(out, evidence{"Reshape of v", max(h, 0), max(d, 0)})
				return true
			}
		}
		return false
	})
	for _, v := range a.cacheInputs(c) {
		d := v.Type().Dims
		if k := len(d); k == 4 || k == 5 && d[0].Size == 2 { // [batch, head, past, d_head], or stacked [2, batch, …]
			out = append(out, evidence{fmt.Sprintf("cache input %q", v.Name()), max(d[k-3].Size, 0), max(d[k-1].Size, 0)})
		}
	}
	if t := c.out.Type(); c.rank4 && len(t.Dims) == 4 && t.Dims[1].Size > 0 && t.Dims[3].Size > 0 {
		out = append(out, evidence{"declared shape of z", t.Dims[1].Size, t.Dims[3].Size})
	}
	return out
}

// cacheInputs returns the graph inputs that hold earlier keys and values of a core.
func (a *analysis) cacheInputs(c *core) []*graph.Value {
	var out []*graph.Value
	a.back(c.value, append([]string{"Split"}, through...), func(n *graph.Node) bool {
		if !n.Is("Concat") {
			return false
		}
		for _, in := range n.Inputs() {
			out = append(out, a.inputsBehind(in)...)
		}
		return false
	})
	for _, slot := range CacheOf(c.node).Past { // an operator that holds the cache itself
		if v := c.node.In(slot); v.IsInput() && len(v.Type().Dims) >= 4 {
			out = append(out, v)
		}
	}
	return out
}

// feeds reports whether a node of one of the ops reads v.
func feeds(v *graph.Value, ops ...string) bool {
	return slices.ContainsFunc(v.Uses(), func(u graph.Use) bool { return u.Node.Is(ops...) })
}

// oneToken reports whether the file says that it takes one token at a time: by the shape of z [batch, head, pos, d_head], or
// by that of an integer input [batch, pos].
func (a *analysis) oneToken(z *graph.Value) bool {
	if d := z.Type().Dims; len(d) == 4 && d[2].Size == 1 {
		return true
	}
	return slices.ContainsFunc(a.g.Inputs(), func(v *graph.Value) bool {
		d := v.Type().Dims
		return len(d) == 2 && !v.Type().DType.IsFloat() && d[1].Size == 1
	})
}
