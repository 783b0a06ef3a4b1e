package stats

import (
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// A sample is the cells of one layer and tau by prompt, from which an [Effect] is computed.
type sample struct {
	layer     int
	head      results.Head
	tau       float64
	nonFinite int
	skipped   int       // cells of prompts that have no place for the memory
	rows      []row     // one for every prompt, including prompts without a number here
	columns   [][]value // changes, by the index of the memory within its prompt, for the paper's rule
}

// row is one prompt at one layer and tau: sums over its memories.
type row struct {
	memories                      int // with a number
	p, change, logOdds, surprisal float64
	ranks                         int // memories whose rank is known
	rank                          float64
	p0                            float64
	met                           int // memories memories, with or without a number
	cells                         []*results.Cell
}

// A half of the prompts, by their position.
type half int

const (
	whole  half = iota
	first       // positions 0, 2, 4, …
	second      // positions 1, 3, 5, …
)

// at returns a position within the half, or -1 when the prompt belongs to the other half.
func (h half) at(position int) int {
	switch {
	case h == whole:
		return position
	case position%2 == int(h-first):
		return position / 2
	}
	return -1
}

// size is the number of prompts, out of n, that belong to the half.
func (h half) size(n int) int {
	switch h {
	case first:
		return (n + 1) / 2
	case second:
		return n / 2
	}
	return n
}

// sample collects the cells of a point of the grid.
func (t *table) sample(point int, h half) *sample {
	taus, heads := len(t.taus), len(t.heads)
	s := &sample{
		layer: t.layers[point/taus/heads], head: t.heads[point/taus%heads], tau: t.taus[point%taus],
		rows: make([]row, h.size(len(t.prompts))),
	}
	for _, c := range t.points[point] {
		place, ok := t.place[c.Prompt]
		if !ok {
			if h == whole && c.Status == results.Missing {
				s.skipped++
			} else if h == whole && !(c.OK() && usable(c.LogP)) {
				s.nonFinite++
			}
			continue
		}
		if i := h.at(place); i >= 0 {
			s.add(i, t.prompts[place], c.Score, c)
		}
	}
	return s
}

// asMemory collects another score of each prompt, such as that of its one-hop prompt, as if it came from a memory.
func (t *table) asMemory(of func(*results.Prompt) results.Score) *sample {
	s := &sample{layer: -1, rows: make([]row, len(t.prompts))}
	for i, p := range t.prompts {
		s.add(i, p, of(p), nil)
	}
	return s
}

// add counts a score of prompt p at position i.
func (s *sample) add(i int, p *results.Prompt, with results.Score, c *results.Cell) {
	if with.Status == results.Missing {
		s.skipped++
		return
	}
	r := &s.rows[i]
	column := r.met
	r.met++
	if c != nil {
		r.cells = append(r.cells, c)
	}
	if !with.OK() || !usable(with.LogP) {
		s.nonFinite++
		return
	}
	change := math.Expm1(with.LogP - p.Clean.LogP)
	r.memories++
	r.p0 = p.Clean.P()
	r.p += with.P()
	r.change += change
	r.logOdds += logOdds(with.LogP) - logOdds(p.Clean.LogP)
	r.surprisal += surprisal(with.LogP)
	if with.Rank >= 0 {
		r.ranks++
		r.rank += float64(with.Rank)
	}
	for len(s.columns) <= column {
		s.columns = append(s.columns, nil)
	}
	s.columns[column] = append(s.columns[column], value{change, i})
}

// effect computes the statistics of a sample. Without a bootstrap there are no intervals. The two costly intervals are
// computed only on request.
func (s *sample) effect(b *bootstrap, costly bool) Effect {
	e := Effect{
		Layer: s.layer, Head: s.head, Tau: s.tau, NonFinite: s.nonFinite,
		ChangeInterval: noInterval(), RatioInterval: noInterval(), LogOddsInterval: noInterval(),
	}
	var total sums
	var nats float64
	var changes, ranks []float64
	unit := make([]sums, len(s.rows)) // by prompt
	byPrompt := make([]value, 0, len(s.rows))
	for i := range s.rows {
		r := &s.rows[i]
		if r.ranks > 0 {
			ranks = append(ranks, r.rank/float64(r.ranks))
		}
		if r.memories == 0 {
			continue
		}
		k := float64(r.memories)
		u := sums{n: 1, change: r.change / k, logOdds: r.logOdds / k, p: r.p / k, p0: r.p0}
		unit[i] = u
		total = sums{total.n + 1, total.change + u.change, total.logOdds + u.logOdds, total.p + u.p, total.p0 + u.p0}
		nats += r.surprisal / k
		changes = append(changes, u.change)
		byPrompt = append(byPrompt, value{u.change, i})
		if u.change > 0 {
			e.Improved++
		}
	}
	slices.Sort(changes)
	slices.Sort(ranks)
	e.N = len(changes)
	e.MeanP, e.Change, e.LogOdds = Number(total.p/total.n), Number(total.change/total.n), Number(total.logOdds/total.n)
	e.MedianChange, e.MedianRank = Number(Median(changes)), Number(Median(ranks))
	e.Ratio, e.Surprisal = Number(total.p/total.p0-1), Number(nats/total.n)
	e.Rejected, e.Kept = s.rejected()
	if b == nil || e.N < 2 {
		return e
	}
	e.ChangeInterval, e.LogOddsInterval, e.RatioInterval = b.means(unit)
	if costly {
		median := b.statistic([][]value{byPrompt}, Median)
		e.MedianInterval = &median
		rejected := b.statistic(s.columns, func(ascending []float64) float64 { mean, _ := Rejected(ascending); return mean })
		e.RejectedInterval = &rejected
	}
	return e
}

// rejected is the paper's measure: one mean for the first, second, … memory of all prompts, then the mean of these means.
func (s *sample) rejected() (Number, int) {
	sum, columns, cells := 0.0, 0, 0
	for _, column := range s.columns {
		values := make([]float64, len(column))
		for i, x := range column {
			values[i] = x.v
		}
		slices.Sort(values)
		if mean, kept := Rejected(values); kept > 0 {
			sum, columns, cells = sum+mean, columns+1, cells+kept
		}
	}
	return Number(sum / float64(columns)), cells
}
