package report

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
	"github.com/onnx-inject/onnx-inject/runtime/study/webpage"
)

// data is what the scripts of the page read, as JSON.
type data struct {
	Measures []measureData `json:"measures"`
	Runs     []runData     `json:"runs"`
	Series   []seriesData  `json:"series"`
	Charts   []*chart      `json:"charts"`
}

// measureData is a measure with the labels of its colours, those for less first.
type measureData struct {
	Title   string   `json:"title"`
	Unit    string   `json:"unit"`
	Read    string   `json:"read"`
	Colours []string `json:"colours"`
}

// runData is prompts of a run: all of them, or some that are spread evenly over the data.
type runData struct {
	All     int          `json:"all"` // prompts of the run
	Prompts []promptData `json:"prompts"`
}

type promptData struct {
	Index  int            `json:"i"`
	Text   string         `json:"text"`
	Answer string         `json:"answer"`
	Before webpage.Digits `json:"before"` // log-odds of the answer without a memory; null when there is no number
}

// seriesData is the grid of a series. Cells are in the order of Series.Grid, one layer after another.
type seriesData struct {
	Run      int                `json:"run"` // position in data.Runs
	Layers   []int              `json:"layers"`
	Heads    []string           `json:"heads,omitempty"`
	Taus     []string           `json:"taus"`
	Axis     string             `json:"axis"` // what a tau is called
	Names    []string           `json:"names"`
	Cells    [][]webpage.Digits `json:"cells"`           // the numbers that effectNumbers lists
	Steps    []string           `json:"steps"`           // by measure: a character for each cell, the step of its colour in hexadecimal, or - for none
	Best     []int              `json:"best"`            // by measure: a cell, or -1
	Peaks    [][]int            `json:"peaks"`           // by measure, then by layer: the best cell of the layer, or -1
	Memories []string           `json:"memories"`        // by prompt of the run; empty when the series has no cell for it
	Change   webpage.Packed     `json:"change"`          // [cell][prompt of the run], change of the log-odds
	After    *webpage.Packed    `json:"after,omitempty"` // the same for the log-odds of the mean probability; nil when each prompt has one memory
}

// effectNumbers are the numbers of a cell, in the order in which the scripts read them.
var effectNumbers = []func(stats.Effect) stats.Number{
	func(e stats.Effect) stats.Number { return stats.Number(e.N) },
	func(e stats.Effect) stats.Number { return stats.Number(e.Improved) },
	func(e stats.Effect) stats.Number { return stats.Number(e.NonFinite) },
	func(e stats.Effect) stats.Number { return e.LogOdds },
	func(e stats.Effect) stats.Number { return e.LogOddsInterval.Low },
	func(e stats.Effect) stats.Number { return e.LogOddsInterval.High },
	before,
	func(e stats.Effect) stats.Number { return e.MeanP },
	func(e stats.Effect) stats.Number { return e.MedianChange },
	func(e stats.Effect) stats.Number { return e.Rejected },
}

// before is the mean probability without a memory of the prompts that count in a cell. The ratio is mean(p)/mean(p0) - 1.
func before(e stats.Effect) stats.Number {
	if !e.MeanP.OK() || !e.Ratio.OK() || e.Ratio <= -1 {
		return stats.None()
	}
	return e.MeanP / (1 + e.Ratio)
}

// Limits on the data of prompts, so that the page of a large evaluation can be opened: at most about 2.7 bytes for each number.
const (
	mostNumbers = 250_000 // prompts x cells
	mostPrompts = 1000    // of a run
	mostText    = 200     // characters of a prompt
)

// newData collects the data of all series that have a map.
func newData(runs []*results.Run, all []*series, scales map[string]*scale, charts []*chart) (*data, error) {
	d := &data{Charts: charts}
	for _, m := range measures {
		d.Measures = append(d.Measures, measureData{m.title, m.unit, m.read, scales[m.unit].labels(m.tick)})
	}
	cells, prompts := make([]int, len(runs)), make([]int, len(runs))
	for i, r := range runs {
		prompts[i] = len(r.Prompts)
	}
	for _, s := range all {
		cells[s.Run] += len(s.Layers) * len(s.Grid[0])
	}
	most := allowed(cells, prompts)
	chosen := make([]*sampled, len(runs))
	for i, r := range runs {
		chosen[i] = spread(r, most)
		d.Runs = append(d.Runs, chosen[i].data())
	}
	for _, s := range all {
		x, err := newSeriesData(s, scales, chosen[s.Run])
		if err != nil {
			return nil, err
		}
		d.Series = append(d.Series, x)
	}
	return d, nil
}

// allowed is the most prompts of a run that the limits allow. cells and prompts are numbers by run.
func allowed(cells, prompts []int) int {
	return sort.Search(mostPrompts, func(n int) bool {
		numbers := 0
		for i := range cells {
			numbers += cells[i] * min(n+1, prompts[i])
		}
		return numbers > mostNumbers
	})
}

// sampled is some prompts of a run with their cells, by the point of the grid.
type sampled struct {
	run     *results.Run
	prompts []results.Prompt
	place   map[int]int // of a prompt's index in prompts
	cells   map[results.Point][]results.Cell
}

// spread chooses at most n prompts of a run, evenly over the data.
func spread(run *results.Run, n int) *sampled {
	s := &sampled{run: run, place: map[int]int{}, cells: map[results.Point][]results.Cell{}}
	for i, at := range webpage.Spread(len(run.Prompts), n) {
		p := run.Prompts[at]
		s.place[p.Index] = i
		s.prompts = append(s.prompts, p)
	}
	for _, c := range run.Cells {
		if _, ok := s.place[c.Prompt]; ok {
			s.cells[c.Point()] = append(s.cells[c.Point()], c)
		}
	}
	return s
}

func (s *sampled) data() runData {
	d := runData{All: len(s.run.Prompts), Prompts: []promptData{}}
	for _, p := range s.prompts {
		d.Prompts = append(d.Prompts, promptData{p.Index, cut(p.TwoHop, mostText), cut(p.Answer, mostText), webpage.Digits(logit(p.Clean.P()))})
	}
	return d
}

// changes returns the effects on the chosen prompts at a point.
func (s *sampled) changes(at results.Point) ([]stats.PromptEffect, error) {
	cells := s.cells[at]
	if len(cells) == 0 {
		return nil, nil
	}
	return stats.Changes(stats.At{Run: &results.Run{Dir: s.run.Dir, Manifest: s.run.Manifest, Prompts: s.prompts, Cells: cells}, Point: at})
}

func newSeriesData(s *series, scales map[string]*scale, of *sampled) (seriesData, error) {
	axis := "tau"
	if s.Op == "scale" {
		axis = "factor"
	}
	d := seriesData{Run: s.Run, Layers: s.Layers, Taus: tauLabels(s.Taus), Axis: axis, Memories: make([]string, len(of.prompts))}
	for _, h := range s.Heads {
		d.Heads = append(d.Heads, h.String())
	}
	columns := len(s.Grid[0])
	index := func(c cell) int {
		row, column := s.place(c)
		if row < 0 || column < 0 {
			return -1
		}
		return row*columns + column
	}
	for _, m := range measures {
		best := -1
		if b, ok := s.best(m.best); ok {
			best = index(s.cellOf(b.Effect))
		}
		peaks := make([]int, len(s.Layers))
		for i, layer := range s.Layers {
			if peaks[i] = -1; s.Heads == nil {
				if at, ok := s.peak(m.best, layer); ok {
					peaks[i] = index(at)
				}
			}
		}
		var steps strings.Builder
		for _, row := range s.Grid {
			for _, e := range row {
				steps.WriteByte(scales[m.unit].step(m.of(e)))
			}
		}
		d.Best, d.Peaks, d.Steps = append(d.Best, best), append(d.Peaks, peaks), append(d.Steps, steps.String())
	}
	var change, after [][]float64
	for _, row := range s.Grid {
		for _, e := range row {
			var numbers []webpage.Digits
			for _, f := range effectNumbers {
				numbers = append(numbers, webpage.Digits(f(e)))
			}
			at := s.cellOf(e)
			d.Cells, d.Names = append(d.Cells, numbers), append(d.Names, at.String())
			effects, err := of.changes(s.at(at).Point)
			if err != nil {
				return d, err
			}
			own, mean := absent(len(of.prompts)), absent(len(of.prompts))
			for _, x := range effects {
				i := of.place[x.Prompt]
				own[i], mean[i] = x.LogOdds, logit(x.After)
				if d.Memories[i] == "" && len(x.Cells) > 0 {
					d.Memories[i] = cut(x.Cells[0].Memory, mostText)
					if n := len(x.Cells); n > 1 {
						d.Memories[i] += fmt.Sprintf(", … (%d memories)", n)
					}
				}
			}
			change, after = append(change, own), append(after, mean)
		}
	}
	d.Change = webpage.Pack(change)
	if s.Memories > 1 {
		p := webpage.Pack(after)
		d.After = &p
	}
	return d, nil
}

func absent(n int) []float64 { return slices.Repeat([]float64{math.NaN()}, n) }

// logit is the log-odds of a probability, between -50 and 50; NaN for NaN.
func logit(p float64) float64 { return math.Max(-50, math.Min(50, math.Log(p)-math.Log1p(-p))) }

// chart is lines of estimates, from top to bottom.
type chart struct {
	Unit   string      `json:"unit"`
	Legend []string    `json:"legend"`
	Lines  []chartLine `json:"lines"`
}

type chartLine struct {
	Label string      `json:"label"`
	Marks []chartMark `json:"marks"`
}

type chartMark struct {
	Kind  int            `json:"kind"`
	Value webpage.Digits `json:"value"`
	Low   webpage.Digits `json:"low"`
	High  webpage.Digits `json:"high"`
	Text  string         `json:"text"`
}

// newChart gives the scripts what drawForest draws.
func newChart(lines []forest, legend []string, unit string) *chart {
	c := &chart{Unit: unit, Legend: legend, Lines: []chartLine{}}
	for _, l := range lines {
		if len(l.marks) == 0 {
			continue
		}
		x := chartLine{Label: l.label, Marks: []chartMark{}}
		for _, m := range l.marks {
			if m.value.OK() {
				x.Marks = append(x.Marks, chartMark{m.kind, webpage.Digits(m.value), webpage.Digits(m.interval.Low), webpage.Digits(m.interval.High), m.text})
			}
		}
		c.Lines = append(c.Lines, x)
	}
	return c
}
