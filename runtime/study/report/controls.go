package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/intervention"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// comparison compares other memories with the curated ones, all for the same model, data, encoding, convention, positions
// and conversion of texts to tokens.
type comparison struct {
	Against  *series
	Rows     []control
	Figures  []figure
	ceiling  *stats.Effect // of the one-hop prompt
	telling  *stats.Effect // of the memory as text in front; nil when it was not evaluated
	drawings []*drawing
}

// control is a series compared with the reference at one cell: of the cells that both have, the best one of the reference.
type control struct {
	*series
	Name       string // its source, or its label when the reference has the same source
	At         cell
	Reference  stats.Effect // of the reference
	Own        stats.Effect
	Difference *stats.Difference // reference minus own, paired by prompt
}

// compare finds all series that can be compared.
func compare(all []*series) ([]*comparison, error) {
	var out []*comparison
	for _, group := range groups(all) {
		i := max(0, slices.IndexFunc(group, func(s *series) bool { return s.Source == curated }))
		c := &comparison{Against: group[i], ceiling: group[i].Ceiling, telling: group[i].Telling}
		for _, s := range slices.Delete(slices.Clone(group), i, i+1) {
			row, ok, err := against(c.Against, s)
			if err != nil {
				return nil, err
			}
			if ok {
				c.Rows = append(c.Rows, row)
			}
		}
		if len(c.Rows) > 0 {
			slices.SortStableFunc(c.Rows, func(a, b control) int { return a.At.compare(b.At) })
			c.draw()
			out = append(out, c)
		}
	}
	return out, nil
}

// groups collects series that differ only in their memories, in the order of the first of each group.
func groups(all []*series) [][]*series {
	type key struct {
		model, data, column, encoding, convention, positions, unit, also string
		op                                                               intervention.Op
		site                                                             models.PortKind
		texts                                                            memory.Texts
	}
	var order []key
	by := map[key][]*series{}
	for _, s := range all {
		m := s.run.Manifest
		k := key{m.Model.Name + " " + m.Model.SHA256, m.Data.Name + " " + m.Data.SHA256, m.PromptColumn, m.Encoding, m.Convention, m.Positions, m.TauUnit,
			fmt.Sprint(m.Interventions), s.Op, s.Site, m.Texts}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], s)
	}
	var out [][]*series
	for _, k := range order {
		out = append(out, by[k])
	}
	return out
}

// against compares two series at the best of their common cells; false when they have none, or different prompts.
func against(reference, s *series) (control, bool, error) {
	c := control{series: s, Name: s.Source}
	if s.Source == reference.Source {
		c.Name = s.Label
	}
	var common []stats.Effect // effects of the reference
	most := 0
	for _, row := range s.Grid {
		for _, e := range row {
			if r, ok := reference.effect(s.cellOf(e)); ok && e.N > 0 {
				common, most = append(common, r), max(most, r.N)
			}
		}
	}
	best, found := math.Inf(-1), false
	for _, r := range common { // as with stats.Best, a cell at which the model breaks is not rated by the remaining prompts alone
		if r.N == most && r.LogOdds.OK() && float64(r.LogOdds) > best {
			best, found = float64(r.LogOdds), true
			c.At = s.cellOf(r)
		}
	}
	if !found || !samePrompts(reference.run, s.run) {
		return c, false, nil
	}
	var err error
	if c.Reference, err = reference.full(c.At); err != nil {
		return c, false, err
	}
	if c.Own, err = s.full(c.At); err != nil {
		return c, false, err
	}
	c.Difference, err = stats.Compare(reference.at(c.At), s.at(c.At))
	return c, err == nil, err
}

// samePrompts reports whether prompts with the same index are the same: data files with the same name may differ.
func samePrompts(a, b *results.Run) bool {
	texts := map[int][2]string{}
	for _, p := range a.Prompts {
		texts[p.Index] = [2]string{p.TwoHop, p.Answer}
	}
	return !slices.ContainsFunc(b.Prompts, func(p results.Prompt) bool {
		have, ok := texts[p.Index]
		return ok && have != [2]string{p.TwoHop, p.Answer}
	})
}

// draw makes one picture per measure.
func (c *comparison) draw() {
	for _, m := range curves {
		d := &drawing{
			name: c.Against.file("against-" + m.name), title: m.title + "\n" + c.Against.Label + " against other memories", percent: m.unit == "percent",
			read: []string{
				"Each mark is one kind of memory, the bar is its 95 % interval over prompts. Squares are other memories at the cell of the circle above them. If other memories have the same effect as the curated ones, the content of the memory does not matter.",
				"Caution: two bars may overlap although the difference is significant, because all bars are for the same prompts. The table below compares prompt by prompt.",
			},
		}
		var lines []forest
		add := func(label string, e stats.Effect, kind int) {
			text := fmt.Sprintf("%s: %s\n95 %% interval %s\n%d of %d prompts gain", label, ofNumber(m.format)(m.of(e)), ofInterval(m.format)(m.interval(e)), e.Improved, e.N)
			lines = append(lines, forest{label, []mark{{estimate{value: m.of(e), interval: m.interval(e)}, kind, text}}})
		}
		for i, row := range c.Rows {
			if i == 0 || row.At != c.Rows[i-1].At {
				if i > 0 {
					lines = append(lines, forest{})
				}
				add(c.Against.Source+" at "+row.At.String(), row.Reference, 0)
			}
			add(row.Name, row.Own, 1)
		}
		if c.ceiling != nil && m.unit == "log-odds" {
			lines = append(lines, forest{})
			add("one-hop prompt, no memory", *c.ceiling, 0)
		}
		if c.telling != nil && m.unit == "log-odds" {
			add("the memory as text in front", *c.telling, 0)
		}
		drawForest(d, lines, nil, m.unit, m.tick)
		c.drawings = append(c.drawings, d)
	}
}
