package report

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// curve is a measure with its intervals, by layer.
type curve struct {
	measure
	interval func(stats.Effect) stats.Interval
}

var curves = []curve{
	{measures[0], func(e stats.Effect) stats.Interval { return e.LogOddsInterval }},
	{measures[2], func(e stats.Effect) stats.Interval {
		if e.RejectedInterval == nil {
			return stats.Interval{Low: stats.None(), High: stats.None()}
		}
		return *e.RejectedInterval
	}},
}

// layerCurves draws a measure over layers: at the best tau of each layer, and at one tau for all layers.
func layerCurves(s *series, m curve) (*drawing, error) {
	d := &drawing{
		name: s.file("layers-" + m.name), title: m.title + " by layer\n" + s.Label,
		width: bounded(110+28*vg.Length(len(s.Layers)), 330, 720), height: 270,
		read: []string{
			"Each mark is a layer, and the bar through it is the 95 % interval over prompts. A bar that does not touch the dashed line is a change that other prompts would probably show as well. Losses many times as large as the gains are cut off.",
		},
		table: &numbers{Head: []string{"layer", "best tau", "change", "95 %"}}, percent: m.unit == "percent",
	}
	fixed := s.Taus[0]
	if slices.Contains(s.Taus, 1) {
		fixed = 1
	}
	several := len(s.Taus) > 1
	if several {
		d.read = append(d.read, "Caution: the best tau of each layer was chosen by these same numbers, and the bars do not account for that choice.")
		d.table.Head = append(d.table.Head, "at tau "+short(fixed), "95 %")
	}
	var best, one []estimate
	labels := layerLabels(s.Layers)
	for i, layer := range s.Layers {
		row := []string{labels[i]}
		add := func(list *[]estimate, at cell, shift float64) error {
			e, err := s.full(at)
			if err != nil {
				return err
			}
			value, interval := ofNumber(m.format)(m.of(e)), ofInterval(m.format)(m.interval(e))
			*list = append(*list, estimate{value: m.of(e), interval: m.interval(e), place: float64(i) + shift})
			row = append(row, value, interval)
			return nil
		}
		if peak, ok := s.peak(m.best, layer); ok {
			row = append(row, short(peak.tau))
			if err := add(&best, peak, -0.12); err != nil {
				return nil, err
			}
			labels[i] += "\n×" + short(peak.tau)
		} else {
			row = append(row, none, none, none)
		}
		at := cell{op: s.Op, layer: layer, tau: fixed}
		if _, ok := s.effect(at); ok && several {
			if err := add(&one, at, 0.12); err != nil {
				return nil, err
			}
		} else if several {
			row = append(row, none, none)
		}
		d.table.Rows = append(d.table.Rows, row)
	}
	d.draw = func(c draw.Canvas) {
		p := newPlot(d.headline(d.width), "layer (below it: best tau)", m.unit)
		p.Legend.Add("best tau of the layer", marker{first, draw.CircleGlyph{}})
		if several {
			p.Legend.Add("tau "+short(fixed), marker{second, draw.BoxGlyph{}})
		}
		drawLayers(p, c, m, labels, best, one)
	}
	return d, nil
}

// drawLayers draws the estimates of layers at the best tau of each, and at one tau for all.
func drawLayers(p *plot.Plot, c draw.Canvas, m curve, labels []string, best, one []estimate) {
	p.X.Min, p.X.Max = -0.5, float64(len(labels))-0.5
	p.Add(through(best, first), through(one, second))
	addEstimates(p, best, first, draw.CircleGlyph{}, false)
	addEstimates(p, one, second, draw.BoxGlyph{}, false)
	p.Y.Min, p.Y.Max = min(p.Y.Min, 0), max(p.Y.Max, 0)
	widen(&p.Y)
	cutOff(p, m.format, append(slices.Clone(best), one...))
	p.Y.Max += (p.Y.Max - p.Y.Min) / 5 // room for the legend
	zero(p, false)
	p.X.Tick.Marker = places(labels, c.Size().X-60, widest(&p.X, labels)+6)
	p.Y.Tick.Marker = round{format: m.tick}
	p.Draw(c)
}

// crowded is the number of marks above which numbers do not fit side by side.
const crowded = 40

// cutOff ends the axis early when the largest losses, for example of one broken layer, would leave no room for the gains.
// Values below the end are written at the edge where there is room.
func cutOff(p *plot.Plot, format func(float64) string, list []estimate) {
	far := -2 * p.Y.Max // larger losses are cut off
	if far >= 0 || far <= p.Y.Min {
		return
	}
	low := -0.35 * p.Y.Max
	for _, e := range list {
		if e.value.OK() && float64(e.value) >= far {
			low = min(low, float64(e.value))
			if e.interval.Low.OK() {
				low = min(low, max(far, float64(e.interval.Low)))
			}
		}
	}
	below := plotter.Labels{}
	style := p.Y.Tick.Label
	style.XAlign, style.YAlign, style.Rotation = draw.XLeft, draw.YCenter, math.Pi/2
	for _, e := range list {
		if e.value.OK() && float64(e.value) < low {
			below.XYs = append(below.XYs, plotter.XY{X: e.place, Y: low})
			below.Labels = append(below.Labels, "↓ "+format(float64(e.value)))
			below.TextStyle = append(below.TextStyle, style)
		}
	}
	if len(list) <= crowded {
		p.Add(&below)
	}
	p.Y.Min, p.Y.Padding = low, 0
}

// through draws a thin line from mark to mark.
func through(list []estimate, c role) *plotter.Line {
	l := line(c, 0.6)
	for _, e := range list {
		if e.value.OK() {
			l.XYs = append(l.XYs, plotter.XY{X: e.place, Y: float64(e.value)})
		}
	}
	return l
}
