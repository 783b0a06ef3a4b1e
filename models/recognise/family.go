package recognise

import (
	"fmt"
	"iter"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/ops"
	"github.com/onnx-inject/onnx-inject/models"
)

// facts are the structural traits by which families differ.
type facts struct {
	parallel  bool // attention and MLP read the same norm
	positions models.PositionKind
	fused     bool // q, k and v come from one projection
	separate  bool // q, k and v come from three projections
	biased    bool // the three projections have biases
	norm      models.NormKind
	beta      bool // the final norm adds a bias
	preNorm   bool // attention reads a norm of the stream
	postNorm  bool // a norm comes between W_O and the join
	scaled    bool // attention is multiplied by a number between W_O and the join
	embedding bool // token embeddings are multiplied by a number
	qkNorm    bool // queries and keys are normalised
	shared    bool // fewer key and value heads than query heads
}

func (f facts) String() string {
	word := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	qkv := "q, k and v from an unknown place"
	switch {
	case f.fused:
		qkv = "q, k and v from one projection"
	case f.separate && f.biased:
		qkv = "q, k and v from three projections with biases"
	case f.separate:
		qkv = "q, k and v from three projections"
	}
	out := []string{word(f.parallel, "parallel blocks", "sequential blocks"), string(f.positions) + " positions", qkv, string(f.norm)}
	for _, t := range []struct {
		on   bool
		text string
	}{
		{f.qkNorm, "norms on q and k"}, {f.postNorm, "norms after attention"}, {!f.preNorm, "no norms before attention"},
		{f.scaled, "attention times a number"}, {f.embedding, "scaled embeddings"}, {f.shared, "shared key and value heads"},
	} {
		if t.on {
			out = append(out, t.text)
		}
	}
	return strings.Join(out, ", ")
}

// family is a kind of decoder. To add one, add a literal. The name decides nothing, because the sites are found in the same
// way for all. The first family that fits gives the file its name.
type family struct {
	name string
	doc  string
	ok   func(facts) bool
}

var families = []family{
	{"gpt2", "sequential blocks, learned positions, LayerNorm, q, k and v from one projection or from three with biases (GPT-2, DistilGPT-2, nanoGPT, minGPT, OPT, GPTBigCode)",
		func(f facts) bool {
			return !f.parallel && f.positions == models.LearnedPositions && (f.fused || f.biased || !f.separate) && f.norm == models.LayerNorm
		}},
	{"gpt-neo", "sequential blocks, learned positions, LayerNorm, q, k and v apart and without biases (GPT-Neo)",
		func(f facts) bool {
			return !f.parallel && f.positions == models.LearnedPositions && f.separate && !f.biased && f.norm == models.LayerNorm
		}},
	{"cohere", "parallel blocks, rotary positions, LayerNorm without a bias (Cohere)",
		func(f facts) bool { return f.parallel && f.norm == models.LayerNorm && !f.beta && !f.fused }},
	{"gpt-j", "parallel blocks, rotary positions, LayerNorm, q, k and v apart and without biases (GPT-J)",
		func(f facts) bool {
			return f.parallel && f.positions != models.LearnedPositions && f.separate && !f.biased && f.norm == models.LayerNorm
		}},
	{"gpt-neox", "parallel blocks, rotary positions, LayerNorm, q, k and v from one projection (GPT-NeoX, Pythia, Falcon)",
		func(f facts) bool {
			return f.parallel && f.positions == models.RotaryPositions && f.fused && f.norm == models.LayerNorm
		}},
	{"phi", "parallel blocks, rotary positions, LayerNorm, q, k and v apart with biases (Phi-1.5, Phi-2)",
		func(f facts) bool {
			return f.parallel && f.positions == models.RotaryPositions && f.separate && f.biased && f.norm == models.LayerNorm
		}},
	{"bloom", "positions in the attention scores (ALiBi), LayerNorm (BLOOM, MPT, Falcon-RW)",
		func(f facts) bool { return f.positions == models.ALiBiPositions && f.norm == models.LayerNorm }},
	{"stablelm", "sequential blocks, rotary positions, LayerNorm (StableLM, StarCoder2, OLMo)",
		func(f facts) bool { return !f.parallel && f.norm == models.LayerNorm }},
	{"granite", "RMSNorm, rotary positions, attention times a number (Granite)",
		func(f facts) bool { return f.norm == models.RMSNorm && f.scaled }},
	{"olmo2", "RMSNorm after attention and MLP, none before (OLMo 2)",
		func(f facts) bool { return f.norm == models.RMSNorm && f.postNorm && !f.preNorm }},
	{"gemma3", "RMSNorm before and after attention, norms on q and k, scaled embeddings (Gemma 3)",
		func(f facts) bool { return f.norm == models.RMSNorm && f.postNorm && f.qkNorm }},
	{"gemma2", "RMSNorm before and after attention, scaled embeddings (Gemma 2)",
		func(f facts) bool { return f.norm == models.RMSNorm && f.postNorm }},
	{"gemma", "RMSNorm, rotary positions, scaled embeddings (Gemma)",
		func(f facts) bool { return f.norm == models.RMSNorm && f.embedding }},
	{"qwen3", "RMSNorm, rotary positions, norms on q and k (Qwen3)",
		func(f facts) bool { return f.norm == models.RMSNorm && f.qkNorm && !f.parallel }},
	{"qwen2", "RMSNorm, rotary positions, q, k and v with biases (Qwen2, Qwen2.5)",
		func(f facts) bool { return f.norm == models.RMSNorm && f.biased && !f.parallel }},
	{"llama", "RMSNorm, rotary positions, no biases (Llama, Mistral, SmolLM, Phi-3, Phi-4)",
		func(f facts) bool { return f.norm == models.RMSNorm && !f.parallel }},
}

// Family is the name of a kind of decoder and the description of its traits.
type Family struct{ Name, Doc string }

// Families lists the kinds of decoders that have names, in the order in which they are tried. A decoder of another kind is
// recognised too and is named by its traits.
func Families() []Family {
	var out []Family
	for _, f := range families {
		out = append(out, Family{f.name, f.doc})
	}
	return out
}

// nameFamily returns the first family with these traits, or a name made of the traits if there is none.
func nameFamily(f facts) string {
	for _, x := range families {
		if x.ok(f) {
			return x.name
		}
	}
	return fmt.Sprintf("decoder with %v", f)
}

// traits collects the facts about a body, whose cores all have the same form.
func (a *analysis) traits(l *models.Layout, b *models.Body) facts {
	first := b.Layers[0]
	f := facts{norm: b.Norm.Kind, beta: b.Norm.Beta != nil, shared: l.KVHeads > 0 && l.KVHeads < l.Heads, preNorm: true}
	f.embedding = l.Embed != nil && l.Embed.Alpha != 1
	for _, x := range b.Layers {
		f.parallel = f.parallel || x.Missing["resid_mid"] != ""
		f.postNorm = f.postNorm || x.PostNorm != nil
		f.scaled = f.scaled || x.Scaled
	}
	for _, c := range a.cores {
		fused, separate := qkvOf(c)
		f.fused, f.separate = f.fused || fused, f.separate || separate
		for _, p := range c.qkv {
			f.biased = f.biased || p != nil && p.bias
		}
	}
	c := a.cores[0]
	if q := c.qkv[0]; q != nil {
		f.preNorm = a.root(q.node.In(0)) != a.root(first.ResidPre[0])
		f.qkNorm = c.query != nil && a.normalisesQueries(c.query)
	}
	f.positions = l.PositionKind
	return f
}

// qkvOf reports whether q, k and v come from one projection, or from three.
func qkvOf(c *core) (fused, separate bool) {
	q, k, v := c.qkv[0], c.qkv[1], c.qkv[2]
	if q == nil || k == nil || v == nil {
		return false, false
	}
	return q.node == k.node && k.node == v.node, q.node != k.node && k.node != v.node && q.node != v.node
}

// toProjection yields the values between q and its projection.
func (a *analysis) toProjection(q *graph.Value) iter.Seq[*graph.Value] {
	return ops.Reach(a.budget, func(v *graph.Value) []*graph.Value {
		n := v.Producer()
		if a.Is(v) || a.readProjection(n) != nil || !ops.Is(n, toProjections) {
			return nil
		}
		return ops.Data(n)
	}, q)
}

// normalisesQueries reports whether queries are normalised between their projection and the core.
func (a *analysis) normalisesQueries(q *graph.Value) bool {
	for v := range a.toProjection(q) {
		if n := v.Producer(); ops.Is(n, ops.Normalise) || n.Is("ReduceMean") {
			return true
		}
	}
	return false
}

// positionsOf finds the way in which a decoder encodes positions. Single layers without rotary positions among others that
// have them (SmolLM3) do not matter.
func (a *analysis) positionsOf(l *models.Layout) models.PositionKind {
	if l.Positions != nil {
		return models.LearnedPositions
	}
	for _, c := range a.cores {
		if c.node.Int("do_rotary", 0) == 1 {
			return models.RotaryPositions
		}
		if c.query == nil {
			continue
		}
		for v := range a.toProjection(c.query) {
			n := v.Producer()
			if ops.Is(n, ops.Rotate) || n.Is("Cos", "Sin", "Neg") || n.Is("Gather") && a.Is(n.In(0)) {
				return models.RotaryPositions
			}
		}
	}
	c := a.cores[0]
	bias := c.score
	if s := ops.Of(c.node).Attn; s != nil {
		bias = optional(c.node, s.Mask)
	}
	next := func(v *graph.Value) []*graph.Value {
		if n := v.Producer(); !a.Is(v) && a.product(n) == nil && ops.Is(n, ops.Flows|ops.Pointwise) {
			return ops.Data(n)
		}
		return nil
	}
	for v := range ops.Reach(a.budget, next, bias) { // one slope for each head
		if a.Is(v) && a.elements(v) == int64(l.Heads) && l.Heads > 1 && !a.facts.Of(v).Complete {
			return models.ALiBiPositions
		}
	}
	return models.NoPositions
}
