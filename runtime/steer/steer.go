package steer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/folder"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/models/tokenizer"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
)

// Model is a decoder that is ready to be steered. Its methods may be called from several goroutines. Sessions are opened
// when they are first needed.
type Model struct {
	Decoder *decoder.Model
	Layout  *models.Layout // of the file as it is
	Texts   memory.Texts   // how texts become tokens; the paper's way unless set before the first use

	host        runtime.Host
	options     runtime.Options
	tokens      func() (*tokenizer.Tokenizer, error)
	activations session // attn_out of every layer, for the layer encoding
	planned     session // the ports of the last plan
	looking     session // the hooks that the last interventions needed
	owned       bool    // Close closes the decoder, too
}

// session is a session that is opened on first use, and again for another request.
type session struct {
	sync.Mutex
	*decoder.Session
	key string // of the request
}

// Open reads a model file or folder. Where it has no memory ports it is patched in memory, on first use.
func Open(ctx context.Context, host runtime.Host, path string, o runtime.Options) (*Model, error) {
	d, err := decoder.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := New(ctx, host, d, o)
	if err != nil {
		d.Close()
		return nil, err
	}
	m.owned = true
	return m, nil
}

// New is Open for a decoder that is open already. It stays the caller's to close, after the model.
func New(ctx context.Context, host runtime.Host, d *decoder.Model, o runtime.Options) (*Model, error) {
	l, err := d.Locate(ctx)
	if err != nil {
		return nil, err
	}
	return &Model{Decoder: d, Layout: l, Texts: memory.PaperTexts, host: host, options: o, tokens: sync.OnceValues(func() (*tokenizer.Tokenizer, error) { return tokenizerOf(d.Folder, l) })}, nil
}

// tokenizerOf loads a model's tokenizer. One with more tokens than the model has rows belongs to another model.
func tokenizerOf(f *folder.Folder, l *models.Layout) (*tokenizer.Tokenizer, error) {
	t, err := f.Tokenizer()
	if err == nil && l.Vocab > 0 && t.Ordinary() > l.Vocab {
		err = fmt.Errorf("tokenizer of %s: want at most %d tokens, the rows of the model's unembedding, got %d", f.TokenizerDir, l.Vocab, t.Ordinary())
		return nil, hint.With(err, "copy the model's own tokenizer files into the folder")
	}
	return t, err
}

// LoadTokenizer reads the files of the tokenizer, so that their errors come now and not with the first text.
func (m *Model) LoadTokenizer() error {
	_, err := m.tokens()
	return err
}

// open returns a session on the model changed as requested. It keeps the session for the next call with the same request.
func (m *Model) open(ctx context.Context, s *session, req rewrite.Request) (*decoder.Session, error) {
	s.Lock()
	defer s.Unlock()
	key := requestKey(req)
	if s.Session != nil && s.key != key {
		if err := s.Session.Close(); err != nil {
			return nil, err
		}
		s.Session = nil
	}
	if s.Session == nil {
		opened, err := m.Decoder.Session(ctx, m.host, m.options, decoder.Apply(req))
		if err != nil {
			return nil, err
		}
		s.Session, s.key = opened, key
	}
	return s.Session, nil
}

// Unload frees the memory that running took. A method that is called later opens what it needs again.
func (m *Model) Unload() error {
	var errs []error
	for _, s := range []*session{&m.activations, &m.planned, &m.looking} {
		s.Lock()
		if s.Session != nil {
			errs = append(errs, s.Session.Close())
			s.Session = nil
		}
		s.Unlock()
	}
	return errors.Join(errs...)
}

// Close frees everything. A decoder that was given to [New] stays open.
func (m *Model) Close() error {
	err := m.Unload()
	if m.owned {
		err = errors.Join(err, m.Decoder.Close())
	}
	return err
}

// Prompt turns a text into tokens: the beginning-of-text token in front where the tokenizer has one, unless Texts says
// otherwise. A text longer than the model's context is refused.
func (m *Model) Prompt(text string) ([]int64, error) {
	t, err := m.tokens()
	if err != nil {
		return nil, err
	}
	ids, err := m.Texts.Prompt(t, text)
	if err != nil {
		return nil, err
	}
	return ids, m.fits("prompt", ids)
}

// BOS returns the beginning-of-text token; false when the tokenizer has none.
func (m *Model) BOS() (int64, bool) {
	t, err := m.tokens()
	if err != nil {
		return 0, false
	}
	return t.BOS()
}

// Memory turns a memory's text into tokens: as it is, unless Texts says otherwise.
func (m *Model) Memory(text string) ([]int64, error) {
	t, err := m.tokens()
	if err != nil {
		return nil, err
	}
	return m.Texts.Memory(t, text)
}

// LayerMemory turns the text of a memory into the tokens that the layer encoding runs.
func (m *Model) LayerMemory(text string) ([]int64, error) {
	t, err := m.tokens()
	if err != nil {
		return nil, err
	}
	return m.Texts.LayerMemory(t, text)
}

// Answer returns the token an answer counts by: the first one of " " + text, unless Texts says otherwise.
func (m *Model) Answer(text string) (int64, error) {
	t, err := m.tokens()
	if err != nil {
		return 0, err
	}
	id, err := m.Texts.Answer(t, text)
	if err != nil {
		return 0, err
	}
	if v := int64(m.Layout.Vocab); v > 0 && id >= v {
		return 0, fmt.Errorf("answer token %d: the vocabulary is 0 to %d; is this the model's own tokenizer?", id, v-1)
	}
	return id, nil
}

// Token returns a token as text.
func (m *Model) Token(id int64) string {
	t, err := m.tokens()
	if err != nil {
		return fmt.Sprint(id)
	}
	return t.Token(id)
}

// Tokens returns tokens as texts, without probabilities.
func (m *Model) Tokens(ids []int64) []Token {
	out := make([]Token, len(ids))
	for i, id := range ids {
		out[i] = Token{Token: m.Token(id), ID: id}
	}
	return out
}

func (m *Model) fits(what string, ids []int64) error {
	if n := m.context(); n > 0 && len(ids) > n {
		return hint.With(fmt.Errorf("%s of %d tokens, the model's context is %d", what, len(ids), n), "shorten the text")
	}
	if v := int64(m.Layout.Vocab); v > 0 {
		for i, id := range ids {
			if id < 0 || id >= v {
				return fmt.Errorf("%s: token %d at position %d, the vocabulary is 0 to %d; is this the model's own tokenizer?", what, id, i, v-1)
			}
		}
	}
	return nil
}

// context is the longest text the model takes, 0 if it is unknown.
func (m *Model) context() int {
	if m.Layout.NCtx > 0 {
		return m.Layout.NCtx
	}
	return m.Decoder.Config.NCtx
}

// score runs rows and returns their logits at the last position. All logits of a row are +Inf when its last norm lost the stream.
func (m *Model) score(ctx context.Context, run *decoder.Session, feeds map[string]*graph.Tensor, rows int) ([][]float32, error) {
	logits, out, err := m.runLogits(ctx, run, feeds)
	if err != nil {
		return nil, err
	}
	last, err := lastRows(logits, rows)
	if err != nil {
		return nil, err
	}
	signal, err := signals(out, rows)
	if err != nil {
		return nil, err
	}
	for i := range last {
		if signal[i] == 0 {
			last[i] = overflowed(len(last[i]))
		}
	}
	return last, nil
}

// runLogits runs rows and returns their logits at all positions that the file gives, and all outputs.
func (m *Model) runLogits(ctx context.Context, run *decoder.Session, feeds map[string]*graph.Tensor) (*graph.Tensor, map[string]*graph.Tensor, error) {
	logits := m.Layout.Logits()
	if logits == nil {
		return nil, nil, hint.With(errors.New("the model ends in hidden states: it has no logits"), "use a file exported for text generation")
	}
	want := []string{logits.Name()}
	if slices.ContainsFunc(run.Outputs(), func(p runtime.Port) bool { return p.Name == rewrite.Signal }) {
		want = append(want, rewrite.Signal)
	}
	out, err := run.Run(ctx, feeds, want...)
	return out[logits.Name()], out, err
}

// signals reads the output [rewrite.Signal] of a run: 0 for a row whose last norm lost the stream. It is 1 for each row when the
// model has no such output.
func signals(out map[string]*graph.Tensor, rows int) ([]float32, error) {
	t := out[rewrite.Signal]
	if t == nil {
		return slices.Repeat([]float32{1}, rows), nil
	}
	x, err := t.Float32s()
	if err == nil && len(x) != rows {
		err = fmt.Errorf("got %d, want %d", len(x), rows)
	}
	if err != nil {
		return nil, fmt.Errorf("signals of rows: %w", err)
	}
	return x, nil
}

// TooLoud reports whether tau times a memory has squares whose sum float32 cannot hold. A norm that sees such a stream divides by
// infinity, at any position, and what it gives no longer depends on the prompt.
func TooLoud(memory []float32, tau float64) bool {
	sum := 0.0
	for _, x := range memory {
		y := float64(float32(tau)) * float64(x)
		sum += y * y
	}
	return sum > math.MaxFloat32
}

// lastRows takes the last position of logits [row, pos, vocab].
func lastRows(t *graph.Tensor, rows int) ([][]float32, error) {
	x, err := t.Float32s()
	if err != nil {
		return nil, fmt.Errorf("logits: %w", err)
	}
	k := len(t.Dims)
	if k < 2 || t.Dims[0] != int64(rows) || len(x) == 0 {
		return nil, fmt.Errorf("logits of shape %v, want %d rows", t.Dims, rows)
	}
	vocab := int(t.Dims[k-1])
	stride := len(x) / rows
	out := make([][]float32, rows)
	for i := range out {
		end := (i + 1) * stride
		out[i] = x[end-vocab : end]
	}
	return out, nil
}
