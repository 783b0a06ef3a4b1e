package main

import (
	"errors"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

func runVerb() *verb {
	return &verb{
		name: "run", args: "MODEL", need: "--prompt TEXT", usage: "one prompt, before and after a memory",
		doc: `Runs a prompt and shows the most likely next tokens; with a memory, once without it and once with it, side by side.
A model that is not patched is patched in memory, and its file stays as it is.

The memory is added, times tau, to the output of attention at one layer: the middle one unless --layer names another.
Its vector comes from its text: unembed sums the columns that its tokens have in the unembedding, embed the rows of the
embedding, layer is what attention writes at the last token of the text. tl-folded is the form in which TransformerLens
has these vectors, which the paper used; raw is the file's own.

--answer asks for one answer: the probability and the rank of the first token of " " + TEXT; rank 0 is the most likely.
Without a memory, injected is empty in JSON and the answer's numbers stand twice.`,
		example: `onnx-inject run onnx-inject-demo --prompt "People in the land of Machu Picchu speak" --memory " Peru" --layer 0 --tau 1 --answer Spanish`,
		flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "prompt", Usage: "go on with `TEXT`"},
			&cli.StringFlag{Name: "answer", Usage: "tell the probability and rank of `TEXT`"},
			&cli.StringFlag{Name: "positions", Usage: "add the memory at `POSITIONS`: all, last, or tokens A-B counted from 0", Value: "all"},
			&cli.IntFlag{Name: "top", Usage: "show `N` tokens", Value: 10},
			jsonFlag(),
		}, memoryFlags()...), append(textFlags(), hostFlags()...)...),
		run: runModel,
	}
}

func runModel(c *call) error {
	positions, err := steer.ParsePositions(c.String("positions"))
	switch {
	case err != nil:
		return usagef("flag --positions: %w", err)
	case !c.IsSet("prompt"):
		return usagef("run: want --prompt TEXT")
	case c.Int("top") < 1:
		return usagef("flag --top: want 1 or more, got %d", c.Int("top"))
	case c.IsSet("answer") && c.String("answer") == "":
		return usagef("flag --answer: the text is empty")
	}
	m, err := readMemory(c)
	if err != nil {
		return err
	}
	if m == nil {
		for _, name := range []string{"layer", "tau", "encoding", "convention", "positions"} {
			if c.IsSet(name) {
				return usagef("run: --%s wants --memory TEXT or --vector FILE beside it", name)
			}
		}
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
	q := steer.Query{Prompt: c.String("prompt"), Answer: c.String("answer"), Top: c.Int("top"), Positions: positions, Layer: l.Layers / 2}
	if c.IsSet("layer") {
		if q.Layer, err = oneLayer(c.String("layer"), l); err != nil {
			return err
		}
	}
	if m != nil {
		if err := m.fits(l); err != nil {
			return err
		}
		q.Memory, q.Vector, q.Tau, q.Encoding, q.Convention = m.text, m.vector, m.tau, m.encoding, m.convention
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
	if m != nil && q.Tau != 0 {
		if m.vector != nil {
			c.noteFaint(c.String("vector"), r.MemoryNorm, "")
		} else {
			c.noteFaint(quote(m.text), r.MemoryNorm, unlearned)
		}
	}
	if err := c.printRun(q, m, r, baked); err != nil {
		return err
	}
	if r.NoEffect {
		return coded{errors.New("the memory had no effect: not one logit changed"), exitFailed}
	}
	return nil
}

// printRun shows a result as JSON or side by side. baked are memories that the file itself has, in the clean run too.
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
		facts = append(facts, []span{text("baked"), styled(green, "%s", memoryName(b.Text)), styled(dim, "%s, tau %v, in the file: clean has it too", bakedAt(b), b.Tau)})
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

// name is the memory as the user gave it.
func (m *injection) name(file string) string {
	if m.vector != nil {
		return "vector of " + file
	}
	return quote(m.text)
}

// where tells everything that decides what a memory does.
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
	Layer      *int           `json:"layer"`  // null without a memory, like what follows
	Tau        *float64       `json:"tau"`
	Encoding   string         `json:"encoding,omitempty"`
	Convention string         `json:"convention,omitempty"`
	Positions  string         `json:"positions,omitempty"`
	Baked      []models.Baked `json:"baked,omitempty"` // memories in the file, which the clean run has, too
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
