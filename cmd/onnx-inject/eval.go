package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func evalCommand() *command {
	return &command{
		name: "eval", args: "MODEL", need: "--data FILE -o DIR", usage: "evaluate every cell of prompts x layers x taus and write files",
		doc: `Runs every prompt of FILE without a memory and with a memory at every layer and tau. The memory is added to the attention
output, or at another --site of the residual stream. Writes to DIR: cells.csv (one row
per cell), prompts.csv (one row per prompt), manifest.json (what was evaluated) and summary.json (statistics). FILE is
.csv or .jsonl with the paper's columns (explicit_sentence, obscure_sentence, explicit_entity, obscure_entity, answer)
or with prompt, memory, answer. "onnx-inject report DIR" draws the results.

Running the same command again resumes a stopped evaluation. Ctrl-C stops it after the current prompt. --shard i/N
evaluates one part of the prompts into a separate folder; report reads several such folders together.

--layers, --taus and --memory can be repeated to extend their lists. A source of memories is one of
` + listing(eval.Sources()) + `
LIST and PATH are a .txt file with one text per line, or FILE.csv#COLUMN. PATH can also be a file of vectors (.npy,
.safetensors, .gguf).

--plan selects how the cells are computed. All plans give the same numbers, except for float16 models and for models that
quantise activations at run time by the range of all rows together; auto checks that the plans agree:
` + listing(eval.Plans()) + `
The conventions are those of the paper's code: a prompt begins with the beginning-of-text token, a memory does not, and
the probability of an answer is that of the first token of " " + answer.

The table at the end shows the best cell of each source by two measures, which often disagree: the paper's mean (of the
relative changes of the probability, without those above the 99th percentile) and the mean change of the log-odds.
p clean and one hop are mean probabilities without a memory, for the prompts and for their one-hop versions. other half
is the measure on one half of the prompts when the cell is chosen on the other half.`,
		example: "onnx-inject eval onnx-inject-demo --data onnx-inject-demo/prompts.csv --taus 0.5,1,2,4 -o demo-results",
		flags: append(append([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "prompts to evaluate: `FILE`", TakesFile: true},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the results to `DIR`", TakesFile: true},
			oneOf("site", "add the memory at `SITE`", eval.Sites()),
			listFlag("layers", "`LAYERS` that get the memory, one at a time", "all"),
			listFlag("taus", "`TAUS`: 1:15, 0.5:2:0.25, or 1,2.5,4", "1:15"),
			&cli.GenericFlag{Name: "memory", Usage: "`SOURCE` of memories", Value: &texts{}, DefaultText: "curated"},
			&cli.IntFlag{Name: "memories", Usage: "use the first `N` memories of a file; 0 means all"},
			oneOf("encoding", "`ENCODING` of texts", memory.Encodings),
			oneOf("convention", "`CONVENTION` of the vectors", memory.Conventions),
			&cli.StringFlag{Name: "positions", Usage: "add the memory at `POSITIONS`: all, last, or tokens A-B counted from 0", Value: "all"},
			oneOf("plan", "`PLAN`", firsts(eval.Plans())),
			&cli.StringFlag{Name: "shard", Usage: "evaluate part `I/N` of the prompts; auto reads it from Slurm or Kubernetes"},
			&cli.IntFlag{Name: "limit", Usage: "evaluate the first `N` prompts; 0 means all"},
			&cli.IntFlag{Name: "top", Usage: "list the `N` most likely tokens in each row"},
			jsonFlag(),
		}, textFlags()...), isolatedFlags()...),
		run: isolated(runEval),
	}
}

// listing writes names and descriptions in two columns.
func listing(rows [][2]string) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-12s %s\n", r[0], r[1])
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
		return usagef("flag --layers: %w", err)
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
	if n := len(r.Faint); n > 0 {
		c.note("the vectors of %d memories are almost zero, for example that of %s: the file contains zeros, or the model never learned the tokens", n, quote(r.Faint[0]))
	}
	if c.Bool("json") {
		err = c.out.json(evalJSON(cfg, r))
	} else {
		printEval(c.out, cfg, r)
	}
	switch {
	case err != nil:
		return err
	case len(r.NoEffect) > 0:
		return coded{fmt.Errorf("the memories of %s had no effect: no score changed", strings.Join(r.NoEffect, ", ")), exitFailed}
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
	cfg := &eval.Config{
		Data: c.String("data"), Dir: c.String("out"), Memories: *c.Generic("memory").(*texts),
		Encoding: chosen[memory.Encoding](c, "encoding"), Convention: chosen[memory.Convention](c, "convention"), Plan: chosen[string](c, "plan"),
		Texts: textsOf(c),
		Limit: c.Int("limit"), Top: c.Int("top"), First: c.Int("memories"), Tool: "onnx-inject " + version(),
	}
	if len(cfg.Memories) == 0 {
		cfg.Memories = []string{"curated"}
	}
	err := eval.CheckSources(cfg.Memories)
	if err != nil {
		return nil, usagef("flag --memory: %w", err)
	}
	if cfg.Taus, err = eval.ParseTaus(c.listed("taus")); err != nil {
		return nil, usagef("flag --taus: %w", err)
	}
	cfg.Site = chosen[models.PortKind](c, "site")
	if cfg.Positions, err = intervention.ParsePositions(c.String("positions")); err != nil {
		return nil, usagef("flag --positions: %w", err)
	}
	if cfg.Positions.InText() {
		return nil, usagef("flag --positions: a text is in one prompt only; want all, last, or a range such as 0-3")
	}
	if s := c.String("shard"); s != "" {
		if cfg.Shard, err = eval.ParseShard(s, os.Getenv); err != nil {
			return nil, usagef("flag --shard: %w", err)
		}
	}
	return cfg, nil
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
func printEval(p *printer, cfg *eval.Config, r *eval.Report) {
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
		sources = append(sources, s.Source)
	}
	printBest(p, r.Summary, sources)
	p.line()
	p.line(styled(bold, "Next step"))
	p.line(text("  onnx-inject report %s", shellWord(cfg.Dir)))
}
