package stats

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

func compare(a, b float64) int { return cmp.Compare(a, b) }

// A table is one series of a run, ordered for the statistics.
type table struct {
	source  string
	site    models.PortKind   // "" is attn_out
	harm    bool              // the best cell is the one that loses most
	told    bool              // the prompts have scores with the memory as text in front
	prompts []*results.Prompt // prompts with cells and a clean number, in the order of the data
	all     []*results.Prompt // the same and those without a clean number
	layers  []int
	heads   []results.Head
	taus    []float64
	points  [][]*results.Cell // [layer position x head position x tau position], in the run's order

	place map[int]int       // position of a prompt in prompts, by its index
	done  map[[2]int]Effect // effects with all intervals, by point and half
}

// group is the cells of one series.
type group struct {
	source string
	site   models.PortKind
}

// newTables splits the wanted cells of a run by source and site: first the sources of the manifest in its order, then others by
// name. The sites of a source are in the order of the run. A nil want selects all cells.
func newTables(run *results.Run, want func(*results.Cell) bool) ([]*table, error) {
	if run == nil {
		return nil, errors.New("summarize: no run")
	}
	prompts := make(map[int]*results.Prompt, len(run.Prompts))
	for i := range run.Prompts {
		p := &run.Prompts[i]
		if prompts[p.Index] != nil {
			return nil, fmt.Errorf("summarize %s: prompt %d appears twice", label(run), p.Index)
		}
		prompts[p.Index] = p
	}
	cells := map[group][]*results.Cell{}
	var order []group
	for i := range run.Cells {
		c := &run.Cells[i]
		if prompts[c.Prompt] == nil {
			return nil, fmt.Errorf("summarize %s: a cell (%v) belongs to prompt %d, which is not in the run", label(run), c.Point(), c.Prompt)
		}
		if want == nil || want(c) {
			g := group{c.Source, c.Site}
			if cells[g] == nil {
				order = append(order, g)
			}
			cells[g] = append(cells[g], c)
		}
	}
	var tables []*table
	for _, g := range sorted(run, order) {
		t := newTable(g, prompts, cells[g])
		t.harm = run.Manifest != nil && run.Manifest.Harm()
		t.told = run.Manifest != nil && run.Manifest.Told
		tables = append(tables, t)
	}
	return tables, nil
}

func newTable(g group, prompts map[int]*results.Prompt, cells []*results.Cell) *table {
	t := &table{source: g.source, site: g.site, place: map[int]int{}, done: map[[2]int]Effect{}}
	seen := map[int]bool{}
	layers, heads, taus := map[int]int{}, map[results.Head]int{}, map[float64]int{}
	for _, c := range cells {
		if !seen[c.Prompt] {
			seen[c.Prompt] = true
			t.all = append(t.all, prompts[c.Prompt])
		}
		layers[c.Layer], heads[c.Head], taus[c.Tau] = 0, 0, 0
	}
	slices.SortFunc(t.all, func(a, b *results.Prompt) int { return cmp.Compare(a.Index, b.Index) })
	for _, p := range t.all {
		if clean(p) {
			t.place[p.Index] = len(t.prompts)
			t.prompts = append(t.prompts, p)
		}
	}
	t.layers, t.heads, t.taus = ranked(layers), ranked(heads), ranked(taus)
	t.points = make([][]*results.Cell, len(t.layers)*len(t.heads)*len(t.taus))
	for _, c := range cells {
		i := (layers[c.Layer]*len(t.heads)+heads[c.Head])*len(t.taus) + taus[c.Tau]
		t.points[i] = append(t.points[i], c)
	}
	return t
}

// ranked lists the keys in ascending order and stores the position of each key.
func ranked[K cmp.Ordered](keys map[K]int) []K {
	var out []K
	for k := range keys {
		out = append(out, k)
	}
	slices.Sort(out)
	for i, k := range out {
		keys[k] = i
	}
	return out
}

// sorted orders groups as the manifest orders their sources, then by the names of the sources.
func sorted(run *results.Run, groups []group) []group {
	rank := map[string]int{}
	if run.Manifest != nil {
		for i, s := range run.Manifest.Memories {
			rank[s.Name] = i - len(run.Manifest.Memories) // the others are 0
		}
	}
	slices.SortStableFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(rank[a.source], rank[b.source]), cmp.Compare(a.source, b.source))
	})
	return groups
}

// clean reports whether changes of a prompt can be computed: its probability without a memory is a number above 0, in
// float32.
func clean(p *results.Prompt) bool {
	return p.Clean.OK() && usable(p.Clean.LogP) && p.Clean.LogP >= leastLogP
}

// usable reports whether a log-probability is a number; minus infinity is the logarithm of probability 0.
func usable(logP float64) bool { return !math.IsNaN(logP) && !math.IsInf(logP, 1) }

// label is the name of a run in an error.
func label(run *results.Run) string {
	if run.Dir != "" {
		return fmt.Sprintf("%q", run.Dir)
	}
	return "a run"
}
