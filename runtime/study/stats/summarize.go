package stats

import (
	"math"
	"slices"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Summarize computes the statistics of runs. Merge the shards of an evaluation first, because every run is summarized
// separately. A run without cells has no series.
func Summarize(runs ...*results.Run) (*Summary, error) {
	out := &Summary{Version: 1, Resamples: Resamples, Series: []Series{}}
	boots := map[int]*bootstrap{}
	boot := func(n int) *bootstrap {
		if boots[n] == nil {
			boots[n] = newBootstrap(n)
		}
		return boots[n]
	}
	for i, run := range runs {
		tables, err := newTables(run, nil)
		if err != nil {
			return nil, err
		}
		for _, t := range tables {
			s := t.series(boot)
			s.Run, s.SideEffects = i, sideEffects(run, s.Source, s.Site, s.Grid)
			if m := run.Manifest; m != nil {
				s.Model, s.Data, s.Encoding, s.Convention, s.Positions, s.Op = m.Model.Name, m.Data.Name, m.Encoding, m.Convention, m.Positions, m.Op
			}
			s.Usual = s.usual(run.Manifest)
			out.Series = append(out.Series, s)
		}
	}
	return out, nil
}

func (t *table) series(boot func(int) *bootstrap) Series {
	s := Series{Source: t.source, Site: t.site, Harm: t.harm, Prompts: len(t.all), NoClean: len(t.all) - len(t.prompts), Layers: t.layers, Taus: t.taus, Best: []Best{}}
	s.TwoHop = level(t.all, func(p *results.Prompt) results.Score { return p.Clean })
	if slices.ContainsFunc(t.all, func(p *results.Prompt) bool { return p.Ceiling.Status != results.Missing }) {
		one := level(t.all, func(p *results.Prompt) results.Score { return p.Ceiling })
		s.OneHop = &one
		ceiling := t.asMemory(func(p *results.Prompt) results.Score { return p.Ceiling }).effect(boot(len(t.prompts)), true)
		s.Ceiling = &ceiling
	}
	if t.told {
		of := func(p *results.Prompt) results.Score { return p.Told.Score }
		told, telling := level(t.all, of), t.asMemory(of).effect(boot(len(t.prompts)), true)
		s.Told, s.Telling = &told, &telling
	}
	if t.heads[0] != results.AllHeads || len(t.heads) > 1 {
		s.Heads = t.heads
	}
	columns := len(t.heads) * len(t.taus)
	for layer := range t.layers {
		var line []Effect
		for column := range columns {
			point := layer*columns + column
			sample := t.sample(point, whole)
			line = append(line, sample.effect(boot(len(t.prompts)), false))
			s.Cells += len(t.points[point])
			s.NonFinite += sample.nonFinite
			s.Skipped += sample.skipped
			for i := range sample.rows {
				s.Memories = max(s.Memories, sample.rows[i].met)
			}
		}
		s.Grid = append(s.Grid, line)
	}
	half := make([]Effect, len(t.points))
	for i := range half {
		half[i] = t.sample(i, first).effect(nil, false)
	}
	for _, m := range Measures {
		s.Peaks = append(s.Peaks, t.peaks(m, s.Grid)...)
		if point := t.choose(m, slices.Concat(s.Grid...)); point >= 0 {
			s.Best = append(s.Best, Best{Measure: m, Effect: t.full(point, whole, boot), Held: t.held(t.choose(m, half), boot)})
		}
	}
	return s
}

// held reports the point that was chosen on the first half of the prompts, -1 for none, on the second half.
func (t *table) held(point int, boot func(int) *bootstrap) *Held {
	if point < 0 {
		return nil
	}
	h := &Held{Chosen: t.full(point, first, boot), Other: t.full(point, second, boot)}
	h.Layer, h.Head, h.Tau = h.Chosen.Layer, h.Chosen.Head, h.Chosen.Tau
	if h.Other.N == 0 {
		return nil
	}
	return h
}

// full computes an effect with all its intervals and caches it, because measures often choose the same point.
func (t *table) full(point int, h half, boot func(int) *bootstrap) Effect {
	key := [2]int{point, int(h)}
	if e, ok := t.done[key]; ok {
		return e
	}
	e := t.sample(point, h).effect(boot(h.size(len(t.prompts))), true)
	t.done[key] = e
	return e
}

// choose returns the position of the best effect, -1 when none has a value. Effects of fewer prompts than the maximum do
// not compete.
func (t *table) choose(m Measure, effects []Effect) int {
	sign := Number(1)
	if t.harm {
		sign = -1
	}
	most := 0
	for _, e := range effects {
		most = max(most, e.N)
	}
	best, value := -1, math.Inf(-1)
	for i, e := range effects {
		if v := sign * e.Value(m); e.N == most && v.OK() && float64(v) > value {
			best, value = i, float64(v)
		}
	}
	return best
}

func (t *table) peaks(m Measure, grid [][]Effect) []Peak {
	var out []Peak
	for _, line := range grid {
		p := Peak{Measure: m, Layer: line[0].Layer, Tau: None(), Value: None()}
		if i := t.choose(m, line); i >= 0 {
			p.Head, p.Tau, p.Value = line[i].Head, Number(line[i].Tau), line[i].Value(m)
		}
		out = append(out, p)
	}
	return out
}

// level computes the Level of one kind of prompt.
func level(prompts []*results.Prompt, of func(*results.Prompt) results.Score) Level {
	var l Level
	var ps, ranks []float64
	var nats float64
	for _, p := range prompts {
		s := of(p)
		if !s.OK() || !usable(s.LogP) {
			continue
		}
		l.N++
		ps = append(ps, s.P())
		nats += surprisal(s.LogP)
		if s.Rank >= 0 {
			ranks = append(ranks, float64(s.Rank))
		}
		if s.Rank == 0 {
			l.Top1++
		}
		if s.Rank >= UnknownRank {
			l.Unknown++
		}
	}
	l.MeanP, l.MeanRank = Number(average(ps)), Number(average(ranks))
	slices.Sort(ps)
	slices.Sort(ranks)
	l.MedianP, l.MedianRank = Number(Median(ps)), Number(Median(ranks))
	l.Surprisal, l.Ranked = Number(nats/float64(l.N)), len(ranks)
	return l
}
