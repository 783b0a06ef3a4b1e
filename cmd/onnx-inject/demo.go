package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
	"github.com/onnx-inject/onnx-inject/runtime/study/paper"
	pages "github.com/onnx-inject/onnx-inject/runtime/study/report" // in this package, report prints errors
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func demoCommand() *command {
	return &command{
		name: "demo", usage: "run the paper's experiments on the built-in model, without a download",
		doc: `Writes the built-in model to DIR: a small GPT-2 that knows the geography of 48 countries. Runs the three experiments of
the paper "Memory Injections" on it: what each head writes for one-hop and two-hop questions; the missing hop as a memory
at every layer and magnitude; and that memory compared with wrong and random ones. DIR/report.html shows the results, and
DIR/results contains the numbers. The other commands accept DIR as MODEL.`,
		example: "onnx-inject demo",
		flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the model to `DIR`", Value: demoDir, TakesFile: true},
			jsonFlag(),
		}, hostFlags()...),
		run: runDemo,
	}
}

// demoDir is the folder that demo writes unless -o gives another. The examples of all commands use it.
const demoDir = "onnx-inject-demo"

// demoTool marks results that a demo wrote, so that another version's demo may replace them.
const demoTool = "onnx-inject demo"

func runDemo(c *call) error {
	dir := c.String("out")
	if dir == "" {
		return usagef("demo: -o needs a name")
	}
	if err := demo.WriteTo(dir); err != nil {
		return unwritten(err)
	}
	host, options, err := ortOf(c)
	if err != nil {
		return err
	}
	o, err := open(dir)
	if err != nil {
		return err
	}
	defer o.Close()
	bar := evalProgress(c.err)
	cfg := demoConfig(o.Model, dir, options)
	cfg.Progress = bar.show
	if cfg.Host, err = hostFacts(host, options); err != nil {
		return err
	}
	if err := removeOldDemo(c.ctx, cfg.Dir, cfg.Tool); err != nil {
		return unwritten(err)
	}
	r, err := paper.Run(c.ctx, host, cfg, progress(c.err, "pairs"))
	bar.end()
	if err != nil {
		return refused(err)
	}
	w, err := demoReport(r, dir)
	if err != nil {
		return err
	}
	p, err := r.MostGained()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return c.out.json(demoJSON(dir, w, r, p))
	}
	m, err := steer.New(c.ctx, host, o.Model, options)
	if err != nil {
		return refused(err)
	}
	defer m.Close()
	q := steer.Query{
		Prompt: p.TwoHop, Answer: p.Answer, Top: 5,
		Entries: []intervention.Entry{intervention.AddText(p.ExplicitEntity, r.Layer, r.Tau, memory.EncodingUnembed, memory.ConventionFolded)},
	}
	one, err := m.Run(c.ctx, q)
	if err != nil {
		return refused(err)
	}
	printDemo(c.out, calledAs(processOf(c.App).args[0]), dir, w, r, p, q, one)
	return nil
}

// demoConfig describes the experiments on the model in dir.
func demoConfig(model *decoder.Model, dir string, options runtime.Options) paper.Config {
	at := func(name string) string { return filepath.Join(dir, name) }
	return paper.Config{
		Config: eval.Config{
			Model: model, Data: at("prompts.csv"), Dir: at("results"), Taus: paper.Taus, Plan: eval.Auto, Top: 5,
			Encoding: memory.EncodingUnembed, Convention: memory.ConventionFolded, Texts: memory.PaperTexts,
			Options: options, Tool: demoTool + " " + version(),
		},
		Words: at("words.txt"), Among: 10,
	}
}

// removeOldDemo removes the results that another version's demo wrote to a folder.
func removeOldDemo(ctx context.Context, dir, tool string) error {
	old, err := results.Load(ctx, dir)
	if err != nil || old.Manifest.Tool == tool || !strings.HasPrefix(old.Manifest.Tool, demoTool) {
		return nil
	}
	return os.RemoveAll(dir)
}

// demoReport writes the report of a demo's results into the folder of the model.
func demoReport(r *paper.Result, dir string) (page string, err error) {
	names, err := findTokens(dir, []*results.Run{r.Run})
	if err != nil {
		return "", err
	}
	report, err := pages.New([]*results.Run{r.Run}, pages.Options{Tool: "onnx-inject " + version(), Token: names.text})
	if err != nil {
		return "", refused(err)
	}
	page = filepath.Join(dir, "report.html")
	f, err := atomicfile.Create(page, isReport(page))
	if err != nil {
		return "", unwritten(err)
	}
	defer f.Abort()
	if err := report.HTML(f); err != nil {
		return "", unwritten(err)
	}
	return page, unwritten(f.Commit())
}

// demoResult is the JSON of demo. All probabilities are those of the answer's first token, averaged over the prompts.
type demoResult struct {
	Dir      string      `json:"dir"`
	Report   string      `json:"report"`
	Prompts  int         `json:"prompts"`
	Explicit float64     `json:"explicit"` // one hop
	Clean    float64     `json:"clean"`    // two hops
	Taus     []float64   `json:"taus"`
	Grid     [][]float64 `json:"grid"` // [layer][tau], with the curated memory
	Layer    int         `json:"layer"`
	Tau      float64     `json:"tau"`
	Best     number      `json:"best"`
	Improved int         `json:"improved"` // number of prompts whose answer becomes more likely in the best cell
	Wrong    number      `json:"wrong"`
	Random   number      `json:"random"`

	Heads   []lens.Count   `json:"heads"`
	Example demo.Prompt    `json:"example"` // the prompt with the largest gain
	Summary *stats.Summary `json:"summary"`
}

func demoJSON(dir, page string, r *paper.Result, p results.Prompt) demoResult {
	one, two := r.Levels()
	return demoResult{
		Dir: dir, Report: page, Prompts: r.Report.Prompts, Explicit: one, Clean: two, Taus: paper.Taus, Grid: r.Grid(), Layer: r.Layer, Tau: r.Tau,
		Best: number(r.Curated.MeanP), Improved: r.Curated.Improved, Wrong: number(r.Wrong.MeanP), Random: number(r.Random.MeanP),
		Heads: r.Survey.Heads, Example: demo.Prompts()[p.Index], Summary: r.Report.Summary,
	}
}
