package report

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// grid is numbers at the positions 0, 1, 2, …: columns are equally wide even when the taus are not equally far apart.
type grid struct{ rows [][]float64 }

func (g grid) Dims() (c, r int)   { return len(g.rows[0]), len(g.rows) }
func (g grid) Z(c, r int) float64 { return g.rows[r][c] }
func (g grid) X(c int) float64    { return float64(c) }
func (g grid) Y(r int) float64    { return float64(r) }

// heatmap draws layer × tau, or layer × head. The series must have a cell.
func heatmap(s *series, m measure, sc *scale) *drawing {
	axis, columns := s.columns()
	d := &drawing{
		name: s.file("map-" + m.name), title: m.title + "\n" + s.Label,
		width:  bounded(120+15*vg.Length(len(columns)), 330, 640),
		height: bounded(100+16*vg.Length(len(s.Layers)), 190, 560),
		read:   []string{m.read},
		table:  &numbers{Head: []string{"layer"}}, percent: m.unit == "percent",
	}
	values := grid{}
	for _, label := range columns {
		d.table.Head = append(d.table.Head, axis+" "+label)
	}
	for l, row := range s.Grid {
		var numbers []float64
		texts := []string{fmt.Sprint(s.Layers[l])}
		for _, e := range row {
			v := m.of(e)
			numbers = append(numbers, sc.position(float64(v)))
			texts = append(texts, ofNumber(m.format)(v))
		}
		values.rows, d.table.Rows = append(values.rows, numbers), append(d.table.Rows, texts)
	}
	best, marked := s.best(m.best)
	if marked {
		d.read = append(d.read, fmt.Sprintf("The frame is at %v.", s.cellOf(best.Effect)))
	}
	if sc.first > 0 {
		d.read = append(d.read, "The steps of the colours grow by a factor: each step is several times as large as the one before.")
	}
	if beyond := s.beyond(m, sc.limit); beyond > 0 {
		d.read = append(d.read, fmt.Sprintf("The scale ends at %s; %s beyond it, in the last colour.", m.format(sc.limit), count(beyond, "cell is", "cells are")))
	}
	d.draw = func(c draw.Canvas) {
		const bar = 66 // room for the colour scale
		left := draw.Crop(c, 0, -bar-4, 0, 0)
		p := newPlot(d.headline(left.Size().X+2*margin), axis, "layer")
		p.Add(heat(p, values))
		p.X.Width, p.X.Padding, p.X.Tick.Length = 0, 0, 0
		p.Y.Width, p.Y.Padding, p.Y.Tick.Length = 0, 0, 0
		p.X.Tick.Marker = places(columns, left.Size().X-50, widest(&p.X, columns)+5)
		p.Y.Tick.Marker = places(layerLabels(s.Layers), left.Size().Y-80, 11)
		if marked {
			frame(p, s, best.Effect)
		}
		p.Draw(left)
		bottom := p.DataCanvas(left).Min.Y - c.Min.Y
		colorScale(draw.Crop(c, c.Size().X-bar, 0, bottom-5, -34), sc, m.tick)
	}
	return d
}

// frame marks a cell so that it is visible on any colour.
func frame(p *plot.Plot, s *series, e stats.Effect) {
	row, column := s.place(s.cellOf(e))
	x, y := float64(column), float64(row)
	edge := []plotter.XY{{X: x - .46, Y: y - .46}, {X: x + .46, Y: y - .46}, {X: x + .46, Y: y + .46}, {X: x - .46, Y: y + .46}, {X: x - .46, Y: y - .46}}
	p.Add(line(paper, 3.5, edge...), line(ink, 1.75, edge...))
}

// colorScale draws the steps of a scale with their numbers.
func colorScale(c draw.Canvas, sc *scale, tick func(float64) string) {
	g := grid{}
	for i := range steps {
		g.rows = append(g.rows, []float64{float64(i) - half})
	}
	labels := sc.labels(tick)
	p := newPlot("", "", "")
	p.Add(heat(p, g))
	p.HideX()
	p.Y.Tick.Marker = places(labels, c.Size().Y, 8)
	p.Y.Width, p.Y.Padding, p.Y.Tick.Length = 0, 0, 0
	p.Y.Tick.Label.Font.Size = 8
	const bar = 16
	p.Draw(draw.Crop(c, 0, min(0, widest(&p.Y, labels)+bar-c.Size().X), 0, 0))
}

// heat maps positions on a scale to colours, with axes that end at the edges of the map.
func heat(p *plot.Plot, g grid) *plotter.HeatMap {
	h := plotter.NewHeatMap(g, scaleColors{})
	h.Min, h.Max = -half, half
	h.Underflow, h.Overflow, h.NaN = steps[0].light, steps[len(steps)-1].light, missing.light
	// gonum does not draw a cell whose edge is outside the axis because of rounding.
	const edge = 0.5 + 1e-6
	columns, rows := g.Dims()
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -edge, float64(columns-1)+edge, -edge, float64(rows-1)+edge
	return h
}

// beyond counts the cells whose number is beyond the end of the scale.
func (s *series) beyond(m measure, limit float64) int {
	n := 0
	for _, row := range s.Grid {
		for _, e := range row {
			if v := m.of(e); v.OK() && math.Abs(float64(v)) > limit {
				n++
			}
		}
	}
	return n
}

func bounded(x, low, high vg.Length) vg.Length { return max(low, min(x, high)) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
