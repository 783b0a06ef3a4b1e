package main

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

func runCommand() *command {
	return &command{
		name: "run", args: "MODEL [-]", need: "--prompt TEXT", usage: "run one prompt, without and with a memory",
		doc: `Runs a prompt and shows the most likely next tokens. With a memory, it shows the tokens without and with the memory, side
by side. A model without ports is patched in RAM; its file is not changed. With - in place of --prompt TEXT, the prompt is
read from standard input.

tau * memory is added to the attention output of one layer: the middle one unless --layer names another. The vector is
computed from the text: unembed sums the columns of its tokens in the unembedding, embed sums their rows in the embedding,
layer is the attention output at the last token of the text. tl-folded is the form that these vectors have in
TransformerLens, which the paper used; raw is the form that they have in the file.

With --for PHRASE, the memory is what the model itself makes of a name: it runs the text of --memory alone, after the
beginning-of-text token, and the state of its last token replaces the state of the last token of PHRASE in the prompt,
wherever PHRASE occurs. The default is then --site resid_post after 0.3 of the layers; the output shows which. Several
names need a --memory and a --for each. A name for a description helps only in the layers in which the model still reads
the description: try --layer from 0.2 to 0.45 of the layers.

The memory can be added at another --site and at several layers. --ablate and --scale multiply the model's own values by a
factor; --interventions makes the changes that a file lists. With --tau-unit norm, tau 1 is as long as what the site holds
on average.

--one-hop asks for the answer after a second prompt, in which the missing hop is spelled out. If the model does not know
the answer there, the output says so: a memory cannot supply what the model lacks. The limits are those of probe.

--answer shows the probability and the rank of one answer: the first token of " " + TEXT. Rank 0 is the most likely. The
output says how many tokens the answer has; with --answer-whole all of them count, each after the ones before it.
Without a memory, injected is empty in the JSON document, and the answer's numbers with and without a memory are equal.`,
		example: `onnx-inject run onnx-inject-demo --prompt "People in the land of Machu Picchu speak" --memory " Peru" --layer 0 --tau 1 --answer Spanish`,
		flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "prompt", Usage: "predict the token after `TEXT`"},
			&cli.StringFlag{Name: "answer", Usage: "show the probability and rank of `TEXT`"},
			&cli.StringFlag{Name: "one-hop", Usage: "also ask `TEXT`, the prompt with the missing hop spelled out, without a memory"},
			boolFlag("answer-whole", "count all tokens of the answer: the product of their probabilities"),
			&cli.StringFlag{Name: "positions", Usage: "add the memory at `POSITIONS`: all, last, tokens A-B counted from 0, text:\"SUBSTRING\", or last:\"SUBSTRING\" for its last token", Value: "all"},
			&cli.IntFlag{Name: "top", Usage: "show `N` tokens", Value: 10},
			jsonFlag(),
		}, append(memoryFlags(), changeFlags()...)...), append(textFlags(), isolatedFlags()...)...),
		run: isolated(runModel),
	}
}

func runModel(c *call) error {
	if err := c.readPrompt(); err != nil {
		return err
	}
	q, x, err := runQuery(c)
	if err != nil {
		return err
	}
	o, l, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
	c.noteNodes(o)
	var baked []models.Baked
	if o.Manifest != nil {
		baked = o.Manifest.Baked
	}
	if q.Entries, err = x.resolve(c, l); err != nil {
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
	c.noteFaintMemory(x.memory, r)
	if err := c.spell(x, s); err != nil {
		return err
	}
	if err := c.noteBOS(q.Entries, o); err != nil {
		return err
	}
	var hop2 *oneHopJSON
	if c.IsSet("one-hop") {
		if hop2, err = askOneHop(c, s, q, r); err != nil {
			return refused(err)
		}
	}
	if err := c.printRun(q, x, r, baked, hop2); err != nil {
		return err
	}
	if r.NoEffect {
		return coded{errors.New("the memory had no effect: not one logit changed"), exitFailed}
	}
	return nil
}

// runQuery reads the flags that do not depend on the model.
func runQuery(c *call) (q steer.Query, x *changes, err error) {
	q = steer.Query{Prompt: c.String("prompt"), Answer: c.String("answer"), Whole: c.Bool("answer-whole"), Top: c.Int("top"), TauUnit: chosen[steer.TauUnit](c, "tau-unit")}
	_, err = intervention.ParsePositions(c.String("positions"))
	switch {
	case err != nil:
		return q, nil, badFlag("positions", err)
	case !c.IsSet("prompt"):
		return q, nil, usagef("run: missing --prompt TEXT")
	case q.Top < 1:
		return q, nil, usagef("flag --top: want 1 or more, got %d", q.Top)
	case c.IsSet("answer") && q.Answer == "":
		return q, nil, usagef("flag --answer: the text is empty")
	case q.Whole && q.Answer == "":
		return q, nil, usagef("run: --answer-whole needs --answer TEXT")
	case c.IsSet("one-hop") && c.String("one-hop") == "":
		return q, nil, usagef("flag --one-hop: the text is empty")
	case c.IsSet("one-hop") && q.Answer == "":
		return q, nil, usagef("run: --one-hop needs --answer TEXT")
	case c.IsSet("one-hop") && q.Whole:
		return q, nil, usagef("--one-hop and --answer-whole cannot be combined: the answer after one hop counts by its first token")
	}
	for _, name := range []string{"prompt", "answer", "one-hop"} {
		if text := c.String(name); !utf8.ValidString(text) {
			return q, nil, notUTF8(name, text)
		}
	}
	x, err = readChanges(c, "positions")
	return q, x, err
}

// noteFaintMemory warns if the memory of a run is almost zero.
func (c *call) noteFaintMemory(m *injection, r *steer.Result) {
	switch {
	case m == nil || m.tau == 0 || c.IsSet("tau-unit"):
	case m.vector != nil:
		c.noteFaint(c.String("vector"), memory.Length(m.vector), "")
	default:
		c.noteFaint(quote(m.text), memory.Length(r.Plan[0].Vector), unlearned)
	}
}

// printRun shows a result as JSON or as text. baked lists the memories in the file itself, which affect the clean run too.
func (c *call) printRun(q steer.Query, x *changes, r *steer.Result, baked []models.Baked, hop2 *oneHopJSON) error {
	if c.Bool("json") {
		device, err := deviceOf(c)
		if err != nil {
			return err
		}
		out := runJSON(q, x, r, device)
		out.Baked, out.OneHop = baked, hop2
		return c.out.json(out)
	}
	facts := [][]span{{text("prompt"), text("%s", quote(q.Prompt)), styled(dim, "%s", countTokens(len(r.Prompt)))}}
	for _, b := range baked {
		facts = append(facts, []span{text("baked"), styled(green, "%s", memoryName(b.Text)), styled(dim, "%s, tau %v, in the file: the clean run includes it", bakedAt(b), b.Tau)})
	}
	facts = append(facts, c.changeFacts(x, q.Entries, r.Plan, r.Prompt)...)
	c.out.table(facts)
	c.out.line()
	printTokens(c.out, r)
	if r.Answer != nil {
		c.out.line()
		printAnswer(c.out, r, q.Whole)
	}
	if hop2 != nil {
		hop2.print(c.out)
	}
	return nil
}

// changeFacts describes interventions, one in a row.
func (c *call) changeFacts(x *changes, entries []intervention.Entry, plan intervention.Plan, prompt []steer.Token) [][]span {
	var facts [][]span
	for i, e := range entries {
		if name, phrase, ok := e.EntityOf(); ok {
			facts = append(facts, []span{text("memory"), styled(green, "%s", quote(name)), styled(dim, "%s", entityWhere(phrase, e, tokensOf(i, plan, prompt)))})
			continue
		}
		if m := x.memory; m != nil && i == 0 {
			where := m.where()
			if m.tokens != nil {
				where = m.tokensText() + "; " + where
			}
			if x.unit == steer.TauNorm {
				where += fmt.Sprintf(", which is tau %.4g of a memory of length 1", plan[0].Tau)
			}
			facts = append(facts, []span{text("memory"), styled(green, "%s", m.name(c.String("vector"))), styled(dim, "%s", where)})
			continue
		}
		facts = append(facts, []span{text("change"), styled(green, "%s", e), {}})
	}
	return facts
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
func (m *injection) where() string {
	at := "positions " + m.positions
	switch m.positions {
	case "all", "":
		at = "all positions"
	case "last":
		at = "the last position"
	}
	s := "layer " + string(m.entry.Layers)
	if m.site != models.DefaultSite {
		s = string(m.site) + " of " + s
	}
	s += ", tau " + strconv.FormatFloat(m.tau, 'g', -1, 64) + ", at " + at
	if m.vector == nil {
		s += ", " + string(m.encoding) + ", " + string(m.convention)
	}
	if m.when != "" && m.when != intervention.Always {
		s += ", tokens: " + string(m.when)
	}
	return s
}

// runResult is the JSON of run. Lists are never null.
type runResult struct {
	Prompt     string         `json:"prompt"`
	Tokens     []int64        `json:"tokens"` // of the prompt, the beginning-of-text token included
	Memory     string         `json:"memory"` // "" for none, and for a vector
	MemoryIDs  []pieceJSON    `json:"memory_tokens,omitempty"`
	Layer      *int           `json:"layer"` // null or absent without a memory, like the next four
	Tau        *float64       `json:"tau"`
	Encoding   string         `json:"encoding,omitempty"`
	Convention string         `json:"convention,omitempty"`
	Positions  string         `json:"positions,omitempty"`
	Baked      []models.Baked `json:"baked,omitempty"` // memories in the file, which the clean run includes
	Device     string         `json:"device"`
	Clean      []tokenJSON    `json:"clean"`
	Injected   []tokenJSON    `json:"injected"`
	Answer     *answerJSON    `json:"answer,omitempty"`
	OneHop     *oneHopJSON    `json:"one_hop,omitempty"`
	NoEffect   bool           `json:"no_effect,omitempty"`

	// Interventions is all that was changed, if that is more than one memory at attn_out of one layer.
	Interventions []intervention.Entry `json:"interventions,omitempty"`

	Entities []entityJSON `json:"entities,omitempty"` // the memories that replace a token of the prompt

	TauRaw number `json:"tau_raw,omitempty"` // with --tau-unit norm: tau of a memory of length 1
}

type tokenJSON struct {
	Token string `json:"token"`
	ID    int64  `json:"id"`
	P     number `json:"p"`
}

// pieceJSON is a token of a text.
type pieceJSON struct {
	Token string `json:"token"`
	ID    int64  `json:"id"`
}

type answerJSON struct {
	Text         string `json:"text"`
	Token        string `json:"token"`
	ID           int64  `json:"id"`
	Tokens       int    `json:"tokens"` // how many the whole answer has
	Whole        bool   `json:"whole"`  // the numbers are those of all tokens; ranks are those of the first
	PClean       number `json:"p_clean"`
	PInjected    number `json:"p_injected"`
	LogPClean    number `json:"logp_clean"`
	LogPInjected number `json:"logp_injected"`
	RankClean    int    `json:"rank_clean"`
	RankInjected int    `json:"rank_injected"`
}

func runJSON(q steer.Query, x *changes, r *steer.Result, device runtime.Device) *runResult {
	out := &runResult{Prompt: q.Prompt, Device: device.String(), Clean: tokensJSON(r.Clean), Injected: tokensJSON(r.Injected), NoEffect: r.NoEffect}
	for _, t := range r.Prompt {
		out.Tokens = append(out.Tokens, t.ID)
	}
	if m := x.memory; m != nil {
		out.Memory, out.Tau, out.Positions = m.source.Text, &m.tau, m.positions
		out.Encoding, out.Convention = m.source.Encoding, m.source.Convention
		for _, t := range m.tokens {
			out.MemoryIDs = append(out.MemoryIDs, pieceJSON{t.Token, t.ID})
		}
		if layer, err := strconv.Atoi(string(m.entry.Layers)); err == nil && layer >= 0 {
			out.Layer = &layer
		}
	}
	for i, e := range q.Entries {
		if x.memory == nil || i > 0 || e.At() != models.DefaultSite || out.Layer == nil {
			out.Interventions = q.Entries
		}
	}
	out.Entities = entitiesJSON(q.Entries, r)
	if q.TauUnit == steer.TauNorm && len(r.Plan) > 0 {
		out.TauRaw = number(r.Plan[0].Tau)
	}
	if a := r.Answer; a != nil {
		out.Answer = &answerJSON{a.Text, a.Token, a.ID, len(a.Tokens), q.Whole, number(a.PClean), number(a.PInjected), number(a.LogPClean), number(a.LogPInjected), a.RankClean, a.RankInjected}
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
