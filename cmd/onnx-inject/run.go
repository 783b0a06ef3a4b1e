package main

import (
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

func runCommand() *command {
	return &command{
		name: "run", args: "MODEL", need: "--prompt TEXT", usage: "run one prompt, without and with a memory",
		doc: `Runs a prompt and shows the most likely next tokens. With a memory, it shows the tokens without and with the memory, side
by side. A model without ports is patched in RAM; its file is not changed.

tau * memory is added to the attention output of one layer: the middle one unless --layer names another. The vector is
computed from the text: unembed sums the columns of its tokens in the unembedding, embed sums their rows in the embedding,
layer is the attention output at the last token of the text. tl-folded is the form that these vectors have in
TransformerLens, which the paper used; raw is the form that they have in the file.

--answer shows the probability and the rank of one answer: the first token of " " + TEXT. Rank 0 is the most likely.
Without a memory, injected is empty in the JSON document, and the answer's numbers with and without a memory are equal.`,
		example: `onnx-inject run onnx-inject-demo --prompt "People in the land of Machu Picchu speak" --memory " Peru" --layer 0 --tau 1 --answer Spanish`,
		flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "prompt", Usage: "predict the token after `TEXT`"},
			&cli.StringFlag{Name: "answer", Usage: "show the probability and rank of `TEXT`"},
			&cli.StringFlag{Name: "positions", Usage: "add the memory at `POSITIONS`: all, last, or tokens A-B counted from 0", Value: "all"},
			&cli.IntFlag{Name: "top", Usage: "show `N` tokens", Value: 10},
			jsonFlag(),
		}, memoryFlags()...), append(textFlags(), hostFlags()...)...),
		run: runModel,
	}
}

func runModel(c *call) error {
	q, m, err := runQuery(c)
	if err != nil {
		return err
	}
	o, err := open(c.args[0])
	if err != nil {
		return err
	}
	defer o.Close()
	l, err := o.locate(c.ctx)
	if err != nil {
		return err
	}
	var baked []models.Baked
	if o.Manifest != nil {
		baked = o.Manifest.Baked
	}
	if q.Layer, err = runLayer(c, l); err != nil {
		return err
	}
	if err := m.fits(l); err != nil {
		return err
	}
	s, err := openSteer(c, o)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Texts = textsOf(c)
	r, err := s.Run(c.ctx, q)
	if err != nil {
		return refused(err)
	}
	c.noteFaintMemory(q, m, r)
	if err := c.printRun(q, m, r, baked); err != nil {
		return err
	}
	if r.NoEffect {
		return coded{errors.New("the memory had no effect: not one logit changed"), exitFailed}
	}
	return nil
}

// runQuery reads the flags that do not depend on the model. The memory is nil if the flags name none.
func runQuery(c *call) (q steer.Query, m *injection, err error) {
	q = steer.Query{Prompt: c.String("prompt"), Answer: c.String("answer"), Top: c.Int("top")}
	q.Positions, err = steer.ParsePositions(c.String("positions"))
	switch {
	case err != nil:
		return q, nil, usagef("flag --positions: %w", err)
	case !c.IsSet("prompt"):
		return q, nil, usagef("run: missing --prompt TEXT")
	case q.Top < 1:
		return q, nil, usagef("flag --top: want 1 or more, got %d", q.Top)
	case c.IsSet("answer") && q.Answer == "":
		return q, nil, usagef("flag --answer: the text is empty")
	case !utf8.ValidString(q.Prompt):
		return q, nil, notUTF8("prompt", q.Prompt)
	case !utf8.ValidString(q.Answer):
		return q, nil, notUTF8("answer", q.Answer)
	}
	for _, name := range []string{"prompt", "answer"} {
		if text := c.String(name); !utf8.ValidString(text) {
			return q, nil, notUTF8(name, text)
		}
	}
	if m, err = readMemory(c); err != nil {
		return q, nil, err
	}
	if m != nil {
		q.Memory, q.Vector, q.Tau, q.Encoding, q.Convention = m.text, m.vector, m.tau, m.encoding, m.convention
		return q, m, nil
	}
	for _, name := range []string{"layer", "tau", "encoding", "convention", "positions"} {
		if c.IsSet(name) {
			return q, nil, usagef("run: --%s needs --memory TEXT or --vector FILE", name)
		}
	}
	return q, nil, nil
}

// runLayer returns the layer of the memory, the middle one by default.
func runLayer(c *call, l *models.Layout) (int, error) {
	if !c.IsSet("layer") {
		return l.Layers / 2, nil
	}
	return oneLayer(c.String("layer"), l)
}

// noteFaintMemory warns if the memory of a run is almost zero.
func (c *call) noteFaintMemory(q steer.Query, m *injection, r *steer.Result) {
	switch {
	case m == nil || q.Tau == 0:
	case m.vector != nil:
		c.noteFaint(c.String("vector"), r.MemoryNorm, "")
	default:
		c.noteFaint(quote(m.text), r.MemoryNorm, unlearned)
	}
}

// printRun shows a result as JSON or as text. baked lists the memories in the file itself, which affect the clean run too.
func (c *call) printRun(q steer.Query, m *injection, r *steer.Result, baked []models.Baked) error {
	if c.Bool("json") {
		device, err := deviceOf(c)
		if err != nil {
			return err
		}
		out := runJSON(q, m, r, device)
		out.Baked = baked
		return c.out.json(out)
	}
	facts := [][]span{{text("prompt"), text("%s", quote(q.Prompt)), styled(dim, "%s", countTokens(len(r.Prompt)))}}
	for _, b := range baked {
		facts = append(facts, []span{text("baked"), styled(green, "%s", memoryName(b.Text)), styled(dim, "%s, tau %v, in the file: the clean run includes it", bakedAt(b), b.Tau)})
	}
	if m != nil {
		facts = append(facts, []span{text("memory"), styled(green, "%s", m.name(c.String("vector"))), styled(dim, "%s", m.where(q))})
	}
	c.out.table(facts)
	c.out.line()
	printTokens(c.out, r)
	if r.Answer != nil {
		c.out.line()
		printAnswer(c.out, r)
	}
	return nil
}

func countTokens(n int) string {
	if n == 1 {
		return "1 token"
	}
	return strconv.Itoa(n) + " tokens"
}

// name is the memory in the user's words.
func (m *injection) name(file string) string {
	if m.vector != nil {
		return "vector of " + file
	}
	return quote(m.text)
}

// where describes where and how a memory is added.
func (m *injection) where(q steer.Query) string {
	at := "positions " + q.Positions.String()
	switch q.Positions {
	case steer.AllPositions:
		at = "all positions"
	case steer.LastPosition:
		at = "the last position"
	}
	s := "layer " + strconv.Itoa(q.Layer) + ", tau " + strconv.FormatFloat(q.Tau, 'g', -1, 64) + ", at " + at
	if m.vector == nil {
		s += ", " + string(q.Encoding) + ", " + string(q.Convention)
	}
	return s
}

// runResult is the JSON of run. Lists are never null.
type runResult struct {
	Prompt     string         `json:"prompt"`
	Tokens     []int64        `json:"tokens"` // of the prompt, the beginning-of-text token included
	Memory     string         `json:"memory"` // "" for none, and for a vector
	Layer      *int           `json:"layer"`  // null or absent without a memory, like the next four
	Tau        *float64       `json:"tau"`
	Encoding   string         `json:"encoding,omitempty"`
	Convention string         `json:"convention,omitempty"`
	Positions  string         `json:"positions,omitempty"`
	Baked      []models.Baked `json:"baked,omitempty"` // memories in the file, which the clean run includes
	Device     string         `json:"device"`
	Clean      []tokenJSON    `json:"clean"`
	Injected   []tokenJSON    `json:"injected"`
	Answer     *answerJSON    `json:"answer,omitempty"`
	NoEffect   bool           `json:"no_effect,omitempty"`
}

type tokenJSON struct {
	Token string `json:"token"`
	ID    int64  `json:"id"`
	P     number `json:"p"`
}

type answerJSON struct {
	Text         string `json:"text"`
	Token        string `json:"token"`
	ID           int64  `json:"id"`
	PClean       number `json:"p_clean"`
	PInjected    number `json:"p_injected"`
	LogPClean    number `json:"logp_clean"`
	LogPInjected number `json:"logp_injected"`
	RankClean    int    `json:"rank_clean"`
	RankInjected int    `json:"rank_injected"`
}

func runJSON(q steer.Query, m *injection, r *steer.Result, device runtime.Device) *runResult {
	out := &runResult{Prompt: q.Prompt, Device: device.String(), Clean: tokensJSON(r.Clean), Injected: tokensJSON(r.Injected), NoEffect: r.NoEffect}
	for _, t := range r.Prompt {
		out.Tokens = append(out.Tokens, t.ID)
	}
	if m != nil {
		out.Memory, out.Layer, out.Tau, out.Positions = m.source.Text, &q.Layer, &q.Tau, q.Positions.String()
		out.Encoding, out.Convention = m.source.Encoding, m.source.Convention
	}
	if a := r.Answer; a != nil {
		out.Answer = &answerJSON{a.Text, a.Token, a.ID, number(a.PClean), number(a.PInjected), number(a.LogPClean), number(a.LogPInjected), a.RankClean, a.RankInjected}
	}
	return out
}

func tokensJSON(list []steer.Token) []tokenJSON {
	out := []tokenJSON{}
	for _, t := range list {
		out = append(out, tokenJSON{t.Token, t.ID, number(t.P)})
	}
	return out
}
