package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// Options is information for a report that the runs do not contain.
type Options struct {
	Tool     string                                  // name and version of the program that writes it
	Token    func(run *results.Run, id int64) string // the text of a token, "" when unknown; nil: the report shows ids
	Findings []Finding
	By       string // a column of the data: the report groups the prompts by it; "" for none
}

// Finding is a text of the caller, shown before the statistics.
type Finding struct {
	Title string
	Text  string
	Facts [][2]string // name and value
}

// Report holds the statistics of runs, ready to be written.
type Report struct {
	Summary  *stats.Summary
	Grouped  *Grouped // nil unless Options.By is set
	page     page
	drawings []*drawing // in the order of the page
	charts   []*chart   // of the drawings that have one
}

// New computes the contents of a report. It requires at least one run. Merge the shards of an evaluation first.
func New(runs []*results.Run, o Options) (*Report, error) {
	r, err := newReport(runs, o)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return r, nil
}

func newReport(runs []*results.Run, o Options) (*Report, error) {
	if len(runs) == 0 {
		return nil, errors.New("no results to show")
	}
	if i := slices.IndexFunc(runs, func(r *results.Run) bool { return r.Manifest == nil }); i >= 0 {
		return nil, fmt.Errorf("run %d has no manifest", i)
	}
	if o.By != "" {
		if err := CheckColumn(runs, o.By); err != nil {
			return nil, err
		}
	}
	sum, err := stats.Summarize(runs...)
	if err != nil {
		return nil, err
	}
	labels := distinct(runLabels(runs), runs)
	all := newSeries(sum, runs, labels)
	scales := scales(all)
	r := &Report{Summary: sum}
	if r.Grouped, err = groupBy(all, o.By); err != nil {
		return nil, err
	}
	if r.page, err = newPage(runs, labels, all, scales, o, r.draw); err != nil {
		return nil, err
	}
	if r.Grouped != nil {
		r.page.Grouped = &groupTable{r.Grouped, all}
	}
	r.page.Data, err = newData(runs, all, scales, r.charts)
	return r, err
}

// draw keeps a drawing for Pictures and renders it for the page.
func (r *Report) draw(d *drawing) (figure, error) {
	svg, err := d.inline()
	if err != nil {
		return figure{}, err
	}
	r.drawings = append(r.drawings, d)
	f := figure{SVG: svg, Width: d.width.Points(), Read: d.read, Table: d.table, Percent: d.percent, Chart: -1}
	if d.chart != nil {
		f.Chart, f.Title = len(r.charts), strings.ReplaceAll(d.title, "\n", ", ")
		r.charts = append(r.charts, d.chart)
	}
	return f, nil
}

// Notices lists what a reader must know before any number: missing data and missing numbers.
func (r *Report) Notices() []string { return r.page.Notices }

// Names returns the names of the summary's series in the report; no two are equal.
func (r *Report) Names() []string {
	var out []string
	for _, s := range r.page.Series {
		out = append(out, s.Label)
	}
	return out
}

// HTML writes the report as one self-contained file.
func (r *Report) HTML(w io.Writer) error {
	if err := templates().Execute(w, r.page); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Pictures draws all pictures of the report as files, in the order of the report.
func (r *Report) Pictures() ([]Picture, error) {
	var out []Picture
	for _, d := range r.drawings {
		p, err := d.picture()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
