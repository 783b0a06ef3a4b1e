package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/steer"
)

func demoVerb() *verb {
	return &verb{
		name: "demo", usage: "see the effect on the built-in model, without a download",
		doc: `Writes the built-in model to DIR, a small GPT-2 that knows a geography of 48 countries, and shows on it what the paper
"Memory Injections" shows on GPT-2: it answers questions of one hop, it fails on two, and a memory of the missing hop,
added to the attention of one layer, mends it. The other verbs take DIR as MODEL.`,
		example: "onnx-inject demo",
		flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the model to `DIR`", Value: "onnx-inject-demo", TakesFile: true},
			jsonFlag(),
		}, hostFlags()...),
		run: runDemo,
	}
}

func runDemo(c *call) error {
	dir := c.String("out")
	if err := demo.WriteTo(dir); err != nil {
		return unwritten(err)
	}
	o, err := open(dir)
	if err != nil {
		return err
	}
	m, err := openSteer(c, o)
	if err != nil {
		return err
	}
	defer m.Close()
	w, err := steer.RunWorld(c.ctx, m, demo.Prompts(), demo.Words(), progress(c.err, "prompts"))
	if err != nil {
		return refused(err)
	}
	q := steer.Query{
		Prompt: w.Example.ObscureSentence, Memory: w.Example.ExplicitEntity, Answer: w.Example.Answer, Layer: w.Layer, Tau: w.Tau, Top: 5,
		Encoding: "unembed", Convention: "tl-folded",
	}
	r, err := m.Run(c.ctx, q)
	if err != nil {
		return refused(err)
	}
	if c.Bool("json") {
		return c.out.json(struct {
			Dir string `json:"dir"`
			*steer.World
		}{dir, w})
	}
	printWorld(c.out, dir, w, q, r)
	return nil
}

// printWorld tells the story of the paper with the numbers of the built-in model.
func printWorld(p *printer, dir string, w *steer.World, q steer.Query, r *steer.Result) {
	p.line(styled(bold, "%s", dir), text(": a GPT-2 of %d layers that knows a small geography", len(w.Grid)))
	p.line()
	p.line(text("1. It knows facts, and cannot put two together. Mean probability of the right answer, %d prompts:", w.Prompts))
	p.table([][]span{
		{text("   one hop"), text("%s", probability(w.Explicit)), styled(dim, "%s …", quote(w.Example.ExplicitSentence))},
		{text("   two hops"), text("%s", probability(w.Clean)), styled(dim, "%s …", quote(w.Example.ObscureSentence))},
	})
	p.line()
	p.line(text("2. The missing hop (here %s) as a memory, added to the attention of one layer:", quote(w.Example.ExplicitEntity)))
	p.table(heatmap(w), columns(len(w.Taus))...)
	p.line()
	p.line(text("3. The best cell is layer %d, tau %v: ", w.Layer, w.Tau), styled(green, "%s, %s", probability(w.Best), times(w.Best/w.Clean)),
		text("; %d of %d prompts gain.", w.Improved, w.Prompts))
	p.table([][]span{
		{text("   another country as the memory"), text("%s", probability(w.Wrong))},
		{text("   a random word"), text("%s", probability(w.Random))},
	})
	p.line()
	p.line(text("4. One of them, %s:", quote(q.Prompt)))
	printTokens(p, r)
	p.line()
	p.line(styled(bold, "Go on with"))
	p.line(text("  onnx-inject inspect %s", dir))
	p.line(text("  onnx-inject run %s --prompt %s --memory %s --layer %d --tau %v --answer %s", dir, quote(q.Prompt), quote(q.Memory), q.Layer, q.Tau, quote(q.Answer)))
	p.line(text("  onnx-inject rewrite %s -o %s/heads.onnx --expose result,pattern --inject all", dir, dir))
}

// heatmap is the mean probability of the right answer for every layer and tau; the best cell stands out.
func heatmap(w *steer.World) [][]span {
	head := []span{styled(dim, "   layer")}
	for _, t := range w.Taus {
		head = append(head, styled(dim, "tau %v", t))
	}
	rows := [][]span{head}
	for l, cells := range w.Grid {
		row := []span{text("   %d", l)}
		for k, p := range cells {
			style := ""
			switch {
			case l == w.Layer && w.Taus[k] == w.Tau:
				style = green
			case p < w.Clean:
				style = dim
			}
			row = append(row, styled(style, "%s", fmt.Sprintf("%.3f", p)))
		}
		rows = append(rows, row)
	}
	return rows
}

// columns numbers n columns from 1.
func columns(n int) []int {
	var out []int
	for i := range n {
		out = append(out, i+1)
	}
	return out
}
