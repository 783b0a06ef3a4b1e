package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
	"github.com/onnx-inject/onnx-inject/runtime/study/probe"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

func probeCommand() *command {
	var classes string
	for _, c := range probe.Classes {
		classes += fmt.Sprintf("  %-22s%s\n", c.Class, c.Doc)
	}
	return &command{
		name: "probe", args: "MODEL", need: "--data FILE", usage: "sort two-hop prompts by what the model gets right",
		doc: `Runs every two-hop prompt of a file, and the questions that it consists of, without any memory. Shows how many prompts the
model answers, how many it could not answer with a memory because it lacks the fact, and how many are left.

FILE has the columns explicit_sentence (the one-hop prompt), obscure_sentence (the two-hop prompt) and answer. Each prompt
gets the first class that fits:

` + classes + `
"Can be corrected" says that the model knows the answer better when the hop is spelled out. Whether a memory corrects the
two-hop prompt needs a run with the memory: run --memory --for, or eval.

With the columns obscure_entity and explicit_entity, hop 1 is asked too: the rank of the entity after the description and
" is". That is one form of many. Where it was measured, it did not predict which prompts succeed, and no class depends on
it.

An answer or an entity counts by its first token. A rank is the number of tokens that are more likely.`,
		example: "onnx-inject probe onnx-inject-demo --data onnx-inject-demo/prompts.csv",
		flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "ask the prompts of `FILE`, .csv or .jsonl", TakesFile: true},
			&cli.IntFlag{Name: "limit", Usage: "use the first `N` prompts of the file; 0 means all"},
			textFlags()[0], // --prompt-bos
			&cli.StringFlag{Name: "csv", Usage: "write a table to `FILE`", TakesFile: true},
			&cli.StringFlag{Name: "html", Usage: "write a page with a picture to `FILE`", TakesFile: true},
			boolFlag("force", "replace the files of --csv and --html"),
			jsonFlag(),
		}, hostFlags()),
		run: runProbe,
	}
}

func runProbe(c *call) error {
	file := c.String("data")
	switch {
	case file == "":
		return usagef("probe: missing --data FILE")
	case c.Int("limit") < 0:
		return usagef("flag --limit: want 0 or more, got %d", c.Int("limit"))
	}
	for _, name := range []string{"csv", "html"} {
		if c.IsSet(name) && c.String(name) == "" {
			return usagef("flag --%s: the name is empty", name)
		}
	}
	data, err := eval.ReadData(file)
	if err != nil {
		return refused(err)
	}
	var prompts []results.Prompt
	for _, r := range data.Rows {
		if n := c.Int("limit"); n == 0 || len(prompts) < n {
			prompts = append(prompts, r.Prompt)
		}
	}
	if err := probe.Check(prompts); err != nil { // before the model is loaded
		return refused(err)
	}
	device, err := deviceOf(c)
	if err != nil {
		return err
	}
	o, _, err := c.openDecoder()
	if err != nil {
		return err
	}
	defer o.Close()
	s, err := openSteer(c, o)
	if err != nil {
		return err
	}
	defer s.Close()
	s.Texts = memory.Texts{PromptBOS: c.Bool("prompt-bos"), AnswerSpace: true}
	r, err := probe.Run(c.ctx, s, prompts, progress(c.err, "prompts"))
	if err != nil {
		return refused(err)
	}
	name := filepath.Base(file)
	html := func(w io.Writer) error { return r.WriteHTML(w, name) }
	if err := c.writeTables(r.WriteCSV, html); err != nil {
		return err
	}
	if c.Bool("json") {
		return c.out.json(probeJSON{data.File, device.String(), s.Texts.PromptBOS, r})
	}
	printProbe(c.out, name, device, r)
	return nil
}

// probeJSON is the document of --json.
type probeJSON struct {
	Data   results.File `json:"data"`
	Device string       `json:"device"`
	BOS    bool         `json:"prompt_bos"` // the beginning-of-text token comes before the prompts
	*probe.Report
}

func printProbe(p *printer, data string, device runtime.Device, r *probe.Report) {
	p.table([][]span{
		{text("model"), text("%s", r.Model)},
		{text("data"), text("%s", data), styled(dim, "%d prompts", len(r.Rows))},
		{text("p answer"), text("%.4f after two hops, %.4f after one", r.MeanTwo, r.MeanOne), styled(dim, "means")},
	})
	p.line()
	rows := [][]span{}
	for _, c := range r.Classes {
		rows = append(rows, []span{styled(bold, "%s", c.Class), text("%5d", c.Prompts), text("%5.1f %%", 100*float64(c.Prompts)/float64(len(r.Rows))), styled(dim, "%s", c.Doc)})
	}
	p.table(rows)
	if h := r.Hop1; h != nil {
		p.line()
		p.line(text(`hop 1: the entity is the most likely token after the description and " is" for %d of %d prompts;`, h.First, h.First+h.Others))
		p.line(text("       of these %d succeed, of the others %d of %d. No class depends on it.", h.FirstSucceeds, h.OthersSucceeds, h.Others))
	}
}
