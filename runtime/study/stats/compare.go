package stats

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// At is one point of the grid of a run.
type At struct {
	Run *results.Run
	results.Point
}

// PromptEffect is the effect of memories on one prompt at one layer and tau; with several memories, the mean over them.
type PromptEffect struct {
	Prompt  int     `json:"prompt"`   // results.Prompt.Index
	Before  float64 `json:"p_before"` // the answer's probability without a memory
	After   float64 `json:"p_after"`  // the same with a memory
	Change  float64 `json:"change"`   // (After-Before)/Before
	LogOdds float64 `json:"log_odds"` // change of ln(p/(1-p))

	Cells []*results.Cell `json:"-"` // cells of the prompt, in the run's order
}

// Difference compares two series, a and b, at one cell each, prompt by prompt: the effect of a minus that of b.
type Difference struct {
	N               int      `json:"n"`               // prompts with a number in both
	Better          int      `json:"better"`          // prompts with a higher probability in a
	Change          Number   `json:"change"`          // mean difference of (p-p0)/p0
	MedianChange    Number   `json:"median_change"`   // median difference of the same
	LogOdds         Number   `json:"log_odds"`        // mean difference of the change of ln(p/(1-p))
	ChangeInterval  Interval `json:"change_interval"` // 95 %, over prompts
	MedianInterval  Interval `json:"median_interval"`
	LogOddsInterval Interval `json:"log_odds_interval"`
}

// Changes lists the effect of memories on each prompt at one layer and tau, in the order of the data. It omits prompts that
// have no number with a memory or without one.
func Changes(at At) ([]PromptEffect, error) {
	t, s, err := at.sample()
	if err != nil {
		return nil, err
	}
	var out []PromptEffect
	for i := range s.rows {
		r := &s.rows[i]
		if r.memories == 0 {
			continue
		}
		k := float64(r.memories)
		out = append(out, PromptEffect{
			Prompt: t.prompts[i].Index, Before: r.p0, After: r.p / k, Change: r.change / k, LogOdds: r.logOdds / k, Cells: r.cells,
		})
	}
	return out, nil
}

// Effect computes the statistics of the cells, with all intervals.
func (at At) Effect() (Effect, error) {
	t, s, err := at.sample()
	if err != nil {
		return Effect{}, err
	}
	return s.effect(newBootstrap(len(t.prompts)), true), nil
}

// Compare compares a with b, paired by prompt. Pairing cancels the variation between prompts, so the intervals are
// narrower than the intervals of a and b suggest. Both runs must have the same prompts.
func Compare(a, b At) (*Difference, error) {
	as, err := Changes(a)
	if err != nil {
		return nil, err
	}
	bs, err := Changes(b)
	if err != nil {
		return nil, err
	}
	if err := samePrompts(a.Run, b.Run); err != nil {
		return nil, err
	}
	other := make(map[int]PromptEffect, len(bs))
	for _, e := range bs {
		other[e.Prompt] = e
	}
	d := &Difference{ChangeInterval: noInterval(), MedianInterval: noInterval(), LogOddsInterval: noInterval()}
	var rows []sums
	var changes, odds []float64
	var byPrompt []value
	for _, x := range as {
		y, ok := other[x.Prompt]
		if !ok {
			continue
		}
		change := x.Change - y.Change
		byPrompt = append(byPrompt, value{change, d.N})
		changes, odds = append(changes, change), append(odds, x.LogOdds-y.LogOdds)
		rows = append(rows, sums{n: 1, change: change, logOdds: x.LogOdds - y.LogOdds, p: 1, p0: 1})
		d.N++
		if x.After > y.After {
			d.Better++
		}
	}
	d.Change, d.LogOdds = Number(average(changes)), Number(average(odds))
	slices.Sort(changes)
	d.MedianChange = Number(Median(changes))
	if d.N >= 2 {
		boot := newBootstrap(d.N)
		d.ChangeInterval, d.LogOddsInterval, _ = boot.means(rows)
		d.MedianInterval = boot.statistic([][]value{byPrompt}, Median)
	}
	return d, nil
}

// sample collects the cells of the point.
func (at At) sample() (*table, *sample, error) {
	tables, err := newTables(at.Run, func(c *results.Cell) bool {
		return c.Point() == at.Point
	})
	if err != nil {
		return nil, nil, err
	}
	if len(tables) == 0 {
		return nil, nil, fmt.Errorf("look up %v: %s has no such cell", at.Point, label(at.Run))
	}
	return tables[0], tables[0].sample(0, whole), nil
}

// samePrompts refuses runs in which the same index belongs to different prompts.
func samePrompts(a, b *results.Run) error {
	if a == b {
		return nil
	}
	other := make(map[int]*results.Prompt, len(b.Prompts))
	for i := range b.Prompts {
		other[b.Prompts[i].Index] = &b.Prompts[i]
	}
	for i := range a.Prompts {
		p := &a.Prompts[i]
		if q := other[p.Index]; q != nil && (p.TwoHop != q.TwoHop || p.Answer != q.Answer) {
			return fmt.Errorf("compare %s with %s: prompt %d is %q, answer %q, in one and %q, answer %q, in the other",
				label(a), label(b), p.Index, p.TwoHop, p.Answer, q.TwoHop, q.Answer)
		}
	}
	return nil
}
