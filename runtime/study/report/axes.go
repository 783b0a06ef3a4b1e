package report

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// sans is the font of all texts.
var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

// newPlot returns an empty plot in the style of the report. x and y name the axes.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font, p.Title.Padding = font.From(sans, 11), 6
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = font.From(sans, 10), font.From(sans, 9)
		a.Label.Padding, a.Tick.Length = 4, 4
	}
	p.Legend.TextStyle.Font, p.Legend.Top, p.Legend.ThumbnailWidth, p.Legend.Padding = font.From(sans, 9), true, 14, 2
	return p
}

// places labels the positions 0, 1, 2, …, as many as fit into room with a distance of at least apart.
func places(labels []string, room, apart vg.Length) plot.ConstantTicks {
	every := 1
	if n := len(labels); n > 0 {
		every = max(1, int(math.Ceil(float64(apart)*float64(n)/float64(room))))
	}
	var out plot.ConstantTicks
	for i, l := range labels {
		if i%every != 0 {
			l = ""
		}
		out = append(out, plot.Tick{Value: float64(i), Label: l})
	}
	return out
}

// round puts ticks at multiples of 1, 2 or 5 times a power of ten, including zero: at most eight ticks, and fewer when their
// labels would have more characters than room.
type round struct {
	format func(float64) string
	room   int // 0: no limit
}

// Ticks lists the ticks.
func (r round) Ticks(low, high float64) []plot.Tick {
	for most := 8.0; ; most /= 2 {
		step := roundUp((high - low) / most)
		var out []plot.Tick
		characters := 0
		for i := math.Ceil(low / step); i*step <= high; i++ {
			label := r.format(i * step)
			characters += len([]rune(label)) + 2
			out = append(out, plot.Tick{Value: i * step, Label: label})
		}
		if r.room == 0 || characters <= r.room || len(out) <= 2 {
			return out
		}
	}
}

// widen adds room on both sides of an axis, also when all values are equal.
func widen(a *plot.Axis) {
	if math.IsInf(a.Min, 0) || math.IsInf(a.Max, 0) {
		a.Min, a.Max = -1, 1
	}
	room := (a.Max - a.Min) / 20
	if room == 0 {
		room = math.Max(math.Abs(a.Max)/20, 1e-3)
	}
	a.Min, a.Max = a.Min-room, a.Max+room
}

// line returns a line through points.
func line(c role, width vg.Length, points ...plotter.XY) *plotter.Line {
	return &plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: c.light, Width: width}}
}

// dashed makes a line dashed.
func dashed(l *plotter.Line) *plotter.Line {
	l.Dashes = []vg.Length{3, 2}
	return l
}

// dots returns a mark at each point.
func dots(c role, shape draw.GlyphDrawer, radius vg.Length, points ...plotter.XY) *plotter.Scatter {
	return &plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: c.light, Radius: radius, Shape: shape}}
}

// widest is the width of the widest line of the labels.
func widest(a *plot.Axis, labels []string) vg.Length {
	var out vg.Length
	for _, l := range labels {
		for line := range strings.SplitSeq(l, "\n") {
			out = max(out, a.Tick.Label.Width(line))
		}
	}
	return out
}

func layerLabels(layers []int) []string {
	var out []string
	for _, l := range layers {
		out = append(out, strconv.Itoa(l))
	}
	return out
}

func tauLabels(taus []float64) []string {
	var out []string
	for _, t := range taus {
		out = append(out, short(t))
	}
	return out
}
