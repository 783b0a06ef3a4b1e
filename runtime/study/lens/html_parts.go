package lens

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/runtime/study/webpage"
)

// viewPage is what the page shows of one prompt besides its heads.
type viewPage struct {
	Name        string // "" for the only prompt
	Stream      *streamTable
	Attribution *attributionTable
	Patterns    []patternPicture
}

// streamTable is a table [layer][position] of likeliest tokens.
type streamTable struct {
	Head []string // pieces of the prompt
	Rows []streamLine
}

type streamLine struct {
	Name  string
	Cells []streamCell
}

type streamCell struct {
	Token, P, Tip string
	Hit           bool // it is the answer
	Strength      int  // 0 to 100
}

// attributionTable is a heat-map of the parts, with those that belong to no layer above and below.
type attributionTable struct {
	Answer fact
	Map    heatMap
}

// viewPage arranges the parts of a view, and gives the scripts its patterns.
func (r *Report) viewPage(i int, d *scriptData) viewPage {
	v := &r.Views[i]
	p := viewPage{}
	if len(r.Views) > 1 {
		p.Name = viewNames[i]
	}
	if v.Stream != nil {
		p.Stream = v.streamTable()
	}
	if v.Attribution != nil {
		p.Attribution = v.Attribution.table(r.PerRow)
	}
	if v.Patterns != nil {
		d.Pieces = append(d.Pieces, quoted(v.Pieces))
	}
	for k := range v.Patterns {
		x := v.Patterns[k].picture(p.Name, v.Pieces)
		p.Patterns = append(p.Patterns, x)
		d.Patterns = append(d.Patterns, patternData{len(d.Pieces) - 1, x.Left, x.Top, x.Size, v.Patterns[k].sparse()})
	}
	return p
}

func quoted(pieces []string) []string {
	var out []string
	for _, x := range pieces {
		out = append(out, fmt.Sprintf("%q", x))
	}
	return out
}

func (v *View) streamTable() *streamTable {
	t := &streamTable{}
	t.Head = quoted(v.Pieces)
	for _, row := range v.Stream.Rows {
		line := streamLine{Name: row.Name()}
		for pos, c := range row.Cells {
			top := c.Top[0]
			cell := streamCell{Token: fmt.Sprintf("%q", top.Token), P: fmt.Sprintf("%.3f", math.Exp(top.LogP)), Strength: int(math.Round(100 * math.Exp(top.LogP)))}
			var tip strings.Builder
			fmt.Fprintf(&tip, "%s at position %d, %q", row.Hook, pos, v.Pieces[pos])
			for rank, x := range c.Top[:min(len(c.Top), 5)] {
				fmt.Fprintf(&tip, "\n%d  %s  %q", rank, probability(math.Exp(x.LogP)), x.Token)
			}
			if a := c.Answer; a != nil {
				cell.Hit = a.ID == top.ID
				fmt.Fprintf(&tip, "\nanswer %q: rank %d, p %s", a.Token.Token, a.Rank, probability(math.Exp(a.LogP)))
			}
			cell.Tip = tip.String()
			line.Cells = append(line.Cells, cell)
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

func (a *Attribution) table(heads int) *attributionTable {
	t := a.Table(heads)
	largest := a.Largest()
	out := &attributionTable{
		Answer: fact{"answer", fmt.Sprintf("%q", a.Answer.Token), fmt.Sprintf("logit %.3f, p %s, rank %d", a.Answer.Logit, strings.ReplaceAll(probability(math.Exp(a.Answer.LogP)), "-", "\u2011"), a.Rank)}, // a line may end at an ordinary hyphen
		Map:    heatMap{Columns: t.Columns, Low: "lowers the logit", High: "raises it"},
	}
	alone := func(name string, x float64, doc string) {
		row := heatRow{Name: name, Cells: make([]heatCell, len(t.Columns))}
		row.Cells[len(t.Columns)-1] = heatCell{Text: Signed(x, largest), Tip: fmt.Sprintf("%s: %+.4f", doc, x), Side: "total"}
		out.Map.Rows = append(out.Map.Rows, row)
	}
	for _, c := range a.Parts {
		if c.Kind == PartEmbed {
			alone(string(c.Kind), c.Logit, partDocs[c.Kind])
		}
	}
	for layer, line := range t.Rows {
		row := heatRow{Name: strconv.Itoa(layer)}
		for k, x := range line {
			name := fmt.Sprintf("%s of layer %d", t.Columns[k], layer)
			switch {
			case k < heads:
				name = "head " + HeadAt{layer, k}.String()
			case k == len(line)-1:
				name = fmt.Sprintf("all of layer %d", layer)
			}
			c := heatOf(x, largest, Signed(x, largest), fmt.Sprintf("%s: %+.4f", name, x))
			if k < heads {
				c.Head = HeadAt{layer, k}.String()
			}
			row.Cells = append(row.Cells, c)
		}
		row.Cells[len(row.Cells)-1].Side = "total"
		out.Map.Rows = append(out.Map.Rows, row)
	}
	for _, c := range a.Parts {
		if c.Layer < 0 && c.Kind != PartEmbed {
			alone(string(c.Kind), c.Logit, partDocs[c.Kind])
		}
	}
	alone("sum", a.Sum, "all parts")
	return out
}

// partDocs describe the parts that belong to no layer.
var partDocs = map[ComponentKind]string{
	PartEmbed:    "what enters layer 0",
	PartBaked:    "memories that are stored in the file",
	PartConstant: "biases of the final norm and of the unembedding",
}

// patternPicture is a heat-map [query][key] as SVG.
type patternPicture struct {
	Title         string
	Width, Height int
	Left, Top     int // where the map begins
	Side          int // of the map
	Size          int // of a cell
	Under         string
	Rows, Columns []patternLabel
	Cells         []patternCell
}

type patternLabel struct {
	Text string
	At   float64
}

// patternCell is one weight. Positions that are hardly read have none.
type patternCell struct {
	X, Y, Size int
	Opacity    string
}

// patternData is a pattern for the scripts, and where its picture has it.
type patternData struct {
	Pieces int                `json:"pieces"` // position in scriptData.Pieces
	Left   int                `json:"left"`
	Top    int                `json:"top"`
	Size   int                `json:"size"`
	Rows   [][]webpage.Digits `json:"rows"` // by query: key, weight, key, weight, …
}

// sparse lists the weights that are shown.
func (p *Pattern) sparse() [][]webpage.Digits {
	out := make([][]webpage.Digits, len(p.Weights))
	for q, row := range p.Weights {
		out[q] = []webpage.Digits{}
		for k, w := range row {
			if w >= leastShown {
				out[q] = append(out[q], webpage.Digits(k), webpage.Digits(math.Round(1e4*float64(w))/1e4))
			}
		}
	}
	return out
}

const (
	leastShown  = 0.005 // a smaller weight is not drawn: a row has at most 200 others, whatever the length of the prompt
	labelLength = 16    // characters of a piece
	labelSize   = 12    // pixels that a label needs
	letter      = 7     // pixels of a character of a label
)

// picture draws a pattern. name is that of the prompt.
func (p *Pattern) picture(name string, pieces []string) patternPicture {
	n := len(pieces)
	size := 6
	switch {
	case n <= 20:
		size = 22
	case n <= 96:
		size = 14
	}
	out := patternPicture{Title: "head " + p.HeadAt.String(), Side: n * size, Size: size}
	if name != "" {
		out.Title += ", " + name
	}
	labels, longest := make([]string, n), 0
	for i, x := range quoted(pieces) {
		labels[i] = shortened(x)
		longest = max(longest, utf8.RuneCountInString(labels[i]))
	}
	room := longest*letter + 8
	out.Left, out.Top = room, room
	out.Width, out.Height = room+out.Side+2, room+out.Side+2
	every := (labelSize + size - 1) / size
	for i := 0; i < n; i += every {
		at := (float64(i) + 0.5) * float64(size)
		out.Rows = append(out.Rows, patternLabel{labels[i], float64(out.Top) + at + 4})
		out.Columns = append(out.Columns, patternLabel{labels[i], float64(out.Left) + at + 4})
	}
	var under strings.Builder // the places that a causal model can read
	fmt.Fprintf(&under, "M%d %d", out.Left, out.Top)
	for range n {
		fmt.Fprintf(&under, "h%dv%d", size, size)
	}
	out.Under = under.String() + fmt.Sprintf("H%dZ", out.Left)
	for q, row := range p.Weights {
		for k, w := range row {
			if w >= leastShown {
				out.Cells = append(out.Cells, patternCell{out.Left + k*size, out.Top + q*size, size, fmt.Sprintf("%.3f", min(w, 1))})
			}
		}
	}
	return out
}

// shortened cuts a label to the length that has room.
func shortened(s string) string {
	if r := []rune(s); len(r) > labelLength {
		return string(r[:labelLength-1]) + "…"
	}
	return s
}
