package probe

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/onnx-inject/onnx-inject/runtime/study/webpage"
)

// The page is one file that works offline: no font and no picture from anywhere, no script that its policy does not name.
// html/template escapes every text.
//
//go:embed page.html
var pageText string

//go:embed page.js
var pageScript template.JS

var scripts = webpage.Scripts{webpage.Common, pageScript}

var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageText)) })

// pageData is what page.html shows.
type pageData struct {
	*Report
	Data    string
	Bars    []bar
	Scatter scatter
	Ordered []Row // by class, in each the largest gap first

	Policy  string
	Style   template.CSS
	Scripts webpage.Scripts
}

// bar is a class with its share of the prompts.
type bar struct {
	Count
	Style   string  // the name of its colour and shape
	Percent float64 // of all prompts
}

// scatter is a picture of the answer's log-probability after one hop, to the right, and after two hops, upward.
type scatter struct {
	Size, Left, Top int // of the square in which the points are, and its place
	Low             float64
	Ticks           []tick
	Points          []point
}

type tick struct {
	X, Y int
	Text string
}

type point struct {
	X, Y       float64
	Style, Tip string
}

// The size of the picture in CSS pixels, and the log-probability at its lower end at most: points below are drawn there.
const (
	pictureSize = 420
	lowest      = -12.0
)

// WriteHTML writes a page with the counts, a picture of all prompts and a table of them. data names the file of the prompts.
func (r *Report) WriteHTML(w io.Writer, data string) error {
	d := pageData{Report: r, Data: data, Scatter: r.scatter(), Ordered: slices.Clone(r.Rows),
		Policy: scripts.Policy(), Style: webpage.Style, Scripts: scripts}
	for i, c := range r.Classes {
		d.Bars = append(d.Bars, bar{c, fmt.Sprint("c", i), 100 * float64(c.Prompts) / float64(len(r.Rows))})
	}
	slices.SortStableFunc(d.Ordered, func(a, b Row) int {
		if x := order(a.Class) - order(b.Class); x != 0 {
			return x
		}
		switch {
		case a.Gap > b.Gap:
			return -1
		case a.Gap < b.Gap:
			return 1
		}
		return 0
	})
	return page().Execute(w, d)
}

// order returns the place of a class in the list.
func order(c Class) int {
	for i, x := range Classes {
		if x.Class == c {
			return i
		}
	}
	return len(Classes)
}

func (r *Report) scatter() scatter {
	s := scatter{Size: pictureSize, Left: 60, Top: 14, Low: -1}
	for _, x := range r.Rows {
		s.Low = min(s.Low, math.Floor(max(lowest, min(x.One.LogP, x.Two.LogP))))
	}
	place := func(logp float64) float64 { return float64(s.Size) * (1 - max(s.Low, logp)/s.Low) }
	for at := 0.0; at >= s.Low; at -= max(1, math.Round(-s.Low/6)) {
		s.Ticks = append(s.Ticks, tick{s.Left + int(place(at)), s.Top + s.Size - int(place(at)), fmt.Sprint(at)})
	}
	for _, x := range r.Rows {
		s.Points = append(s.Points, point{float64(s.Left) + place(x.One.LogP), float64(s.Top+s.Size) - place(x.Two.LogP), fmt.Sprint("c", order(x.Class)),
			fmt.Sprintf("%s: %q → %q; log p %.2f after two hops (rank %d), %.2f after one (rank %d)", x.Class, x.Prompt, x.Answer, x.Two.LogP, x.Two.Rank, x.One.LogP, x.One.Rank)})
	}
	return s
}

// Right, Bottom, Width and Height are the sizes of the whole picture.
func (s scatter) Right() int  { return s.Left + s.Size }
func (s scatter) Bottom() int { return s.Top + s.Size }
func (s scatter) Width() int  { return s.Right() + 20 }
func (s scatter) Height() int { return s.Bottom() + 50 }
func (s scatter) Middle() int { return s.Left + s.Size/2 }
func (s scatter) Centre() int { return s.Top + s.Size/2 }

// Shape returns the path of a point, one shape for each class, so that colours are not needed to tell them apart.
func (p point) Shape() template.HTMLAttr {
	x, y := p.X, p.Y
	var d string
	switch p.Style {
	case "c0": // a circle
		d = fmt.Sprintf("M%.1f %.1fa4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x-4, y)
	case "c1": // a square
		d = fmt.Sprintf("M%.1f %.1fh7v7h-7z", x-3.5, y-3.5)
	case "c2": // a triangle
		d = fmt.Sprintf("M%.1f %.1fl4.5 8h-9z", x, y-4.5)
	default: // a diamond
		d = fmt.Sprintf("M%.1f %.1fl5 5l-5 5l-5 -5z", x, y-5)
	}
	return template.HTMLAttr(`d="` + d + `"`) // numbers only
}

// Probability writes p with three digits that count.
func (s Score) Probability() string {
	if s.P >= 0.001 {
		return fmt.Sprintf("%.4f", s.P)
	}
	return fmt.Sprintf("%.2e", s.P)
}
