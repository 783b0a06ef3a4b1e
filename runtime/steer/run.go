package steer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// Query is one prompt with the interventions of its run.
type Query struct {
	Prompt  string
	Entries []intervention.Entry // resolved for the prompt; and
	Changes intervention.Plan    // changes whose numbers are known, which come after those of Entries
	TauUnit TauUnit              // of Entries; "" is TauRaw
	Answer  string               // "" asks nothing about an answer
	Whole   bool                 // the answer counts as a whole: the product of the probabilities of its tokens
	Top     int                  // how many tokens to return
}

// Result is what the model says without and with the memory.
type Result struct {
	Prompt   []Token `json:"prompt"`   // the prompt's tokens; P is 0
	Clean    []Token `json:"clean"`    // most likely first
	Injected []Token `json:"injected"` // nil without a memory
	Answer   *Answer `json:"answer,omitempty"`

	// Plan is the interventions with their numbers.
	Plan intervention.Plan `json:"-"`

	// NoEffect says that the memory changed no logit at all although tau is not 0: something is wrong.
	NoEffect bool `json:"no_effect,omitempty"`
}

// Answer holds how likely an answer is. Without a memory the injected numbers equal the clean ones.
type Answer struct {
	Text         string  `json:"text"`
	Token        string  `json:"token"`
	ID           int64   `json:"id"`
	Tokens       []Token `json:"tokens"` // of the whole answer; its first token is the one that counts
	PClean       float64 `json:"p_clean"`
	PInjected    float64 `json:"p_injected"`
	LogPClean    float64 `json:"logp_clean"`
	LogPInjected float64 `json:"logp_injected"`
	RankClean    int     `json:"rank_clean"`
	RankInjected int     `json:"rank_injected"`
}

// Run answers a query. The clean run and the injected one are two runs of one session, so the clean numbers are those
// of the model alone.
func (m *Model) Run(ctx context.Context, q Query) (*Result, error) {
	ids, err := m.Prompt(q.Prompt)
	if err != nil {
		return nil, err
	}
	var answer []int64
	if q.Answer != "" {
		if answer, err = m.answer(q); err != nil {
			return nil, err
		}
	}
	plan, err := m.Resolve(ctx, q.Entries, q.TauUnit, ids)
	if err != nil {
		return nil, err
	}
	plan = append(plan, q.Changes...)
	if err := plan.Check(m.Layout); err != nil {
		return nil, err
	}
	s, err := m.steering(ctx, plan)
	if err != nil {
		return nil, err
	}
	run := func(p intervention.Plan, text []int64) ([]float32, error) {
		x, err := m.runPlan(ctx, s, text, p, len(ids))
		if err != nil {
			return nil, err
		}
		if err = finite(x); err != nil && p != nil {
			err = hint.With(fmt.Errorf("with the memory: %w", err), "a smaller tau may help")
		}
		return x, err
	}
	clean, err := run(nil, ids)
	if err != nil {
		return nil, err
	}
	r := &Result{Prompt: m.Tokens(ids), Clean: m.top(clean, q.Top), Plan: plan}
	injected := clean
	if plan != nil {
		if injected, err = run(plan, ids); err != nil {
			return nil, err
		}
		r.Injected = m.top(injected, q.Top)
		r.NoEffect = plan.Acts() && slices.Equal(clean, injected)
	}
	if q.Answer == "" {
		return r, nil
	}
	c, i := LogSoftmax(clean)[answer[0]], LogSoftmax(injected)[answer[0]]
	r.Answer = &Answer{Text: q.Answer, Token: m.Token(answer[0]), ID: answer[0], LogPClean: c, LogPInjected: i,
		RankClean: Rank(clean, answer[0]), RankInjected: Rank(injected, answer[0]), Tokens: m.Tokens(answer)}
	if q.Whole {
		if r.Answer.LogPClean, r.Answer.LogPInjected, err = m.whole(answer, c, i, ids, plan, run); err != nil {
			return nil, err
		}
	}
	r.Answer.PClean, r.Answer.PInjected = math.Exp(r.Answer.LogPClean), math.Exp(r.Answer.LogPInjected)
	return r, nil
}

// answer returns the tokens of the answer. The first one is that of [Model.Answer].
func (m *Model) answer(q Query) ([]int64, error) {
	if _, err := m.Answer(q.Answer); err != nil {
		return nil, err
	}
	t, err := m.tokens()
	if err != nil {
		return nil, err
	}
	return m.Texts.AnswerTokens(t, q.Answer)
}

// whole adds the log-probabilities of the later tokens of an answer, each after the ones before it.
func (m *Model) whole(answer []int64, clean, injected float64, ids []int64, p intervention.Plan, run func(intervention.Plan, []int64) ([]float32, error)) (c, i float64, err error) {
	c, i = clean, injected
	for n := 1; n < len(answer); n++ {
		text := append(slices.Clone(ids), answer[:n]...)
		if err := m.fits("prompt and answer", text); err != nil {
			return 0, 0, err
		}
		x, err := run(nil, text)
		if err != nil {
			return 0, 0, err
		}
		y := x
		if p != nil {
			if y, err = run(p, text); err != nil {
				return 0, 0, err
			}
		}
		c, i = c+LogSoftmax(x)[answer[n]], i+LogSoftmax(y)[answer[n]]
	}
	return c, i, nil
}

func finite(logits []float32) error {
	for i, x := range logits {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			if math.IsInf(f, 1) && i == 0 && !slices.ContainsFunc(logits, func(x float32) bool { return x != logits[0] }) {
				return errors.New("the numbers left the range of the model's type") // see Rows
			}
			return fmt.Errorf("the logit of token %d is %v: the numbers left the range of the model's type", i, x)
		}
	}
	return nil
}

// Encode makes the memory vector [d_model] of a text. The layer encoding runs the model; layer is used by it alone.
func (m *Model) Encode(ctx context.Context, text string, enc memory.Encoding, conv memory.Convention, layer int) ([]float32, error) {
	if enc != memory.EncodingLayer {
		ids, err := m.Memory(text)
		if err != nil {
			return nil, err
		}
		return memory.Vector(m.Layout, ids, enc, conv)
	}
	if layer < 0 || layer >= m.Layout.Layers {
		return nil, fmt.Errorf("layer %d, the model has 0 to %d", layer, m.Layout.Layers-1)
	}
	out, err := m.EncodeLayers(ctx, text, conv, layer)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// EncodeLayers makes the memory vectors [d_model] that the layer encoding has of a text at the given layers, in one run.
func (m *Model) EncodeLayers(ctx context.Context, text string, conv memory.Convention, layers ...int) ([][]float32, error) {
	ids, err := m.LayerMemory(text)
	if err == nil {
		err = m.fits("memory", ids)
	}
	if err != nil {
		return nil, err
	}
	run, err := m.open(ctx, &m.activations, rewrite.Request{Expose: missingPorts(models.PortAttnOut, m.Layout, m.Decoder.Manifest, nil)})
	if err != nil {
		return nil, err
	}
	var places []models.BakedAt
	for _, l := range layers {
		places = append(places, models.BakedAt{Site: models.PortAttnOut, Layer: l})
	}
	values, err := m.values(ctx, run, ids, places)
	if err != nil {
		return nil, err
	}
	var out [][]float32
	for _, x := range values {
		v, err := memory.LayerVector(m.Layout, x[len(x)-m.Layout.DModel:], conv)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// missingPorts asks for a kind at every layer where a patched file does not have it yet, or at those of them that wanted holds for.
func missingPorts(kind models.PortKind, l *models.Layout, man *models.Manifest, wanted func(*models.Layer) bool) []rewrite.Expose {
	k, err := rewrite.KindByName(string(kind))
	if err != nil {
		panic(err) // the kinds are this program's own
	}
	return []rewrite.Expose{{Kind: k, Layers: layersWithout(kind.Output(), l, man, wanted)}}
}

// layersWithout are the layers at which a patched file does not have a port yet; wanted, if it is not nil, chooses among them.
func layersWithout(port models.Port, l *models.Layout, man *models.Manifest, wanted func(*models.Layer) bool) []int {
	var layers []int
	for i, x := range l.Bodies[0].Layers {
		if man.Port(port.Name(i)) == nil && (wanted == nil || wanted(x)) {
			layers = append(layers, i)
		}
	}
	return layers
}
