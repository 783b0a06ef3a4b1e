package report

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg/draw"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// histogram shows the distribution of the change of log-odds over prompts.
func histogram(s *series, where cell, effects []stats.PromptEffect) *drawing {
	var values []float64
	for _, e := range effects {
		values = append(values, e.LogOdds)
	}
	slices.Sort(values)
	mean := 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	median := stats.Median(values)
	lose := 0
	for _, v := range values {
		if v < 0 {
			lose++
		}
	}
	d := &drawing{
		name: s.file("spread-" + where.slug()), title: "Prompts by change of log-odds, " + where.String() + "\n" + s.Label, width: 360, height: 270,
		read: []string{
			fmt.Sprintf("Prompts to the right of zero gain. %s, %d gain and %d lose; the mean is %s, the median %s.", count(len(values), "prompt", "prompts"), gains(values), lose, logOdds(mean), logOdds(median)),
			"Caution: when the mean is far from the median, a few prompts dominate it.",
		},
	}
	d.draw = func(c draw.Canvas) {
		p := newPlot(d.headline(d.width), "change of log-odds", "prompts")
		h := bins(values)
		lost, won := *h, *h
		edge := slices.IndexFunc(h.Bins, func(b plotter.HistogramBin) bool { return b.Min >= 0 })
		if edge < 0 {
			edge = len(h.Bins)
		}
		lost.Bins, won.Bins = h.Bins[:edge], h.Bins[edge:]
		lost.FillColor = second.light
		for _, part := range []*plotter.Histogram{&lost, &won} {
			if len(part.Bins) > 0 {
				p.Add(part)
			}
		}
		p.Y.Min = 0
		p.Y.Max *= 1.25
		top := p.Y.Max / 1.18
		widen(&p.X)
		upright := func(x float64) *plotter.Line { return line(ink, 1.5, plotter.XY{X: x, Y: 0}, plotter.XY{X: x, Y: top}) }
		p.Add(upright(mean), dashed(upright(median)))
		p.Legend.Add("mean", upright(mean))
		p.Legend.Add("median", dashed(upright(median)))
		p.X.Tick.Marker, p.Y.Tick.Marker, p.X.Padding, p.Y.Padding = round{logOddsTick, 50}, round{format: short}, 0, 0
		p.Draw(c)
	}
	return d
}

// bins counts values in bins of equal width. Zero is an edge of a bin, so that no bar has both gains and losses.
func bins(ascending []float64) *plotter.Histogram {
	low, high := ascending[0], ascending[len(ascending)-1]
	n := math.Max(6, math.Min(30, 2*math.Sqrt(float64(len(ascending)))))
	width := roundUp((math.Max(high, 0) - math.Min(low, 0)) / n)
	h := &plotter.Histogram{Width: width, FillColor: first.light, LineStyle: draw.LineStyle{Color: paper.light, Width: 0.75}}
	from, to := int(math.Floor(low/width)), int(math.Floor(high/width))
	for i := from; i <= to; i++ {
		h.Bins = append(h.Bins, plotter.HistogramBin{Min: float64(i) * width, Max: float64(i+1) * width})
	}
	for _, v := range ascending {
		h.Bins[min(max(0, int(math.Floor(v/width))-from), len(h.Bins)-1)].Weight++
	}
	return h
}

func gains(values []float64) int {
	n := 0
	for _, v := range values {
		if v > 0 {
			n++
		}
	}
	return n
}

// beforeAfter shows the probability of each prompt's answer without the memory and with it.
func beforeAfter(s *series, where cell, effects []stats.PromptEffect) *drawing {
	lowest := 0.0
	for _, e := range effects {
		lowest = math.Min(lowest, math.Min(decade(e.Before), decade(e.After)))
	}
	lowest = math.Min(-1, math.Floor(lowest))
	d := &drawing{
		name: s.file("prompts-" + where.slug()), title: "The answer's probability before and after, " + where.String() + "\n" + s.Label, width: 360, height: 270,
		read: []string{
			"Each mark is a prompt. Prompts above the line gain, by a factor of ten for each step up.",
			"Caution: a gain from 0.00001 to 0.0001 is +900 %, but the model still does not predict the answer.",
		},
	}
	var gain, lose plotter.XYs
	for _, e := range effects {
		point := plotter.XY{X: decade(e.Before), Y: decade(e.After)}
		if e.After > e.Before {
			gain = append(gain, point)
		} else {
			lose = append(lose, point)
		}
	}
	d.draw = func(c draw.Canvas) {
		p := newPlot(d.headline(d.width), "without a memory", "with the memory")
		p.Add(dashed(line(ink, 0.75, plotter.XY{X: lowest, Y: lowest}, plotter.XY{})))
		p.Add(dots(second, draw.BoxGlyph{}, 2, lose...), dots(first, draw.CircleGlyph{}, 2.2, gain...))
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = lowest, 0, lowest, 0
		p.X.Tick.Marker, p.Y.Tick.Marker = decades{}, decades{}
		p.X.Padding, p.Y.Padding = 4, 4
		p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, 4
		p.Legend.Add(fmt.Sprintf("gain: %d", len(gain)), dots(first, draw.CircleGlyph{}, 2.2))
		p.Legend.Add(fmt.Sprintf("lose: %d", len(lose)), dots(second, draw.BoxGlyph{}, 2))
		p.Draw(c)
	}
	return d
}

// decade is the decimal logarithm of a probability, limited to -12, which is below that of every prompt of interest.
func decade(p float64) float64 { return math.Max(-12, math.Log10(p)) }

// decades labels decimal logarithms of probabilities.
type decades struct{}

func (decades) Ticks(low, high float64) []plot.Tick {
	every := math.Max(1, math.Ceil((high-low)/7))
	var out []plot.Tick
	for e := 0.0; e >= low; e -= every {
		label := fmt.Sprintf("1e%g", e)
		if e >= -4 {
			label = fmt.Sprintf("%.*f", int(-e), math.Pow(10, e))
		}
		out = append(out, plot.Tick{Value: e, Label: label})
	}
	slices.Reverse(out)
	return out
}
