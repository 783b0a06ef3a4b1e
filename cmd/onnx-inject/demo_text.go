package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/steer"
	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
	"github.com/onnx-inject/onnx-inject/runtime/study/paper"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// printDemo prints the three experiments of the paper with the numbers of the built-in model.
func printDemo(p *printer, called, dir, page string, r *paper.Result, most results.Prompt, q steer.Query, one *steer.Result) {
	oneHop, twoHop := r.Levels()
	p.line(styled(bold, "%s", dir), text(": a GPT-2 of %d layers that knows a small geography", len(r.Grid())))
	p.line()
	p.line(text("The model knows facts but cannot combine two of them. Mean probability of the correct answer, %d prompts:", r.Report.Prompts))
	p.table([][]span{
		{text("   one hop"), text("%s", probability(oneHop)), styled(dim, "%s …", quote(most.OneHop))},
		{text("   two hops"), text("%s", probability(twoHop)), styled(dim, "%s …", quote(most.TwoHop))},
	})
	p.line()
	p.line(text("1. What heads write. Number of prompts for which a head has the missing hop among its %d most likely tokens:", r.Survey.Among))
	p.table(demoHeads(r.Survey), 1, 2)
	p.line()
	p.line(text("2. The missing hop (here %s) as a memory, added to the attention output of one layer. Mean probability:", quote(most.ExplicitEntity)))
	p.table(demoGrid(r, twoHop), columns(len(paper.Taus))...)
	p.line(text("   The best cell is layer %d, tau %v: ", r.Layer, r.Tau), styled(green, "%s, %s", probabilityOf(r.Curated.MeanP), times(float64(r.Curated.MeanP)/twoHop)),
		text("; %d of %d prompts gain.", r.Curated.Improved, r.Report.Prompts))
	p.line()
	p.line(text("3. Other memories in that cell:"))
	p.table([][]span{
		{text("   another country"), text("%s", probabilityOf(r.Wrong.MeanP)), styled(dim, "%d of %d prompts gain", r.Wrong.Improved, r.Wrong.N)},
		{text("   a random word"), text("%s", probabilityOf(r.Random.MeanP)), styled(dim, "%d of %d prompts gain", r.Random.Improved, r.Random.N)},
	})
	p.line()
	p.line(text("One of the prompts, %s:", quote(q.Prompt)))
	printTokens(p, one)
	p.line()
	p.line(styled(bold, "%s", page), text(": all results as a page; open it in a browser"))
	at := shellWord(dir)
	p.line(styled(bold, "Next steps"))
	p.line(text("  %s inspect %s", called, at))
	p.line(text("  %s run %s --prompt %s --memory %s --layer %d --tau %v --answer %s", called, at, quote(q.Prompt), quote(most.ExplicitEntity), r.Layer, r.Tau, quote(q.Answer)))
	p.line(text("  %s lens %s --prompt %s --against %s --entity %s", called, at, quote(most.OneHop), quote(most.TwoHop), quote(most.ExplicitEntity)))
	p.line(text("  %s rewrite %s -o %s --expose result,pattern --inject all", called, at, shellWord(filepath.Join(dir, "heads.onnx"))))
}

// calledAs returns this program as the user called it. arg0 is a bare name if a shell found it on the PATH, but the launcher of a
// package gives a path. A launcher that is called in another way (npx onnx-inject) says so in ONNX_INJECT_COMMAND.
func calledAs(arg0 string) string {
	if s := os.Getenv("ONNX_INJECT_COMMAND"); s != "" {
		return s
	}
	base := filepath.Base(arg0)
	if found, err := exec.LookPath(base); err == nil {
		a, errA := os.Stat(found)
		b, errB := os.Stat(arg0)
		if arg0 == base || errA == nil && errB == nil && os.SameFile(a, b) {
			return shellWord(strings.TrimSuffix(base, ".exe"))
		}
	}
	return shellWord(arg0)
}

// demoHeads lists the heads that name the missing hop for the most prompts of either kind.
func demoHeads(s *lens.Survey) [][]span {
	heads := slices.Clone(s.Heads)
	slices.SortStableFunc(heads, func(a, b lens.Count) int { return max(b.OneHop, b.TwoHop) - max(a.OneHop, a.TwoHop) })
	rows := [][]span{{styled(dim, "   head"), styled(dim, "one hop"), styled(dim, "two hops")}}
	for _, h := range heads[:min(5, len(heads))] {
		rows = append(rows, []span{text("   %d.%d", h.Layer, h.Head), text("%d", h.OneHop), text("%d", h.TwoHop)})
	}
	return rows
}

// demoGrid shows the mean probability of the correct answer for every layer and tau, with the best cell highlighted.
func demoGrid(r *paper.Result, clean float64) [][]span {
	head := []span{styled(dim, "   layer")}
	for _, t := range paper.Taus {
		head = append(head, styled(dim, "tau %v", t))
	}
	rows := [][]span{head}
	for l, cells := range r.Grid() {
		row := []span{text("   %d", l)}
		for k, p := range cells {
			style := ""
			switch {
			case l == r.Layer && paper.Taus[k] == r.Tau:
				style = green
			case p < clean:
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
