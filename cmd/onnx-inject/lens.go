package main

import (
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
)

func lensCommand() *command {
	return &command{
		name: "lens", args: "MODEL", need: "--prompt TEXT|--data FILE", usage: "show what each attention head writes, as tokens",
		doc: `Applies the unembedding to the output of every attention head at the last position of a prompt, and shows the most likely
tokens; with --against, also those for a second prompt, side by side. --layer shows one layer in detail. MODEL is not
changed.

--entity searches for a text, the missing hop: it reports the rank of the text's first token under each head, with or
without a leading space, whichever is better. A dot marks the token if it is among the N tokens of --top. With two
prompts, the difference of its log-probability is shown for every head: the first prompt minus the second.

--data reads a file of prompt pairs instead, with the columns explicit_sentence, obscure_sentence, explicit_entity and
answer. For every head it counts the one-hop and two-hop prompts for which the entity is among the head's N most likely
tokens.

--norm selects what is applied between a head and the unembedding. final divides by the scale of the final norm at the
last position, which gives the head's contribution to the logits. tl uses TransformerLens' folded coordinates without a
norm. raw uses the file's own numbers. The paper used --norm tl --prompt-bos=false.
A probability is the softmax of one head's logits: it measures how sharply the head points, not what the model predicts.

Three more parts of a prompt can be shown instead of the heads; with --entity, --layer or --csv the heads are shown too.
--stream applies the final norm and the unembedding to the residual stream after every layer (logit lens). --attribution
splits the logit of the answer at the last position into what each head, each MLP and the rest of the stream add to it
(direct logit attribution). --pattern shows the attention of heads. The text is about the last position; --json and --html
have all positions. A page made without these flags has all parts that the file can give. The answer is the first token of
" " + TEXT of --answer, or the model's most likely token.`,
		example: `onnx-inject lens onnx-inject-demo --prompt "People in Peru speak" --against "People in the land of Machu Picchu speak" --entity Peru`,
		flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "prompt", Usage: "show the last position of `TEXT`"},
			&cli.StringFlag{Name: "against", Usage: "compare with a second `TEXT`"},
			&cli.StringFlag{Name: "entity", Usage: "search for `TEXT`"},
			boolFlag("stream", "show the most likely tokens of the residual stream after every layer"),
			boolFlag("attribution", "show what each head and each MLP adds to the logit of the answer"),
			&cli.StringFlag{Name: "pattern", Usage: "show which positions `HEADS` read, such as 4.0,3.2; top selects heads by attribution"},
			&cli.StringFlag{Name: "answer", Usage: "attribute the logit of `TEXT`"},
			&cli.StringFlag{Name: "layer", Usage: "show layer `L` in detail; -1 is the last"},
			&cli.StringFlag{Name: "data", Usage: "count over the prompt pairs of `FILE`, .csv or .jsonl", TakesFile: true},
			&cli.IntFlag{Name: "limit", Usage: "use the first `N` pairs of the file; 0 means all"},
			&cli.IntFlag{Name: "top", Usage: "use the `N` most likely tokens of a head", Value: 10},
			oneOf("norm", "`NORM` between head and unembedding", lens.Norms),
			textFlags()[0], // --prompt-bos
			&cli.StringFlag{Name: "csv", Usage: "write a table to `FILE`", TakesFile: true},
			&cli.StringFlag{Name: "html", Usage: "write a page with pictures to `FILE`", TakesFile: true},
			boolFlag("force", "replace the files of --csv and --html"),
			jsonFlag(),
		}, hostFlags()),
		run: runLens,
	}
}

func runLens(c *call) error {
	if err := checkLens(c); err != nil {
		return err
	}
	if c.IsSet("data") {
		return runSurvey(c)
	}
	l, err := openLens(c)
	if err != nil {
		return err
	}
	defer l.Close()
	var entity *lens.Entity
	if c.IsSet("entity") {
		if entity, err = l.Entity(c.String("entity")); err != nil {
			return refused(err)
		}
	}
	r, err := l.Report(c.ctx, lens.Question{Prompt: c.String("prompt"), Against: c.String("against"), Entity: entity, Answer: c.String("answer"), Top: c.Int("top")})
	if err != nil {
		return refused(err)
	}
	if err := c.writeTables(r.WriteCSV, r.WriteHTML); err != nil {
		return err
	}
	if c.Bool("json") {
		return c.out.json(r)
	}
	printLens(c, r)
	return nil
}

// checkLens refuses flags that cannot be combined.
func checkLens(c *call) error {
	switch {
	case c.IsSet("prompt") && c.IsSet("data"):
		return usagef("--prompt and --data cannot be combined: give one prompt, or a file of pairs")
	case !c.IsSet("prompt") && !c.IsSet("data"):
		return usagef("lens: missing --prompt TEXT or --data FILE")
	case c.IsSet("against") && c.String("against") == "":
		return usagef("flag --against: the text is empty")
	case c.IsSet("entity") && c.String("entity") == "":
		return usagef("flag --entity: the text is empty")
	case c.Int("top") < 1:
		return usagef("flag --top: want 1 or more, got %d", c.Int("top"))
	case c.Int("limit") < 0:
		return usagef("flag --limit: want 0 or more, got %d", c.Int("limit"))
	case c.IsSet("limit") && !c.IsSet("data"):
		return usagef("lens: --limit needs --data FILE")
	}
	for _, name := range []string{"csv", "html"} {
		if c.IsSet(name) && c.String(name) == "" {
			return usagef("flag --%s: the name is empty", name)
		}
	}
	for _, name := range []string{"against", "entity"} {
		if c.IsSet(name) && c.IsSet("data") {
			return usagef("--%s and --data cannot be combined: the file contains the texts", name)
		}
	}
	return checkParts(c)
}

// openedLens is a lens with its model.
type openedLens struct {
	*lens.Lens
	model *opened
}

// Close frees both.
func (l *openedLens) Close() error { return errors.Join(l.Lens.Close(), l.model.Close()) }

// openLens loads the model with the options that the flags select.
func openLens(c *call) (out *openedLens, err error) {
	o, err := open(c.args[0])
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	layout, err := o.locate(c.ctx)
	if err != nil {
		return nil, err
	}
	options := lens.Options{Norm: chosen[lens.Norm](c, "norm"), Texts: memory.Texts{PromptBOS: c.Bool("prompt-bos"), AnswerSpace: true}}
	if !c.IsSet("data") {
		if options.Parts, err = partsOf(c); err != nil {
			return nil, err
		}
	}
	if c.IsSet("layer") {
		layer, err := oneLayer(c.String("layer"), layout)
		if err != nil {
			return nil, err
		}
		options.Layers = []int{layer}
	}
	if _, err := o.Folder.Tokenizer(); err != nil { // check this before loading the model, which takes seconds
		return nil, refused(err)
	}
	host, ro, err := hostOf(c)
	if err != nil {
		return nil, err
	}
	options.Runtime = ro
	l, err := lens.Open(c.ctx, host, o.Model, options)
	if err != nil {
		return nil, refused(err)
	}
	return &openedLens{l, o}, nil
}
