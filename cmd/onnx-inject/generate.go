package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/runtime/generate"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

// shown selects the continuations that generate shows.
type shown string

const (
	showBoth     shown = "both"
	showInjected shown = "injected"
)

func generateCommand() *command {
	return &command{
		name: "generate", args: "MODEL [-]", need: "--prompt TEXT", usage: "continue a text, without and with a memory",
		doc: `Continues a prompt token by token and prints the text while it is generated. With a memory or another intervention, it
shows the continuation without and with it; --only injected shows the second alone. A model without ports is patched in
RAM; its file is not changed. With - in place of --prompt TEXT, the prompt is read from standard input.

The cache of the file is used, whatever its form. A file without a cache computes the whole text again for each token.

Interventions are those of run, --for included. They act at every position, those of new tokens included. --positions
limits a memory to tokens of the prompt, and --when to the tokens of the prompt or to new ones.

Temperature 0 takes the most likely token. A higher one draws a token: --top-k, --top-p and --min-p limit the choice as
Hugging Face's transformers defines them, and --seed makes it repeatable. A text ends with the model's end-of-text token,
before a text of --stop, after --max-tokens, or at the end of the model's context.

--chat writes the prompt as the message of a user in the chat template of the model's folder.`,
		example: `onnx-inject generate onnx-inject-demo --prompt "People in the land of Machu Picchu speak" --memory " Peru" --layer 0 --max-tokens 8`,
		flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "prompt", Usage: "continue `TEXT`"},
			boolFlag("chat", "write the prompt as a message of the model's chat template"),
			&cli.IntFlag{Name: "max-tokens", Usage: "generate at most `N` tokens", Value: 50},
			&cli.GenericFlag{Name: "stop", Usage: "end before `TEXT`; can be repeated", Value: &texts{}, DefaultText: "none"},
			oneOf("only", "show `ONE` of the continuations", []shown{showBoth, showInjected}),
			&cli.Float64Flag{Name: "temperature", Usage: "divide the logits by `T`; 0 takes the most likely token"},
			&cli.IntFlag{Name: "top-k", Usage: "choose from the `K` most likely tokens; 0 means all"},
			&cli.Float64Flag{Name: "top-p", Usage: "choose from the most likely tokens whose probabilities add up to `P`", Value: 1},
			&cli.Float64Flag{Name: "min-p", Usage: "choose from tokens at least `P` times as likely as the most likely one"},
			&cli.Float64Flag{Name: "repetition-penalty", Usage: "divide or multiply the logits of tokens that the text contains by `R`, so that they become less likely", Value: 1},
			&cli.IntFlag{Name: "seed", Usage: "draw tokens with random numbers that follow from `N`"},
			&cli.StringFlag{Name: "positions", Usage: "add the memory at `POSITIONS`: all, or tokens of the prompt: last, A-B counted from 0, text:\"SUBSTRING\", or last:\"SUBSTRING\" for its last token", Value: "all"},
			oneOf("when", "add the memory to `TOKENS`", intervention.Whens),
			jsonFlag(),
		}, append(memoryFlags(), changeFlags()...)...), append(textFlags(), hostFlags()...)...),
		run: generateText,
	}
}

func generateText(c *call) error {
	if err := c.readPrompt(); err != nil {
		return err
	}
	g, err := readGeneration(c)
	if err != nil {
		return err
	}
	o, l, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
	if g.entries, err = g.changes.resolve(c, l); err != nil {
		return err
	}
	s, err := openSteer(c, o)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Texts = textsOf(c)
	if g.request.Tokenizer, err = o.Folder.Tokenizer(); err != nil {
		return refused(err)
	}
	g.request.EOS = g.request.Tokenizer.EOS()
	if g.request.Prompt, err = g.prompt(c, o, s); err != nil {
		return refused(err)
	}
	if g.plan, err = s.Resolve(c.ctx, g.entries, g.changes.unit, g.request.Prompt); err != nil {
		return refused(err)
	}
	g.tokens = s.Tokens(g.request.Prompt)
	if err := s.Unload(); err != nil { // the session below takes the memory
		return err
	}
	if err := c.spell(g.changes, s); err != nil {
		return err
	}
	if err := c.noteBOS(g.entries, o); err != nil {
		return err
	}
	host, options, err := hostOf(c)
	if err != nil {
		return err
	}
	m, err := generate.Open(c.ctx, host, o.Model, options, steer.RequestOf(g.plan, o.Manifest))
	if err != nil {
		return refused(err)
	}
	defer m.Close()
	if !m.Cached() {
		c.note("%s has no cache: the whole text is computed again for each token", o.Folder.Model)
	}
	return g.show(c, m)
}

// generation is what the flags of generate describe.
type generation struct {
	request generate.Request // without a plan
	changes *changes
	entries []intervention.Entry // none: only the clean continuation
	plan    intervention.Plan
	tokens  []steer.Token // of the prompt
	only    shown
}

// readGeneration reads the flags that do not depend on the model.
func readGeneration(c *call) (g *generation, err error) {
	g = &generation{only: chosen[shown](c, "only")}
	g.request = generate.Request{Max: c.Int("max-tokens"), Stop: *c.Generic("stop").(*texts), Sampling: generate.Sampling{
		Penalty: c.Float64("repetition-penalty"), Temperature: c.Float64("temperature"), TopK: c.Int("top-k"), TopP: c.Float64("top-p"), MinP: c.Float64("min-p"),
		Seed: uint64(c.Int("seed")),
	}}
	switch {
	case !c.IsSet("prompt"):
		return nil, usagef("generate: missing --prompt TEXT")
	case !utf8.ValidString(c.String("prompt")):
		return nil, notUTF8("prompt", c.String("prompt"))
	case c.Bool("chat") && c.IsSet("prompt-bos"):
		return nil, usagef("generate: --prompt-bos cannot be combined with --chat: the chat template begins the text")
	case g.request.Max < 1:
		return nil, usagef("flag --max-tokens: want 1 or more, got %d", g.request.Max)
	}
	for _, stop := range g.request.Stop {
		switch {
		case stop == "":
			return nil, usagef("flag --stop: the text is empty")
		case !utf8.ValidString(stop):
			return nil, notUTF8("stop", stop)
		}
	}
	if err := g.request.Sampling.Check(); err != nil {
		return nil, usagef("generate: %w", err)
	}
	if g.request.Sampling.Greedy() {
		for _, name := range []string{"top-k", "top-p", "min-p", "seed"} {
			if c.IsSet(name) {
				return nil, usagef("generate: --%s needs --temperature above 0: temperature 0 takes the most likely token", name)
			}
		}
	}
	if _, err = intervention.ParsePositions(c.String("positions")); err != nil {
		return nil, badFlag("positions", err)
	}
	if g.changes, err = readChanges(c, "positions", "when"); err != nil {
		return nil, err
	}
	if m := g.changes.memory; m != nil {
		m.when = chosen[intervention.When](c, "when")
	} else if g.changes.empty() && c.IsSet("only") {
		return nil, usagef("generate: --only needs an intervention, such as --memory TEXT")
	}
	return g, nil
}

// prompt returns the tokens of the prompt.
func (g *generation) prompt(c *call, o *opened, s *steer.Model) ([]int64, error) {
	if c.Bool("chat") {
		return chatPrompt(o, g.request.Tokenizer, c.String("prompt"))
	}
	return s.Prompt(c.String("prompt"))
}

// show generates the continuations and prints them.
func (g *generation) show(c *call, m *generate.Model) error {
	out := &generationJSON{PromptIDs: g.request.Prompt}
	changed := len(g.entries) > 0
	quiet, titles := c.Bool("json"), changed && g.only == showBoth
	if !quiet && titles {
		c.out.table(append([][]span{{text("prompt"), text("%s", quote(c.String("prompt"))), styled(dim, "%s", countTokens(len(g.request.Prompt)))}},
			c.changeFacts(g.changes, g.entries, g.plan, g.tokens)...))
	}
	tokens, took := 0, time.Duration(0)
	for _, x := range []struct {
		name  string
		shown bool
		plan  intervention.Plan
		into  **continuationJSON
	}{
		{"clean", g.only == showBoth, nil, &out.Clean},
		{"injected", changed, g.plan, &out.Injected},
	} {
		if !x.shown {
			continue
		}
		r := g.request
		r.Plan = x.plan
		if !quiet {
			if titles {
				c.out.line()
				c.out.line(styled(bold, "%s", x.name))
			}
			r.Stream = c.out.stream
		}
		got, err := m.Continue(c.ctx, r)
		if !quiet {
			c.out.line() // after the text, also after the part of a text
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", x.name, err)
			if x.plan != nil && errors.Is(err, generate.ErrRange) {
				err = hint.With(err, "a smaller tau may help")
			}
			return refused(err)
		}
		tokens, took = tokens+len(got.IDs), took+got.Took
		*x.into = &continuationJSON{IDs: append([]int64{}, got.IDs...), Text: got.Text, End: got.End}
	}
	out.Rate = number(float64(tokens) / took.Seconds())
	if quiet {
		return c.out.json(out)
	}
	return nil
}

// generationJSON is the document of --json.
type generationJSON struct {
	PromptIDs []int64           `json:"prompt_ids"`
	Clean     *continuationJSON `json:"clean,omitempty"`
	Injected  *continuationJSON `json:"injected,omitempty"`
	Rate      number            `json:"tokens_per_second"` // new tokens of all continuations; the time of the prompt is included
}

type continuationJSON struct {
	IDs  []int64      `json:"ids"` // the end-of-text token included
	Text string       `json:"text"`
	End  generate.End `json:"end"`
}

// stream prints a piece of a text. Line feeds and tabs are printed, other control characters are escaped.
func (p *printer) stream(piece string) error {
	var b strings.Builder
	for line := range strings.Lines(piece) {
		body, end := strings.TrimSuffix(line, "\n"), ""
		if body != line {
			end = "\n"
		}
		for i, part := range strings.Split(body, "\t") {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(escape(part))
		}
		b.WriteString(end)
	}
	_, err := p.w.Write([]byte(b.String()))
	return err
}
