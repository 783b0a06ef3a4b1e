package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime/study/capture"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

func captureCommand() *command {
	return &command{
		name: "capture", args: "MODEL", need: "--data FILE --expose KIND[@LAYERS] -o DIR", usage: "run every prompt of a file once and save activations",
		doc: `Runs every prompt of FILE once and saves what the model computes at the chosen places: DIR/000000.safetensors and so on,
with one tensor per hook, named as in TransformerLens (blocks.7.hook_attn_out), first axis = rows. DIR/rows.parquet says
for each row the prompt, the position, the token, the file (shard) and the row in it. DIR/manifest.json says what was
captured. FILE is a .txt file with one prompt per line, or a .csv or .jsonl file with a column obscure_sentence, prompt
or text; FILE#COLUMN names another column.

--expose takes a list of KIND[@LAYERS], as rewrite does: resid_post,attn_out@7 is resid_post at all layers and attn_out
at layer 7. Kinds whose size depends on the length of the prompt (pattern) cannot be captured.

--vector DIR#HOOK[ROW] uses a row as a memory in run and rewrite --bake. ROW counts over all files, from 0; with
--positions last it is the number of the prompt.

--dtype float16 halves the files. A number beyond 65504 becomes infinite then, and the column status of rows.parquet
marks its row.

Running the same command again resumes a stopped capture, and checks the files that are complete. Ctrl-C stops it after
the current batch. --shard i/N captures one part of the prompts into a separate folder; with --from for each of these
folders, the same command without --shard joins them. --from also takes a finished capture with another --limit: prompts
that a folder has are not run again.`,
		example: "onnx-inject capture onnx-inject-demo --data onnx-inject-demo/prompts.csv --expose resid_post --positions last -o demo-values",
		flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "prompts to run: `FILE`", TakesFile: true},
			&cli.GenericFlag{Name: "expose", Usage: "what to save: `KIND[@LAYERS],…`", Value: &texts{}},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write to `DIR`", TakesFile: true},
			oneOf("positions", "`POSITIONS` of a prompt", capture.Positions),
			oneOf("dtype", "`DTYPE` of the files", capture.DTypes),
			&cli.StringFlag{Name: "shard", Usage: "capture part `I/N` of the prompts; auto reads it from Slurm or Kubernetes"},
			&cli.GenericFlag{Name: "from", Usage: "take values from `DIR` instead of running its prompts", Value: &texts{}},
			&cli.IntFlag{Name: "limit", Usage: "capture the first `N` prompts; 0 means all"},
			&cli.IntFlag{Name: "file-size", Usage: "make files of about `N` MiB", Value: capture.FileMiB},
			textFlags()[0], // --prompt-bos
			jsonFlag(),
		}, hostFlags()...),
		run: runCapture,
	}
}

func runCapture(c *call) error {
	cfg, places, err := captureConfig(c)
	if err != nil {
		return err
	}
	o, l, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
	hooks, err := exposeFlag.count(places, l)
	if err != nil {
		return err
	}
	for _, h := range hooks {
		for _, layer := range h.layers {
			cfg.Hooks = append(cfg.Hooks, capture.Hook{Kind: h.what, Layer: layer})
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
	cfg.Progress = func(done, all int) { bar.show(eval.Progress{Stage: eval.Running, Done: done, All: all}) }
	r, err := capture.Run(c.ctx, host, *cfg)
	bar.end()
	if err != nil {
		return captureError(cfg, r, err)
	}
	if c.Bool("json") {
		err = c.out.json(captureResult{cfg.Dir, r.Prompts, r.Resumed, r.Taken, r.Rows, r.Files, r.NotFinite, r.Batch, r.Seconds})
	} else {
		printCapture(c.out, cfg, r)
	}
	if err == nil && r.NotFinite > 0 {
		err = hintf(coded{fmt.Errorf("%d rows have a value that is not finite", r.NotFinite), exitNotFinite},
			"they have a status in %s; overflow means that float16 cannot hold the value: --dtype float32 can", capture.RowsFile)
	}
	return err
}

// captureConfig reads the flags that do not depend on the model.
func captureConfig(c *call) (*capture.Config, []place[*rewrite.Kind], error) {
	expose := *c.Generic("expose").(*texts)
	var missing []string
	for _, f := range []struct {
		unset bool
		flag  string
	}{{c.String("data") == "", "--data FILE"}, {len(expose) == 0, "--expose KIND[@LAYERS]"}, {c.String("out") == "", "-o DIR"}} {
		if f.unset {
			missing = append(missing, f.flag)
		}
	}
	if missing != nil {
		return nil, nil, usagef("capture: missing %s", strings.Join(missing, " and "))
	}
	if n := c.Int("limit"); n < 0 {
		return nil, nil, usagef("flag --limit: want 0 or more, got %d", n)
	}
	if n := c.Int("file-size"); n < 1 {
		return nil, nil, usagef("flag --file-size: want 1 or more, got %d", n)
	}
	places, err := exposeFlag.parse(expose)
	if err != nil {
		return nil, nil, err
	}
	cfg := &capture.Config{
		Data: c.String("data"), Dir: c.String("out"), Last: chosen[string](c, "positions") == capture.Positions[1], DType: chosen[string](c, "dtype"),
		PromptBOS: c.Bool("prompt-bos"), Limit: c.Int("limit"), FileMiB: c.Int("file-size"), From: *c.Generic("from").(*texts), Tool: "onnx-inject " + version(),
	}
	if s := c.String("shard"); s != "" {
		if cfg.Shard, err = eval.ParseShard(s, os.Getenv); err != nil {
			return nil, nil, badFlag("shard", err)
		}
	}
	return cfg, places, nil
}

// captureError gives an error its exit code. After an interruption, the hint says how to resume.
func captureError(cfg *capture.Config, r *capture.Report, err error) error {
	var stopped interrupted
	switch {
	case errors.As(err, &stopped):
		if r == nil || r.Resumed+r.Done+r.Taken == 0 {
			return stopped
		}
		return hintf(fmt.Errorf("%w: %d of %d prompts are in %s", stopped, r.Resumed+r.Done+r.Taken, r.Prompts, cfg.Dir), "run the same command again to resume")
	case errors.Is(err, outdir.ErrLocked):
		return coded{err, exitLocked}
	}
	return refused(err)
}

type captureResult struct {
	Dir       string          `json:"dir"`
	Prompts   int             `json:"prompts"` // in the folder
	Resumed   int             `json:"resumed"` // prompts from an earlier run
	Taken     int             `json:"taken"`   // prompts from other folders
	Rows      int             `json:"rows"`
	Files     int             `json:"files"`
	NotFinite int             `json:"not_finite"` // rows
	Batch     capture.Batch   `json:"batch"`
	Seconds   capture.Seconds `json:"seconds"`
}

func printCapture(p *printer, cfg *capture.Config, r *capture.Report) {
	facts := [][]span{
		{text("values"), styled(bold, "%s", cfg.Dir)},
		{text("prompts"), text("%d", r.Prompts)},
		{text("rows"), text("%d", r.Rows), styled(dim, "%s, %s, %s", plural(len(cfg.Hooks), "hook"), cfg.DType, plural(r.Files, "file"))},
	}
	if r.Resumed > 0 {
		facts[1] = append(facts[1], styled(dim, "%d of them from an earlier run", r.Resumed))
	}
	if r.Taken > 0 {
		facts[1] = append(facts[1], styled(dim, "%d of them from other folders", r.Taken))
	}
	if r.Done > 0 {
		facts = append(facts, []span{text("time"), text("%.3g s", r.Seconds.Total), styled(dim, "%.3g prompts per second", float64(r.Done)/max(r.Seconds.Total-r.Seconds.Load, 1e-9))})
	}
	if r.Batch.Prompts == 1 {
		facts = append(facts, []span{text("batch"), text("one prompt"), styled(dim, "%s", r.Batch.Reason)})
	}
	p.table(facts)
}

// plural writes a number of things.
func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
