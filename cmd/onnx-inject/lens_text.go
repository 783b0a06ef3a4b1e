package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/onnx-inject/onnx-inject/runtime/study/lens"
)

// compactTokens is the number of tokens on the line of a head when all layers are shown and --top is not given.
const compactTokens = 3

// printLens shows the prompts, the selected parts, and all layers with one line for each head, or one layer in detail.
func printLens(c *call, r *lens.Report) {
	p := c.out
	facts := [][]span{}
	for i, v := range r.Views {
		facts = append(facts, []span{text("%s", viewName(i)), text("%s", quote(v.Prompt)), styled(dim, "%s", countTokens(len(v.Tokens)))})
	}
	if r.Entity != nil {
		for _, t := range r.Entity.Tokens {
			facts = append(facts, []span{text("entity"), styled(green, "%s", quote(t.Token)), styled(dim, "%s", t.Doc())})
		}
	}
	heads := r.Views[0].Heads != nil
	if heads {
		facts = append(facts, []span{text("norm"), text("%s", r.Norm), styled(dim, "%s", r.Norm.Doc())})
	}
	p.table(facts)
	p.line()
	if selectsParts(c) {
		printParts(c, r)
	}
	if heads {
		printHeadParts(c, r)
	}
}

// printHeadParts shows what the heads write.
func printHeadParts(c *call, r *lens.Report) {
	p := c.out
	if len(r.Layers) == 1 {
		for k := range r.PerRow {
			printHead(p, r, k)
		}
	} else {
		n := min(compactTokens, r.Top)
		if c.IsSet("top") {
			n = r.Top
		}
		printHeads(p, r, n)
	}
	if r.Entity == nil {
		return
	}
	if r.Difference != nil {
		p.line(text("log-probability of %s under each head, prompt minus against:", quote(r.Entity.Text)))
		largest := r.Largest()
		p.table(grid(r.Layers, r.PerRow, func(k int) span {
			d := r.Difference[k]
			style := ""
			switch {
			case r.Names(r.Views[0].Heads[k]) && !r.Names(r.Views[1].Heads[k]):
				style = green
			case math.Abs(d) < largest/4:
				style = dim
			}
			return styled(style, "%s", lens.Signed(d, largest))
		}), columns(r.PerRow)...)
		p.line()
	}
	printNamers(p, r)
}

// viewName returns the title of a prompt.
func viewName(i int) string { return []string{"prompt", "against"}[i] }

func headName(layer, head int) string { return strconv.Itoa(layer) + "." + strconv.Itoa(head) }

// lensToken shows a token and marks those of the entity, with and without colours.
func lensToken(r *lens.Report, t lens.Token) span {
	if r.Entity.Has(t.ID) {
		return styled(green, "%s ●", quote(t.Token))
	}
	return text("%s", quote(t.Token))
}

// printHeads shows one line for each head with its n most likely tokens.
func printHeads(p *printer, r *lens.Report, n int) {
	head := []span{styled(dim, "head")}
	right := []int{}
	for i := range r.Views {
		if r.Entity != nil {
			right = append(right, len(head))
			head = append(head, styled(dim, "rank"))
		}
		head = append(head, styled(bold, "%s", viewName(i)))
		for range min(n, len(r.Views[0].Heads[0].Top)) - 1 {
			head = append(head, text(""))
		}
	}
	rows := [][]span{head}
	for k, first := range r.Views[0].Heads {
		if first.Head == 0 && k > 0 {
			rows = append(rows, []span{text("")})
		}
		row := []span{styled(dim, "%s", headName(first.Layer, first.Head))}
		for _, v := range r.Views {
			h := v.Heads[k]
			if h.Entity != nil {
				row = append(row, styled(rankStyle(r, h), "%d", h.Entity.Rank))
			}
			for _, t := range h.Top[:min(n, len(h.Top))] {
				row = append(row, lensToken(r, t))
			}
		}
		rows = append(rows, row)
	}
	p.table(rows, right...)
	p.line()
}

func rankStyle(r *lens.Report, h lens.Head) string {
	if r.Names(h) {
		return green
	}
	return dim
}

// printHead shows one head in detail.
func printHead(p *printer, r *lens.Report, k int) {
	h := r.Views[0].Heads[k]
	title := []span{styled(bold, "head %s", headName(h.Layer, h.Head))}
	head, right := []span{styled(dim, "rank")}, []int{0}
	rows := make([][]span, len(h.Top))
	for j := range rows {
		rows[j] = []span{styled(dim, "%d", j)}
	}
	for i, v := range r.Views {
		x := v.Heads[k]
		title = append(title, styled(dim, "   %s: size %s", viewName(i), fmt.Sprintf("%.3g", x.Size)))
		if x.Entity != nil {
			title = append(title, styled(dim, ", "), styled(rankStyle(r, x), "rank %d", x.Entity.Rank))
		}
		right = append(right, len(head)+1, len(head)+2)
		head = append(head, styled(bold, "%s", viewName(i)), styled(dim, "logit"), styled(dim, "p"))
		for j, t := range x.Top {
			rows[j] = append(rows[j], lensToken(r, t), text("%s", fmt.Sprintf("%.3f", t.Logit)), text("%s", probability(math.Exp(t.LogP))))
		}
	}
	p.line(title...)
	p.table(append([][]span{head}, rows...), right...)
	p.line()
}

// printNamers lists the heads that have the entity among their top tokens, the best first.
func printNamers(p *printer, r *lens.Report) {
	best := func(k int) int {
		rank := math.MaxInt
		for _, v := range r.Views {
			rank = min(rank, v.Heads[k].Entity.Rank)
		}
		return rank
	}
	var named []int
	for k := range r.Views[0].Heads {
		if best(k) < r.Top {
			named = append(named, k)
		}
	}
	if len(named) == 0 {
		p.line(text("no head has %s among its %d most likely tokens", quote(r.Entity.Text), r.Top))
		return
	}
	slices.SortStableFunc(named, func(a, b int) int { return best(a) - best(b) })
	p.line(text("heads with %s among their %d most likely tokens:", quote(r.Entity.Text), r.Top))
	head, right := []span{styled(dim, "   head")}, []int{}
	for i := range r.Views {
		right = append(right, len(head))
		head = append(head, styled(dim, "rank in %s", viewName(i)))
	}
	rows := [][]span{head}
	for _, k := range named {
		h := r.Views[0].Heads[k]
		row := []span{text("   %s", headName(h.Layer, h.Head))}
		for _, v := range r.Views {
			row = append(row, styled(rankStyle(r, v.Heads[k]), "%d", v.Heads[k].Entity.Rank))
		}
		rows = append(rows, row)
	}
	p.table(rows, right...)
}

// grid returns the rows of a table [layer][head].
func grid(layers []int, heads int, cell func(k int) span) [][]span {
	head := []span{styled(dim, "   layer")}
	for h := range heads {
		head = append(head, styled(dim, "%s", fmt.Sprintf(".%d", h)))
	}
	rows := [][]span{head}
	for i, layer := range layers {
		row := []span{text("   %d", layer)}
		for h := range heads {
			row = append(row, cell(i*heads+h))
		}
		rows = append(rows, row)
	}
	return rows
}

// surveyHeads is the number of heads that the text of a survey lists.
const surveyHeads = 20

// printSurvey lists the heads that most often name the entity for the one-hop prompt only.
func printSurvey(p *printer, file string, s *lens.Survey) {
	facts := [][]span{
		{text("data"), text("%s", file), styled(dim, "%d pairs of prompts", s.Pairs)},
		{text("norm"), text("%s", s.Norm), styled(dim, "%s", s.Norm.Doc())},
	}
	if s.Commonest.Pairs > 1 {
		facts = append(facts, []span{text("entities"), text("%d first tokens", s.FirstTokens), styled(dim, "the most common one, %s, in %d pairs", quote(s.Commonest.Token), s.Commonest.Pairs)})
	}
	p.table(facts)
	p.line()
	p.line(text("number of prompts for which a head has the entity among its %d most likely tokens:", s.Among))
	rows := [][]span{{styled(dim, "   head"), styled(dim, "one hop"), styled(dim, "two hops"), styled(dim, "difference"), styled(bold, "one hop only"),
		styled(dim, "two hops only"), styled(dim, "mean log p, one hop minus two")}}
	silent, largest := 0, 0.0
	for _, c := range s.Heads {
		largest = max(largest, math.Abs(c.LogP))
	}
	for _, c := range s.Ranked() {
		if c.OneHop+c.TwoHop == 0 || len(rows) > surveyHeads {
			silent++
			continue
		}
		rows = append(rows, []span{text("   %s", headName(c.Layer, c.Head)), text("%d", c.OneHop), text("%d", c.TwoHop), text("%s", fmt.Sprintf("%+d", c.Difference)),
			styled(green, "%d", c.OnlyOneHop), text("%d", c.OnlyTwoHop), text("%s", lens.Signed(c.LogP, largest))})
	}
	if len(rows) == 1 {
		p.line(text("   no head does for any prompt"))
		return
	}
	p.table(rows, 1, 2, 3, 4, 5, 6)
	if silent > 0 {
		p.line(styled(dim, "   and %d heads that name it less often or never; --json, --csv and --html list all heads", silent))
	}
}
