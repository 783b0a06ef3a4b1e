package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// estimate is a number with its interval, placed in a plot.
type estimate struct {
	value    stats.Number
	interval stats.Interval
	place    float64 // on the other axis
}

// addEstimates draws numbers with their intervals, along y or along x. A percentile interval need not have its number in the
// middle, nor even contain it. The bar is therefore drawn from end to end, and the mark at the number.
func addEstimates(p *plot.Plot, list []estimate, c role, shape draw.GlyphDrawer, alongX bool) {
	xy := func(value, place float64) plotter.XY {
		if alongX {
			return plotter.XY{X: value, Y: place}
		}
		return plotter.XY{X: place, Y: value}
	}
	for _, e := range list {
		if !e.value.OK() {
			continue
		}
		if e.interval.Low.OK() && e.interval.High.OK() {
			p.Add(line(c, 1.25, xy(float64(e.interval.Low), e.place), xy(float64(e.interval.High), e.place)))
		}
		p.Add(dots(c, shape, 3.2, xy(float64(e.value), e.place)))
	}
}

// marker is a legend entry: a mark with a bar.
type marker struct {
	color role
	shape draw.GlyphDrawer
}

// Thumbnail draws the marker.
func (m marker) Thumbnail(c *draw.Canvas) {
	y := c.Center().Y
	c.StrokeLine2(draw.LineStyle{Color: color.Color(m.color.light), Width: 1.25}, c.Min.X, y, c.Max.X, y)
	c.DrawGlyph(draw.GlyphStyle{Color: m.color.light, Radius: 3.2, Shape: m.shape}, vg.Point{X: c.Center().X, Y: y})
}

// zero draws the line of no change, from end to end of the other axis.
func zero(p *plot.Plot, alongX bool) {
	l := dashed(line(ink, 0.75))
	if alongX {
		l.XYs = plotter.XYs{{X: 0, Y: p.Y.Min}, {X: 0, Y: p.Y.Max}}
	} else {
		l.XYs = plotter.XYs{{X: p.X.Min, Y: 0}, {X: p.X.Max, Y: 0}}
	}
	p.Add(l)
}
