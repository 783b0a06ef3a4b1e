package report

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// series is one series of the summary with its run.
type series struct {
	*stats.Series
	run    *results.Run
	Number int    // number in the report, from 1
	Label  string // unique name

	known map[cell]stats.Effect // effects with all intervals, which are costly
}

// curated is the source of the memories that the paper studies.
const curated = "curated"

// newSeries labels the series of a summary by run and source.
func newSeries(sum *stats.Summary, runs []*results.Run, labels []string) []*series {
	brief := differences(runs, properties)
	var out []*series
	for i := range sum.Series {
		s := &sum.Series[i]
		x := &series{Series: s, run: runs[s.Run], Number: i + 1, known: map[cell]stats.Effect{}}
		x.Label = join(brief[s.Run], x.Name())
		out = append(out, x)
	}
	count := map[string]int{}
	for _, s := range out {
		count[s.Label]++
	}
	for _, s := range out {
		if count[s.Label] > 1 {
			s.Label = join(labels[s.Run], s.Name())
		}
	}
	return out
}

// properties are what runs may differ in, besides what the name of a series says.
var properties = []func(*results.Manifest) string{
	func(m *results.Manifest) string { return m.Model.Name },
	func(m *results.Manifest) string {
		return cut(strings.TrimSuffix(m.Data.Name, filepath.Ext(m.Data.Name)), 20)
	},
	func(m *results.Manifest) string { return m.Encoding },
	func(m *results.Manifest) string { return m.Convention },
	func(m *results.Manifest) string { return "at " + m.Positions + " positions" },
	func(m *results.Manifest) string { return m.PromptColumn },
	func(m *results.Manifest) string { return cmp.Or(m.TauUnit, "raw") + " tau" },
	func(m *results.Manifest) string { return entries(m) },
	func(m *results.Manifest) string { return textsOf(m.Texts) },
	func(m *results.Manifest) string { return m.Tool },
}

// runLabels names runs by the properties in which they differ; two runs may have the same name.
func runLabels(runs []*results.Run) []string {
	return differences(runs, append(slices.Clip(properties),
		func(m *results.Manifest) string { return string(m.Operation()) },
		func(m *results.Manifest) string { return sitesOf(m) }))
}

// differences names runs by the properties in which they differ. Runs that do not differ have the name of their model.
func differences(runs []*results.Run, parts []func(*results.Manifest) string) []string {
	labels := make([]string, len(runs))
	for _, part := range parts {
		if !slices.ContainsFunc(runs, func(r *results.Run) bool { return part(r.Manifest) != part(runs[0].Manifest) }) {
			continue
		}
		for i, r := range runs {
			labels[i] = join(labels[i], part(r.Manifest))
		}
	}
	for i, l := range labels {
		if l == "" {
			labels[i] = runs[i].Manifest.Model.Name
		}
	}
	return labels
}

// sitesOf names the sites of a run.
func sitesOf(m *results.Manifest) string {
	var names []string
	for _, site := range m.EachSite() {
		names = append(names, string(site))
	}
	return strings.Join(names, ", ")
}

// entries describes the interventions that act in every cell.
func entries(m *results.Manifest) string {
	var out []string
	for _, e := range m.Interventions {
		out = append(out, e.String())
	}
	return strings.Join(out, "; ")
}

// textsOf describes how texts became tokens, where it was not as in the paper's code.
func textsOf(x memory.Texts) string {
	var out []string
	for _, f := range []struct {
		name        string
		got, papers bool
	}{
		{"prompt-bos", x.PromptBOS, memory.PaperTexts.PromptBOS}, {"memory-bos", x.MemoryBOS, memory.PaperTexts.MemoryBOS},
		{"memory-space", x.MemorySpace, memory.PaperTexts.MemorySpace}, {"answer-space", x.AnswerSpace, memory.PaperTexts.AnswerSpace},
	} {
		if f.got != f.papers {
			out = append(out, fmt.Sprintf("%s %v", f.name, f.got))
		}
	}
	return strings.Join(out, ", ")
}

// distinct makes equal names of runs unique, by their folders or else by numbers.
func distinct(labels []string, runs []*results.Run) []string {
	labels = slices.Clone(labels)
	for _, suffix := range []func(int) string{
		func(i int) string { return filepath.Base(runs[i].Dir) },
		func(i int) string { return fmt.Sprint("run ", i+1) },
	} {
		twice := map[string]int{}
		for _, l := range labels {
			twice[l]++
		}
		for i, l := range slices.Clone(labels) {
			if twice[l] > 1 {
				labels[i] = join(l, suffix(i))
			}
		}
	}
	return labels
}

// join joins two parts of a name, either of which may be empty.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " · " + b
}

// file is the name of a picture of the series.
func (s *series) file(kind string) string {
	return fmt.Sprintf("%d-%s-%s", s.Number, slug(s.Name()), kind)
}

// slug keeps the characters that are safe in a file name on every system.
func slug(s string) string {
	keep := func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}
	words := strings.FieldsFunc(strings.Map(keep, s), func(r rune) bool { return r == '-' })
	return cut(strings.Join(words, "-"), 40)
}

// best returns the best cell by a measure.
func (s *series) best(m stats.Measure) (stats.Best, bool) {
	i := slices.IndexFunc(s.Best, func(b stats.Best) bool { return b.Measure == m })
	if i < 0 {
		return stats.Best{}, false
	}
	return s.Best[i], true
}

// peak returns the best cell of a layer.
func (s *series) peak(m stats.Measure, layer int) (at cell, ok bool) {
	for _, p := range s.Peaks {
		if p.Measure == m && p.Layer == layer && p.Tau.OK() {
			return cell{s.Op, layer, p.Head, float64(p.Tau)}, true
		}
	}
	return cell{}, false
}

// at returns the point of the run's grid that a cell is.
func (s *series) at(c cell) stats.At {
	return stats.At{Run: s.run, Point: results.Point{Source: s.Source, Site: s.Site, Layer: c.layer, Head: c.head, Tau: c.tau}}
}

// full returns the effect at a cell with all its intervals.
func (s *series) full(where cell) (stats.Effect, error) {
	if e, ok := s.known[where]; ok {
		return e, nil
	}
	e, err := s.at(where).Effect()
	if err == nil {
		s.known[where] = e
	}
	return e, err
}

// effect returns the effect at a cell of the grid; false when it has no prompt.
func (s *series) effect(c cell) (stats.Effect, bool) {
	row, column := s.place(c)
	if row < 0 || column < 0 || s.Grid[row][column].N == 0 {
		return stats.Effect{}, false
	}
	return s.Grid[row][column], true
}

// place returns the row and the column of a cell in the grid; -1 for none.
func (s *series) place(c cell) (row, column int) {
	row = slices.Index(s.Layers, c.layer)
	if row < 0 {
		return -1, -1
	}
	return row, slices.IndexFunc(s.Grid[row], func(e stats.Effect) bool { return e.Head == c.head && e.Tau == c.tau })
}

// isGrid reports whether there is more than one cell.
func (s *series) isGrid() bool { return len(s.Layers)*len(s.Grid[0]) > 1 }
