package recognise

import (
	"fmt"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// evidence is one place that gives the number of query heads or their width. 0 means that it does not give that number.
type evidence struct {
	what         string
	heads, dHead int64
}

// headShape finds the number of query heads and their width. d_model alone does not determine them: gpt2-medium has 16
// heads of 64, and another model of the same width may have 8 of 128. All places that give a number must agree, and heads *
// d_head must be the rows of W_O.
func (a *analysis) headShape(c *core, b *branch, cfg *models.Config) (heads, dHead int64, err *miss) {
	found := a.headEvidence(c, b)
	if cfg != nil {
		found = append(found, evidence{"config.json", int64(cfg.Heads), int64(cfg.DHead)})
	}
	rows := b.wo.In
	var seen []string
	for _, e := range found {
		switch { // a missing number follows from W_O; a remainder is an error below
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
			return 0, 0, &miss{7, c.node, fmt.Sprintf("heads * d_head = %d, the rows of W_O", rows), seen[len(seen)-1]}
		case heads == 0:
			heads, dHead = e.heads, e.dHead
		case heads != e.heads || dHead != e.dHead:
			return 0, 0, &miss{7, c.node, "all places to agree on the number of heads", strings.Join(seen, "; ")}
		}
	}
	if heads == 0 {
		return 0, 0, &miss{7, c.node, "the number of heads: an attribute, a Reshape of q or z, a declared shape or config.json", "none of them"}
	}
	return heads, dHead, nil
}

// headEvidence collects the evidence on query heads in the file. Keys and values give only d_head, because they may have
// fewer heads.
func (a *analysis) headEvidence(c *core, b *branch) []evidence {
	out := []evidence{{"attribute of the operator", c.heads, 0}}
	if z := a.facts.Of(b.z); b.form == models.ZByPos && z.Rank() == 4 {
		out = append(out, evidence{"z by position", z.Dim(2), z.Dim(3)})
	}
	if z := a.facts.Of(c.out); z.Rank() == 4 {
		out = append(out, evidence{"z", z.Dim(1), z.Dim(3)})
	}
	if q := a.facts.Of(c.query); q.Rank() == 4 {
		out = append(out, evidence{"q", q.Dim(1), 0})
	}
	if p := a.facts.Of(c.pattern); p.Rank() == 4 {
		out = append(out, evidence{"probabilities", p.Dim(1), 0})
	}
	if v := a.facts.Of(c.value); v.Rank() == 4 || v.Rank() == 3 && c.score != nil { // flat v of an operator has kv_heads * d_head
		out = append(out, evidence{"v", 0, v.Dim(-1)})
	}
	for _, v := range a.cacheInputs(c) {
		if d := v.Type().Dims; len(d) == 4 || len(d) == 5 && d[0].Size == 2 { // [batch, head, past, d_head], or stacked [2, batch, …]
			out = append(out, evidence{fmt.Sprintf("cache input %q", v.Name()), 0, d[len(d)-1].Size})
		}
	}
	for i, e := range out { // a size of 1 may be broadcast or one token, and is no evidence
		if e.heads == 1 && e.dHead > 0 && e.dHead != b.wo.In {
			out[i].heads = 0
		}
	}
	return out
}

// kvHeads returns the number of key and value heads, or 0 if the file does not give it.
func (a *analysis) kvHeads(c *core) int64 {
	if c.kvHeads > 0 {
		return c.kvHeads
	}
	for _, v := range a.cacheInputs(c) {
		if d := v.Type().Dims; len(d) >= 4 && d[len(d)-3].Size > 0 {
			return d[len(d)-3].Size
		}
	}
	next := func(v *graph.Value) []*graph.Value {
		if n := v.Producer(); ops.Is(n, ops.Copies|ops.Repeat) {
			return ops.Data(n)
		}
		return nil
	}
	for v := range ops.Reach(a.budget, next, c.value) { // before any repetition of heads
		if n := v.Producer(); n.Is("Expand", "Tile") {
			if f := a.facts.Of(n.In(0)); f.Rank() >= 4 && f.Dim(1) > 0 { // [batch, kv, 1, pos, d_head], or [batch, 1, pos, d_head]
				return f.Dim(1)
			}
		}
	}
	if f := a.facts.Of(c.value); f.Rank() == 4 && f.Dim(1) > 0 {
		return f.Dim(1)
	}
	return 0
}

// cacheInputs returns the graph inputs that hold earlier keys and values of a core.
func (a *analysis) cacheInputs(c *core) []*graph.Value {
	out := a.caches(c.value)
	if s := ops.Of(c.node).Attn; s != nil { // an operator that holds the cache itself
		for _, slot := range s.Past {
			if v := c.node.In(slot); v.IsInput() && len(v.Type().Dims) >= 4 {
				out = append(out, v)
			}
		}
	}
	return out
}

// oneToken reports whether the file declares that it takes one token at a time: in the shape of z [batch, head, pos,
// d_head], or in that of an integer input [batch, pos].
func (a *analysis) oneToken(z *graph.Value) bool {
	if f := a.facts.Of(z); f.Rank() == 4 && f.Dim(2) == 1 {
		return true
	}
	for _, v := range a.g.Inputs() {
		if d := v.Type().Dims; len(d) == 2 && !v.Type().DType.IsFloat() && d[1].Size == 1 {
			return true
		}
	}
	return false
}
