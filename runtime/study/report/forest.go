package report

import (
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// forest is one line of a picture with several lines: numbers with their intervals along x.
type forest struct {
	label string
	marks []mark
}

// mark is one estimate of a line.
type mark struct {
	estimate
	kind int    // position in the legend
	text string // the estimate in words
}

// forestMarks are the legend entries of a forest, at most two.
var forestMarks = []marker{{first, draw.CircleGlyph{}}, {second, draw.BoxGlyph{}}}

// drawForest draws lines from top to bottom; a line without marks is a gap.
func drawForest(d *drawing, lines []forest, legend []string, unit string, tick func(float64) string) {
	longest := 0
	for i := range lines {
		lines[i].label = cut(lines[i].label, 64)
		longest = max(longest, len([]rune(lines[i].label)))
	}
	d.chart = newChart(lines, legend, unit)
	d.width, d.height = bounded(300+4.6*vg.Length(longest), 400, 600), 76+19*vg.Length(len(lines))+14*vg.Length(len(legend))
	d.draw = func(c draw.Canvas) {
		p := newPlot(d.headline(d.width), unit, "")
		kinds := make([][]estimate, len(forestMarks))
		labels := make([]string, len(lines))
		var guides []*plotter.Line
		for i, l := range lines {
			place := float64(len(lines) - 1 - i)
			labels[len(lines)-1-i] = l.label
			for _, m := range l.marks {
				m.place = place
				if len(l.marks) > 1 {
					m.place += 0.16 - 0.32*float64(m.kind)
				}
				kinds[m.kind] = append(kinds[m.kind], m.estimate)
			}
			if len(l.marks) > 0 {
				guides = append(guides, line(rule, 0.5, plotter.XY{Y: place}, plotter.XY{Y: place}))
				p.Add(guides[len(guides)-1])
			}
		}
		for k, list := range kinds {
			addEstimates(p, list, forestMarks[k].color, forestMarks[k].shape, true)
		}
		widen(&p.X)
		for _, g := range guides {
			g.XYs[0].X, g.XYs[1].X = p.X.Min, p.X.Max
		}
		p.Y.Min, p.Y.Max = -0.6, float64(len(lines))-0.4+0.9*float64(len(legend))
		zero(p, true)
		p.Y.Tick.Marker = places(labels, 1e6, 1)
		p.Y.Width, p.Y.Tick.Length = 0, 0
		p.X.Tick.Marker = round{tick, 50}
		for k, name := range legend {
			p.Legend.Add(name, forestMarks[k])
		}
		p.Draw(c)
	}
}
