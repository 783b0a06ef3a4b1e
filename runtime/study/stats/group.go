package stats

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Group is the effect of the memories of a series on the prompts that have one value in a further column of the data.
type Group struct {
	Value   string  `json:"value"`
	Prompts int     `json:"prompts"` // of the series that have the value
	MeanP0  Number  `json:"mean_p0"` // without a memory, of the prompts that count in Effect
	Effect  Effect  `json:"effect"`  // at the best cell of all prompts
	Other   *Effect `json:"other"`   // of the group's prompts in the other half, at the cell of Held; null when there is none
}

// GroupBy computes the effect for each value of a further column of the run that the series is of. All groups have the same cells: those
// that the measure chose on all prompts, and on one half of them. So no group has a cell of its own choice. The group that gains most is
// first, or the one that loses most where Harm is set; equal groups are in the order of their values. A series without a best cell, or of
// a run without the column, has no groups.
func (s *Series) GroupBy(run *results.Run, column string, m Measure) ([]Group, error) {
	values, ok := run.Column(column)
	i := slices.IndexFunc(s.Best, func(b Best) bool { return b.Measure == m })
	if !ok || i < 0 {
		return nil, nil
	}
	best := s.Best[i]
	tables, err := newTables(run, func(c *results.Cell) bool { return c.Source == s.Source && c.Site == s.Site })
	if err != nil {
		return nil, err
	}
	if len(tables) != 1 {
		return nil, fmt.Errorf("group by %s: %s has no series %s", column, label(run), s.Name())
	}
	t := tables[0]
	of := map[int]string{} // value by the index of the prompt
	for i, p := range run.Prompts {
		of[p.Index] = values[i]
	}
	prompts := map[string]int{}
	for _, p := range t.all {
		prompts[of[p.Index]]++
	}
	all := t.sample(t.point(best.Effect), whole).split(func(i int) string { return of[t.prompts[i].Index] })
	var other map[string]*sample
	if best.Held != nil {
		other = t.sample(t.point(best.Held.Other), second).split(func(i int) string { return of[t.prompts[2*i+1].Index] })
	}
	var out []Group
	for value, n := range prompts {
		g := Group{Value: value, Prompts: n, MeanP0: None(), Effect: (&sample{layer: best.Effect.Layer, head: best.Effect.Head, tau: best.Effect.Tau}).effect(nil, false)}
		if x := all[value]; x != nil {
			g.Effect, g.MeanP0 = x.effect(newBootstrap(len(x.rows)), false), x.meanP0()
		}
		if x := other[value]; x != nil {
			e := x.effect(newBootstrap(len(x.rows)), false)
			g.Other = &e
		}
		out = append(out, g)
	}
	sign := 1.0
	if s.Harm {
		sign = -1
	}
	slices.SortFunc(out, func(a, b Group) int {
		x, y := sign*float64(a.Effect.Value(m)), sign*float64(b.Effect.Value(m))
		return cmp.Or(cmp.Compare(least(y), least(x)), cmp.Compare(a.Value, b.Value))
	})
	return out, nil
}

// least makes an absent number less than all others.
func least(x float64) float64 {
	if !Number(x).OK() {
		return math.Inf(-1)
	}
	return x
}

// point returns the position in the grid of an effect's cell.
func (t *table) point(e Effect) int {
	return (slices.Index(t.layers, e.Layer)*len(t.heads)+slices.Index(t.heads, e.Head))*len(t.taus) + slices.Index(t.taus, e.Tau)
}

// split divides a sample by a value of its prompts, which of returns for the position of a row.
func (s *sample) split(of func(i int) string) map[string]*sample {
	out := map[string]*sample{}
	at := make([]int, len(s.rows)) // position of each row in its part
	part := make([]*sample, len(s.rows))
	for i := range s.rows {
		v := of(i)
		if out[v] == nil {
			out[v] = &sample{layer: s.layer, head: s.head, tau: s.tau, columns: make([][]value, len(s.columns))}
		}
		p, r := out[v], s.rows[i]
		at[i], part[i] = len(p.rows), p
		p.rows, p.nonFinite = append(p.rows, r), p.nonFinite+r.met-r.memories
	}
	for k, column := range s.columns {
		for _, x := range column {
			p := part[x.prompt]
			p.columns[k] = append(p.columns[k], value{x.v, at[x.prompt]})
		}
	}
	return out
}

// meanP0 is the mean probability without a memory of the prompts that count.
func (s *sample) meanP0() Number {
	sum, n := 0.0, 0
	for i := range s.rows {
		if r := &s.rows[i]; r.memories > 0 {
			sum, n = sum+r.p0, n+1
		}
	}
	return Number(sum / float64(n))
}
