package steer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/rewrite"
)

// Query is one prompt with at most one memory.
type Query struct {
	Prompt     string
	Memory     string    // text; or
	Vector     []float32 // the vector itself [d_model]; neither: the clean run alone
	Layer      int
	Tau        float64
	Encoding   memory.Encoding
	Convention memory.Convention
	Positions  Positions
	Answer     string // "" asks nothing about an answer
	Top        int    // how many tokens to return
}

// Result is what the model says without and with the memory.
type Result struct {
	Prompt   []Token `json:"prompt"`   // the prompt's tokens; P is 0
	Clean    []Token `json:"clean"`    // most likely first
	Injected []Token `json:"injected"` // nil without a memory
	Answer   *Answer `json:"answer,omitempty"`

	// MemoryNorm is the length of the memory's vector, 0 without one; see models.Faint.
	MemoryNorm float64 `json:"memory_norm"`

	// NoEffect says that the memory changed no logit at all although tau is not 0: something is wrong.
	NoEffect bool `json:"no_effect,omitempty"`
}

// Answer holds how likely an answer is. Without a memory the injected numbers equal the clean ones.
type Answer struct {
	Text         string  `json:"text"`
	Token        string  `json:"token"`
	ID           int64   `json:"id"`
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
	if math.IsNaN(q.Tau) || math.IsInf(q.Tau, 0) {
		return nil, fmt.Errorf("tau %v, want a finite number", q.Tau)
	}
	ids, err := m.Prompt(q.Prompt)
	if err != nil {
		return nil, err
	}
	var answer int64
	if q.Answer != "" {
		if answer, err = m.Answer(q.Answer); err != nil {
			return nil, err
		}
	}
	vector, err := m.vector(ctx, q)
	if err != nil {
		return nil, err
	}
	zero := make([]float32, m.Layout.DModel)
	rows, err := m.Rows(ctx, ids, q.Layer, q.Positions, [][]float32{zero}, []float64{0})
	if err != nil {
		return nil, err
	}
	clean := rows[0]
	if err := finite(clean); err != nil {
		return nil, err
	}
	r := &Result{Clean: m.top(clean, q.Top)}
	for _, id := range ids {
		r.Prompt = append(r.Prompt, Token{Token: m.Token(id), ID: id})
	}
	injected := clean
	if vector != nil {
		r.MemoryNorm = memory.Length(vector)
		if rows, err = m.Rows(ctx, ids, q.Layer, q.Positions, [][]float32{vector}, []float64{q.Tau}); err != nil {
			return nil, err
		}
		injected = rows[0]
		if err := finite(injected); err != nil {
			return nil, hint.With(fmt.Errorf("with the memory: %w", err), "a smaller tau may help")
		}
		r.Injected = m.top(injected, q.Top)
		r.NoEffect = q.Tau != 0 && slices.Equal(clean, injected)
	}
	if q.Answer != "" {
		c, i := LogSoftmax(clean)[answer], LogSoftmax(injected)[answer]
		r.Answer = &Answer{
			Text: q.Answer, Token: m.Token(answer), ID: answer,
			PClean: math.Exp(c), PInjected: math.Exp(i), LogPClean: c, LogPInjected: i,
			RankClean: Rank(clean, answer), RankInjected: Rank(injected, answer),
		}
	}
	return r, nil
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

func (m *Model) vector(ctx context.Context, q Query) ([]float32, error) {
	switch {
	case q.Vector != nil && q.Memory != "":
		return nil, errors.New("a memory text and a memory vector at once")
	case q.Vector != nil:
		return q.Vector, nil
	case q.Memory == "":
		return nil, nil
	}
	return m.Encode(ctx, q.Memory, q.Encoding, q.Convention, q.Layer)
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
	t, err := m.tokens()
	if err != nil {
		return nil, err
	}
	ids, err := m.Texts.LayerMemory(t, text)
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
	feeds, err := run.Signature.Feeds([][]int64{ids})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range layers {
		names = append(names, models.PortAttnOut.Name(l))
	}
	ports, err := run.Run(ctx, feeds, names...)
	if err != nil {
		return nil, err
	}
	var out [][]float32
	for _, name := range names {
		rows, err := lastRows(ports[name], 1)
		if err != nil {
			return nil, err
		}
		v, err := memory.LayerVector(m.Layout, rows[0], conv)
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
