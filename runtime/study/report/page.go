package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
	"github.com/onnx-inject/onnx-inject/runtime/study/webpage"
)

// Marker is the first bytes of every report. It distinguishes a report from a file of another program.
const Marker = `<!doctype html><meta name="generator" content="onnx-inject report">`

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle template.CSS

//go:embed page.js
var pageScript template.JS

var scripts = webpage.Scripts{webpage.Common, webpage.Plot, pageScript}

var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"percent": ofNumber(percent), "percents": ofInterval(percent), "odds": ofNumber(logOdds), "oddss": ofInterval(logOdds),
		"prob": ofNumber(probability), "p": probability, "oddsOf": logOdds, "nats": ofNumber(plain(3)), "before": before, "rank": ofNumber(plain(1)), "short": short, "size": ofNumber(short),
		"shown": ShownValue, "few": func() int { return Few },
		"main":   func(all []figure) []figure { return figuresOf(all, false) },
		"folded": func(all []figure) []figure { return figuresOf(all, true) },
		"blanks": func() []string { return make([]string, 11) },                           // cells of a line of the best cells
		"whole":  func(s string) string { return strings.ReplaceAll(s, " %", "\u00a0%") }, // no line ends between a number and its unit
	}).Parse(pageText))
})

// page is the data of the template.
type page struct {
	Marker, Style, Variables any
	Policy                   string
	Scripts                  webpage.Scripts
	Data                     *data
	Title, Lead              string
	Tool                     string
	Notices                  []string
	Findings                 []Finding
	Series                   []section
	Overview                 *figure
	Grouped                  *groupTable // nil unless the prompts are grouped by a column
	Knowledge                []knowledge
	Sides                    []side
	Comparisons              []*comparison
	Runs                     []provenance
	Resamples                int
}

// figure is a drawing on the page.
type figure struct {
	SVG     template.HTML
	Width   float64 // points
	Read    []string
	Table   *numbers
	Title   string
	Percent bool // the page shows it in a fold
	Chart   int  // position in data.Charts; -1 for none
}

// section is one series.
type section struct {
	*series
	Open    bool // its pictures are visible initially
	Winners []winner
	Maps    []figure // by measure
	Curves  []figure // the paper's measure last
	Details []details
}

// details is one cell of a series, prompt by prompt.
type details struct {
	Where       string
	Measures    []string // by which the cell is the best
	Figures     []figure
	Best, Worst []example
}

// figuresOf returns the figures in percent, or the others.
func figuresOf(all []figure, percent bool) []figure {
	return slices.DeleteFunc(slices.Clone(all), func(f figure) bool { return f.Percent != percent })
}

// Drawn are the pictures of the whole series: maps, then curves over layers.
func (s section) Drawn() []figure { return slices.Concat(s.Maps, s.Curves) }

// newPage assembles the report. draw renders a drawing and stores it.
func newPage(runs []*results.Run, labels []string, all []*series, scales map[string]*scale, o Options, draw func(*drawing) (figure, error)) (page, error) {
	p := page{
		Marker: template.HTML(Marker), Style: webpage.Style + pageStyle, Policy: scripts.Policy(), Scripts: scripts, Variables: variables(), Title: title(runs), Lead: lead(runs), Tool: o.Tool, Findings: o.Findings,
		Notices: notices(runs, labels, all, o.By), Resamples: stats.Resamples,
	}
	var err error
	if d := overview(all); d != nil {
		f, err := draw(d)
		if err != nil {
			return p, err
		}
		p.Overview = &f
	}
	if p.Comparisons, err = compare(all); err != nil {
		return p, err
	}
	for _, c := range p.Comparisons {
		if c.Figures, err = drawAll(c.drawings, draw); err != nil {
			return p, err
		}
	}
	for _, s := range all {
		sec, err := newSection(s, scales, o, draw)
		if err != nil {
			return p, err
		}
		p.Series = append(p.Series, sec)
	}
	if len(p.Series) > 0 && !slices.ContainsFunc(p.Series, func(s section) bool { return s.Open }) {
		p.Series[0].Open = true
	}
	p.Knowledge, p.Sides = knowledges(all), sides(all)
	for i, r := range runs {
		p.Runs = append(p.Runs, newProvenance(labels[i], r))
	}
	return p, nil
}

func drawAll(list []*drawing, draw func(*drawing) (figure, error)) ([]figure, error) {
	var out []figure
	for _, d := range list {
		f, err := draw(d)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func title(runs []*results.Run) string {
	var models []string
	for _, r := range runs {
		if m := r.Manifest.Model.Name; m != "" && !slices.Contains(models, m) {
			models = append(models, m)
		}
	}
	if len(models) == 0 {
		return subject(runs)
	}
	return subject(runs) + " into " + strings.Join(models, ", ")
}

// subject is what the runs do.
func subject(runs []*results.Run) string {
	if onlyAdds(runs) {
		return "Memory injections"
	}
	return "Interventions"
}

// onlyAdds reports whether all runs are the paper's experiment: a memory is added to the attention output.
func onlyAdds(runs []*results.Run) bool {
	return !slices.ContainsFunc(runs, func(r *results.Run) bool {
		return r.Manifest.Op != "" || r.Manifest.Sites != nil || r.Manifest.Interventions != nil
	})
}

// lead says what was done.
func lead(runs []*results.Run) string {
	const numbers = " The numbers show the effect on the probability of the correct answer."
	if onlyAdds(runs) {
		return "Each prompt asks for a fact that takes two steps to find. A memory, which is the missing step as a vector times tau, was added to the attention output of one layer." + numbers
	}
	return "The value x at one place of the model was changed while it answered prompts: add is x + tau × memory, replace is tau × memory, scale is a factor × x, and ablate is 0." + numbers
}

func newSection(s *series, scales map[string]*scale, o Options, draw func(*drawing) (figure, error)) (section, error) {
	sec := section{series: s, Open: s.Source == curated, Winners: s.winners()}
	var err error
	if s.isGrid() {
		var list []*drawing
		for _, m := range measures {
			list = append(list, heatmap(s, m, scales[m.unit]))
		}
		if sec.Maps, err = drawAll(list, draw); err != nil {
			return sec, err
		}
	}
	if len(s.Layers) > 1 && s.Heads == nil {
		var list []*drawing
		for _, c := range curves {
			if !slices.ContainsFunc(s.Layers, func(layer int) bool { _, ok := s.peak(c.best, layer); return ok }) {
				continue // no change is below the 99th percentile when no memory has an effect
			}
			d, err := layerCurves(s, c)
			if err != nil {
				return sec, err
			}
			list = append(list, d)
		}
		if sec.Curves, err = drawAll(list, draw); err != nil {
			return sec, err
		}
	}
	for _, b := range s.Best {
		where := s.cellOf(b.Effect)
		name := measureName(b.Measure)
		if i := slices.IndexFunc(sec.Details, func(d details) bool { return d.Where == where.String() }); i >= 0 {
			sec.Details[i].Measures = append(sec.Details[i].Measures, name)
			continue
		}
		effects, err := stats.Changes(s.at(where))
		if err != nil {
			return sec, err
		}
		if len(effects) == 0 {
			continue
		}
		d := details{Where: where.String(), Measures: []string{name}}
		if d.Figures, err = drawAll([]*drawing{histogram(s, where, effects), beforeAfter(s, where, effects)}, draw); err != nil {
			return sec, err
		}
		d.Best, d.Worst = extremes(s, effects, o.Token)
		sec.Details = append(sec.Details, d)
	}
	return sec, nil
}

// measureName is the name of a measure in words.
func measureName(m stats.Measure) string {
	switch m {
	case stats.ByRejected:
		return "the paper's mean"
	case stats.ByLogOdds:
		return "log-odds"
	}
	return string(m)
}

// overview draws the best cell of each series; nil when there is none.
func overview(all []*series) *drawing {
	var lines []forest
	for _, s := range all {
		b, ok := s.best(stats.ByLogOdds)
		if !ok {
			continue
		}
		f := forest{label: fmt.Sprintf("%d. %s, %s", s.Number, cut(s.Label, 46), s.cellOf(b.Effect).Brief())}
		text := func(what string, e stats.Effect) string {
			return fmt.Sprintf("%s\n%s, %s: %s\n95 %% interval %s\n%d of %d prompts gain", s.Label, what, s.cellOf(e), ofNumber(logOdds)(e.LogOdds),
				ofInterval(logOdds)(e.LogOddsInterval), e.Improved, e.N)
		}
		f.marks = append(f.marks, mark{estimate{value: b.Effect.LogOdds, interval: b.Effect.LogOddsInterval}, 0, text("chosen and evaluated on all prompts", b.Effect)})
		if b.Held != nil {
			f.marks = append(f.marks, mark{estimate{value: b.Held.Other.LogOdds, interval: b.Held.Other.LogOddsInterval}, 1, text("chosen on one half, evaluated on the other", b.Held.Other)})
		}
		lines = append(lines, f)
	}
	if len(lines) == 0 {
		return nil
	}
	d := &drawing{
		name: "best-cells", title: "Best cell of each series, mean change of the log-odds",
		read: []string{
			"To the right of the dashed line, the answers become more likely. The bars are 95 % intervals over prompts.",
			"Caution: a cell that is the best of many looks better than it is. The square is free of this bias: the cell was chosen on one half of the prompts and evaluated on the other.",
		},
	}
	drawForest(d, lines, []string{"chosen and evaluated on all prompts", "chosen on one half, evaluated on the other"}, "log-odds", logOddsTick)
	return d
}
