package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	choices "github.com/onnx-inject/onnx-inject/graph/base/choice"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func evalCommand() *command {
	return &command{
		name: "eval", args: "MODEL", need: "--data FILE -o DIR", usage: "evaluate every cell of prompts x layers x taus and write files",
		doc: `Runs every prompt of FILE without a memory and with a memory at every layer and tau. The memory is added to the attention
output, or at other --sites. Writes to DIR: cells.csv (one row per cell), prompts.csv (one row per prompt), manifest.json
(what was evaluated) and summary.json (statistics). FILE is .csv or .jsonl with the paper's columns (explicit_sentence,
obscure_sentence, explicit_entity, obscure_entity, answer) or with prompt, memory, answer. "onnx-inject report DIR" draws
the results.

A prompt can have further memories for --memory entity, each for its own phrase: in the columns explicit_entity_2 (or
memory_2) and obscure_entity_2, then those with _3, and so on. A prompt with fewer memories leaves the cells empty.

All other columns of FILE, such as relation, are kept in prompts.csv, and "onnx-inject report DIR --by relation" groups by
one. A column with a name that the results use themselves, such as rank, is data_rank there.

Running the same command again resumes a stopped evaluation. Ctrl-C stops it after the current prompt. --shard i/N
evaluates one part of the prompts into a separate folder; report reads several such folders together.

--layers, --taus and --memory can be repeated to extend their lists. A source of memories is one of
` + listing(eval.Sources()) + `
LIST, PATH and FILE are a .txt file with one text per line, or FILE.csv#COLUMN. PATH can also be a file of vectors (.npy,
.safetensors, .gguf). What is captured from the one-hop prompt contains the answer: it is an upper bound, not a memory.

--op selects what happens in a cell to x, which is what the site holds: add gives x + tau * memory, replace gives
tau * memory, scale multiplies x by each of --taus, ablate makes it 0. --sites and --heads are swept as layers are:
--op ablate --sites z --heads all knocks out every head by itself, and --op replace --memory captured --sites z
--heads all --positions last patches each. For ablate the best cell is the one that loses most. The changes of --ablate,
--scale and --interventions act in every cell, too; --memory none --layers 0 --taus 0 evaluates them alone.

--side-effects measures what each cell does to texts that it should not touch: the mean KL divergence of the
predictions with and without the change, per position from the change on, and the perplexity of the tokens after it.
demo and english are built in; for another FILE, give one text per line. A text has the memory of one of the prompts.
Changes at all positions act on the whole text. A change at the last token or at a phrase has no place in another
text: it acts on the last token of the text's first half, as though the prompt ended there, and the second half shows
the effect. A text without the phrase is not changed at all when the memory is bound to the phrase; this measures the
memory, not the search for the phrase.

--plan selects how the cells are computed. All plans give the same numbers, except for float16 models and for models that
quantise activations at run time by the range of all rows together; auto checks that the plans agree:
` + listing(eval.Plans()) + `
The conventions are those of the paper's code: a prompt begins with the beginning-of-text token, a memory does not, and
the probability of an answer is that of the first token of " " + answer.

The table at the end shows the cell of each source with the largest mean change of the log-odds, in nats. p clean and
one hop are mean probabilities without a memory, for the prompts and for their one-hop versions; p is that of the
cell. other half is the measure on one half of the prompts when the cell is chosen on the other half. --percent adds
the paper's measure: the mean relative change of the probability, without the changes above the 99th percentile. It
often chooses another cell.`,
		example: "onnx-inject eval onnx-inject-demo --data onnx-inject-demo/prompts.csv --taus 0.5,1,2,4 -o demo-results",
		flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "prompts to evaluate: `FILE`", TakesFile: true},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the results to `DIR`", TakesFile: true},
			&cli.StringFlag{Name: "prompt-column", Usage: "evaluate the prompts of `COLUMN`, such as explicit_sentence", DefaultText: "obscure_sentence or prompt"},
			&cli.StringFlag{Name: "op", Usage: "`OPERATION` of a cell: " + joined(intervention.Ops), DefaultText: "add; replace for mean and backpatch"},
			&cli.GenericFlag{Name: "sites", Usage: "`SITES` that change, one at a time: all, or of " + joined(models.Memorable()), Value: &list{}, DefaultText: "attn_out; resid_post for backpatch"},
			&cli.StringFlag{Name: "site", Usage: "the same as --sites, as run has it: `SITE`", DefaultText: "that of --sites"},
			listFlag("layers", "`LAYERS` that change, one at a time", "all"),
			&cli.GenericFlag{Name: "heads", Usage: "`HEADS` of z that change, one at a time: all, or numbers; without this flag a layer changes as a whole", Value: &list{}},
			&cli.GenericFlag{Name: "taus", Usage: "`TAUS`: 1:15, 0.5:2:0.25, or 1,2.5,4; the factors of scale", Value: &list{}, DefaultText: "1:15; 1 for replace; 0,0.5,2 for scale"},
			&cli.GenericFlag{Name: "memory", Usage: "`SOURCE` of memories", Value: &texts{}, DefaultText: "curated"},
			&cli.IntFlag{Name: "memories", Usage: "use the first `N` memories of a file; 0 means all"},
			oneOf("encoding", "`ENCODING` of texts", memory.Encodings),
			oneOf("convention", "`CONVENTION` of the vectors", memory.Conventions),
			&cli.StringFlag{Name: "positions", Usage: "change `POSITIONS`: all, last, tokens A-B counted from 0, text:\"…\", or phrase: the last token of obscure_entity", DefaultText: "all; last for backpatch, phrase for entity"},
			&cli.BoolFlag{Name: "told", Usage: "score each prompt with the memory as text in front, too: \"X is Y.\"; entity always does"},
			&cli.StringFlag{Name: "side-effects", Usage: "also measure what each cell does to other texts: demo, english, or one text per line of `FILE`", TakesFile: true},
			oneOf("plan", "`PLAN`", firsts(eval.Plans())),
			&cli.StringFlag{Name: "shard", Usage: "evaluate part `I/N` of the prompts; auto reads it from Slurm or Kubernetes"},
			&cli.IntFlag{Name: "limit", Usage: "evaluate the first `N` prompts; 0 means all"},
			&cli.IntFlag{Name: "top", Usage: "list the `N` most likely tokens in each row"},
			percentFlag(),
			jsonFlag(),
		}, changeFlags()...), append(textFlags(), isolatedFlags()...)...),
		run: isolated(runEval),
	}
}

// listing writes names and descriptions in two columns.
func listing(rows [][2]string) string {
	var b strings.Builder
	width := 12
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-*s %s\n", width, r[0], r[1])
	}
	return b.String()
}

func firsts(rows [][2]string) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r[0])
	}
	return out
}

func runEval(c *call) error {
	cfg, err := evalConfig(c)
	if err != nil {
		return err
	}
	o, l, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
	c.noteNodes(o)
	if cfg.Layers, err = models.ParseLayers(c.listed("layers"), l.Layers); err != nil {
		return badFlag("layers", err)
	}
	if heads := c.listed("heads"); heads != "" {
		if cfg.Heads, err = models.ParseHeads(heads, l.Heads); err != nil {
			return badFlag("heads", err)
		}
	}
	host, options, err := ortOf(c)
	if err != nil {
		return err
	}
	cfg.Model, cfg.Options = o.Model, options
	if cfg.Host, err = hostFacts(host, options); err != nil {
		return err
	}
	bar := evalProgress(c.err)
	cfg.Progress = bar.show
	r, err := eval.Run(c.ctx, c.child.Watch(host), *cfg)
	bar.end()
	if r != nil && r.Torn > 0 {
		c.note("removed %d bytes of a prompt that an interrupted run left incomplete; it is computed again", r.Torn)
	}
	if err != nil {
		return evalError(c, cfg, r, err)
	}
	if len(r.Renamed) > 0 {
		c.note("columns of the data with a name that the results use: in %s, %s", results.PromptsFile, strings.Join(r.Renamed, ", "))
	}
	if n := len(r.Faint); n > 0 {
		c.note("the vectors of %d memories are almost zero, for example that of %s: the file contains zeros, or the model never learned the tokens", n, quote(r.Faint[0]))
	}
	if c.Bool("json") {
		err = c.out.json(evalJSON(cfg, r))
	} else {
		printEval(c.out, calledAs(processOf(c.App).args[0]), cfg, r, c.Bool("percent"))
	}
	switch {
	case err != nil:
		return err
	case len(r.NoEffect) > 0:
		what := "the memories of " + strings.Join(r.NoEffect, ", ")
		if !cfg.Op.UsesMemory() {
			what = "the changes"
		}
		return coded{fmt.Errorf("%s had no effect: no score changed", what), exitFailed}
	case r.NotFinite > 0:
		return hintf(coded{fmt.Errorf("%d cells or prompts have no finite score: the model's values exceeded the range of their type", r.NotFinite), exitNotFinite},
			"they have a status in cells.csv and prompts.csv; smaller taus may help")
	}
	return nil
}

// hostFacts describes the host for a manifest. It loads the library to read its version.
func hostFacts(host ort.Host, o runtime.Options) (results.Host, error) {
	version, err := ort.Load(host.Lib)
	return results.Host{Name: host.Name(), Version: version, Device: o.Device.String()}, refused(err)
}

// evalConfig reads the flags that do not depend on the model.
func evalConfig(c *call) (*eval.Config, error) {
	var missing []string
	for _, f := range [][2]string{{"data", "--data FILE"}, {"out", "-o DIR"}} {
		if c.String(f[0]) == "" {
			missing = append(missing, f[1])
		}
	}
	if missing != nil {
		return nil, usagef("eval: missing %s", strings.Join(missing, " and "))
	}
	for _, name := range []string{"memories", "limit", "top"} {
		if n := c.Int(name); n < 0 {
			return nil, usagef("flag --%s: want 0 or more, got %d", name, n)
		}
	}
	if c.IsSet("side-effects") && c.String("side-effects") == "" {
		return nil, usagef("flag --side-effects: the name is empty")
	}
	cfg := &eval.Config{
		Data: c.String("data"), Column: c.String("prompt-column"), Dir: c.String("out"), Memories: *c.Generic("memory").(*texts),
		Encoding: chosen[memory.Encoding](c, "encoding"), Convention: chosen[memory.Convention](c, "convention"), Plan: chosen[string](c, "plan"),
		Texts: textsOf(c), SideEffects: c.String("side-effects"),
		Limit: c.Int("limit"), Top: c.Int("top"), First: c.Int("memories"), Tool: "onnx-inject " + version(),
	}
	if err := evalChange(c, cfg); err != nil {
		return nil, err
	}
	var err error
	if cfg.Also, err = readEntries(c); err != nil {
		return nil, err
	}
	if s := c.String("shard"); s != "" {
		if cfg.Shard, err = eval.ParseShard(s, os.Getenv); err != nil {
			return nil, badFlag("shard", err)
		}
	}
	return cfg, nil
}

// evalChange reads what happens in a cell. What the flags leave open follows from the operation and from the sources of memories.
func evalChange(c *call, cfg *eval.Config) (err error) {
	if op := c.String("op"); op != "" {
		if cfg.Op, err = choices.Of("op", op, intervention.Ops); err != nil {
			return badFlag("op", err)
		}
	}
	if !cfg.Op.UsesMemory() && cfg.Op != "" {
		for _, name := range []string{"memory", "memories", "encoding", "convention", "tau-unit"} {
			if c.IsSet(name) {
				return usagef("flag --%s: --op %s uses no memory", name, cfg.Op)
			}
		}
	} else if len(cfg.Memories) == 0 {
		cfg.Memories = []string{"curated"}
	}
	cfg.Memories = eval.WithControls(cfg.Memories)
	if err := eval.CheckSources(cfg.Memories); err != nil {
		return badFlag("memory", err)
	}
	sites := cmp.Or(c.listed("sites"), c.String("site"))
	if c.IsSet("site") && c.IsSet("sites") {
		return usagef("eval: --site and --sites are the same flag; want one of them")
	}
	var usual eval.Defaults
	if cfg.Op == "" || sites == "" || c.String("positions") == "" {
		if usual, err = eval.DefaultsOf(cfg.Memories); err != nil {
			return badFlag("memory", err)
		}
	}
	cfg.Op = cmp.Or(cfg.Op, usual.Op, intervention.Add)
	switch {
	case sites == "all":
		cfg.Sites = eval.SitesOf(cfg.Op, cfg.Memories)
	case sites == "":
		cfg.Sites = []models.PortKind{cmp.Or(usual.Site, models.DefaultSite)}
	default:
		for name := range strings.SplitSeq(sites, ",") {
			site, err := models.ParseSite(strings.TrimSpace(name))
			if err != nil {
				return badFlag("sites", err)
			}
			cfg.Sites = append(cfg.Sites, site)
		}
	}
	taus := c.listed("taus")
	if cfg.Op == intervention.Ablate && taus != "" {
		return usagef("flag --taus: --op ablate has no tau")
	}
	usually := map[intervention.Op]string{intervention.Add: "1:15", intervention.Replace: "1", intervention.Scale: "0,0.5,2"}
	if taus = cmp.Or(taus, usually[cfg.Op]); taus != "" {
		if cfg.Taus, err = eval.ParseTaus(taus); err != nil {
			return badFlag("taus", err)
		}
	}
	cfg.TauUnit = chosen[steer.TauUnit](c, "tau-unit")
	cfg.Positions, cfg.Phrase = usual.Positions, usual.Phrase
	cfg.Told = usual.Told || c.Bool("told")
	if at := c.String("positions"); at == eval.Phrase {
		cfg.Phrase = true
	} else if at != "" {
		cfg.Phrase = false
		if cfg.Positions, err = intervention.ParsePositions(at); err != nil {
			return badFlag("positions", fmt.Errorf("%w; or phrase", err))
		}
	}
	return nil
}

// joined joins names in a sentence.
func joined[T ~string](names []T) string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return strings.Join(out, ", ")
}

// evalError gives an error its exit code. After an interruption, the hint says how to resume.
func evalError(c *call, cfg *eval.Config, r *eval.Report, err error) error {
	var stopped interrupted
	switch {
	case errors.As(err, &stopped):
		done := 0
		if r != nil {
			done = r.Resumed + r.Done
		}
		if done == 0 {
			return stopped
		}
		return hintf(fmt.Errorf("%w: %d of %d prompts are in %s", stopped, done, r.Prompts, cfg.Dir), "run the same command again to resume")
	case errors.Is(err, results.ErrLocked):
		return coded{err, exitLocked}
	}
	return refused(err)
}

type evalResult struct {
	Dir       string         `json:"dir"`
	Plan      results.Plan   `json:"plan"`
	Prompts   int            `json:"prompts"` // in the folder
	Resumed   int            `json:"resumed"` // prompts from an earlier run
	Cells     int            `json:"cells"`   // computed by this run
	NotFinite int            `json:"not_finite"`
	Seconds   eval.Seconds   `json:"seconds"`
	Summary   *stats.Summary `json:"summary"`
}

func evalJSON(cfg *eval.Config, r *eval.Report) evalResult {
	return evalResult{cfg.Dir, r.Plan, r.Prompts, r.Resumed, r.Cells, r.NotFinite, r.Seconds, r.Summary}
}

// printEval shows the best cells and the next steps.
func printEval(p *printer, called string, cfg *eval.Config, r *eval.Report, percents bool) {
	facts := [][]span{
		{text("results"), styled(bold, "%s", cfg.Dir)},
		{text("prompts"), text("%d", r.Prompts)},
		{text("plan"), text("%s", r.Plan.Used), styled(dim, "%s", r.Plan.Reason)},
	}
	if r.Resumed > 0 {
		facts[1] = append(facts[1], styled(dim, "%d of them from an earlier run", r.Resumed))
	}
	if r.Cells > 0 {
		facts = append(facts, []span{text("cells"), text("%d", r.Cells), styled(dim, "%.3g s, %.3g ms per cell", r.Seconds.Total, 1e3*r.Seconds.Run/float64(r.Cells))})
	}
	p.table(facts)
	p.line()
	var sources []string
	for _, s := range r.Summary.Series {
		sources = append(sources, s.Name())
	}
	printBest(p, r.Summary, named{names: sources}, percents)
	printSideEffects(p, r.Summary, sources)
	p.line()
	p.line(styled(bold, "Next step"))
	p.line(text("  %s report %s", called, shellWord(cfg.Dir)))
}
