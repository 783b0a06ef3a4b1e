package lens

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"sync"

	"github.com/onnx-inject/onnx-inject/runtime/study/webpage"
)

// The page is one file that works offline: no font and no picture from anywhere, no script that its policy does not name.
// html/template escapes every text, in the data of the scripts too.
//
//go:embed page.html
var pageText string

//go:embed page.js
var pageScript template.JS

var scripts = webpage.Scripts{webpage.Common, pageScript}

var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageText)) })

// pageData is what page.html shows.
type pageData struct {
	Title  string
	Facts  []fact
	Absent []Absent
	Views  []viewPage
	Maps   []heatMap
	Counts []Count
	Among  int
	Layers []layerTables
	Least  float64 // the smallest weight of a pattern that is shown

	Policy  string
	Style   template.CSS
	Scripts webpage.Scripts
	Data    scriptData
}

// scriptData is what the scripts of the page read, as JSON.
type scriptData struct {
	Least    float64       `json:"least"`
	Pieces   [][]string    `json:"pieces,omitempty"` // by prompt, quoted
	Patterns []patternData `json:"patterns,omitempty"`
	Survey   *surveyData   `json:"survey,omitempty"`
}

// write makes the page.
func (d pageData) write(w io.Writer) error {
	d.Policy, d.Style, d.Scripts, d.Least, d.Data.Least = scripts.Policy(), webpage.Style, scripts, leastShown, leastShown
	return page().Execute(w, d)
}

type fact struct{ Name, Value, Note string }

// heatMap is a table [layer][head] of numbers. Colours go from Low over nothing to High.
type heatMap struct {
	Title, Note string
	Columns     []string
	Rows        []heatRow
	Low, High   string // what the ends of the scale mean; Low is empty where there is no negative side
}

type heatRow struct {
	Name  string // the layer
	Cells []heatCell
}

// heatCell has a colour: side is "hi" or "lo", strength 0 to 100. "total" has none.
type heatCell struct {
	Text, Tip, Side string
	Head            string // the head that it is about, "" for none
	Strength        int
}

type layerTables struct {
	Layer int
	Heads []headTables
}

type headTables struct {
	ID    string // layer.head
	Name  string
	Views []tokenTable // one for each prompt
}

type tokenTable struct {
	Name  string
	Notes []string
	Rows  []tokenCell // likeliest first
}

type tokenCell struct {
	Token, P string
	Hit      bool
}

// WriteHTML writes a page with heat-maps of the entity and the top tokens of every head.
func (r *Report) WriteHTML(w io.Writer) error {
	d := pageData{Title: "What attention heads write: " + r.Model, Facts: r.facts(), Absent: r.Absent}
	heads := r.Views[0].Heads != nil
	if !heads {
		d.Title = "What a prompt leaves in " + r.Model
	}
	for i := range r.Views {
		d.Views = append(d.Views, r.viewPage(i, &d.Data))
	}
	if !heads {
		return d.write(w)
	}
	if r.Entity != nil {
		for i, v := range r.Views {
			d.Maps = append(d.Maps, r.rankMap(viewNames[i], v))
		}
		if r.Difference != nil {
			d.Maps = append(d.Maps, r.differenceMap())
		}
	}
	for i, layer := range r.Layers {
		t := layerTables{Layer: layer}
		for k := i * r.PerRow; k < (i+1)*r.PerRow; k++ {
			t.Heads = append(t.Heads, r.headTables(k))
		}
		d.Layers = append(d.Layers, t)
	}
	return d.write(w)
}

// viewNames are what the prompts are called, as on the command line.
var viewNames = []string{"prompt", "against"}

func (r *Report) facts() []fact {
	bos := "the beginning-of-text token in front"
	if !r.BOS {
		bos = "no beginning-of-text token in front"
	}
	var out []fact
	for i, v := range r.Views {
		out = append(out, fact{viewNames[i], fmt.Sprintf("%q", v.Prompt), fmt.Sprintf("%d tokens, %s", len(v.Tokens), bos)})
	}
	if r.Views[0].Heads != nil {
		out = append(out, fact{"norm", string(r.Norm), r.Norm.Doc()})
	}
	if r.Entity != nil {
		for _, t := range r.Entity.Tokens {
			out = append(out, fact{"entity", fmt.Sprintf("%q", t.Token), t.Doc()})
		}
	}
	return out
}

// Doc says how the entity has the token.
func (t EntityToken) Doc() string {
	form := "without a space in front"
	if t.Space {
		form = "with a space in front"
	}
	if t.Of > 1 {
		form = fmt.Sprintf("the first of %d tokens, %s", t.Of, form)
	}
	return form
}

// grid makes a heat-map; cell gives the number at an index of a view's heads, its text and its tip. Numbers as far from 0
// as largest have the full colour.
func grid(layers []int, heads int, largest float64, cell func(k int) (x float64, text, tip string)) []heatRow {
	var rows []heatRow
	for i, layer := range layers {
		row := heatRow{Name: strconv.Itoa(layer)}
		for h := range heads {
			x, text, tip := cell(i*heads + h)
			c := heatOf(x, largest, text, fmt.Sprintf("layer %d, head %d: %s", layer, h, tip))
			c.Head = HeadAt{layer, h}.String()
			row.Cells = append(row.Cells, c)
		}
		rows = append(rows, row)
	}
	return rows
}

// heatOf colours a number; one as far from 0 as largest has the full colour.
func heatOf(x, largest float64, text, tip string) heatCell {
	c := heatCell{Text: text, Tip: tip, Side: "hi"}
	if x < 0 {
		c.Side = "lo"
	}
	if largest > 0 {
		c.Strength = int(math.Round(100 * min(1, math.Abs(x)/largest)))
	}
	return c
}

// headColumns names the columns of a map of heads.
func headColumns(n int) []string {
	var out []string
	for _, h := range numbers(n) {
		out = append(out, fmt.Sprintf(".%d", h))
	}
	return out
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func (r *Report) rankMap(name string, v View) heatMap {
	return heatMap{
		Title:   "Rank of the entity: " + name,
		Note:    "Of all tokens; 0 is the head's likeliest. The scale is one of logarithms.",
		Columns: headColumns(r.PerRow), High: "rank 0",
		Rows: grid(r.Layers, r.PerRow, 1, func(k int) (float64, string, string) {
			m := v.Heads[k].Entity
			return 1 - math.Log1p(float64(m.Rank))/math.Log1p(float64(r.Vocab)), fmt.Sprint(m.Rank), fmt.Sprintf("rank %d, log p %.2f", m.Rank, m.LogP)
		}),
	}
}

func (r *Report) differenceMap() heatMap {
	largest := r.Largest()
	return heatMap{
		Title:   "Difference: prompt minus against",
		Note:    "Log-probability of the entity under each head, in nats.",
		Columns: headColumns(r.PerRow), Low: "likelier in against", High: "likelier in prompt",
		Rows: grid(r.Layers, r.PerRow, largest, func(k int) (float64, string, string) {
			a, b := r.Views[0].Heads[k].Entity, r.Views[1].Heads[k].Entity
			return r.Difference[k], Signed(r.Difference[k], largest),
				fmt.Sprintf("log p %.2f and %.2f, rank %d and %d", a.LogP, b.LogP, a.Rank, b.Rank)
		}),
	}
}

// headTables puts the top tokens of a head for all prompts side by side.
func (r *Report) headTables(k int) headTables {
	first := r.Views[0].Heads[k]
	id := HeadAt{first.Layer, first.Head}.String()
	t := headTables{ID: id, Name: "head " + id}
	for i, v := range r.Views {
		h := v.Heads[k]
		x := tokenTable{Name: viewNames[i], Notes: []string{fmt.Sprintf("size %.3g", h.Size)}}
		if h.Entity != nil {
			x.Notes = append(x.Notes, fmt.Sprintf("entity: rank %d", h.Entity.Rank))
		}
		for _, tok := range h.Top {
			x.Rows = append(x.Rows, tokenCell{fmt.Sprintf("%q", tok.Token), probability(math.Exp(tok.LogP)), r.Entity.Has(tok.ID)})
		}
		t.Views = append(t.Views, x)
	}
	return t
}

// WriteHTML writes a page with heat-maps of the counts and a table of the heads, those first that name the entity most
// often for one-hop prompts alone. data names the file of the prompts.
func (s *Survey) WriteHTML(w io.Writer, data string) error {
	d := pageData{Title: "Heads that name the missing hop: " + s.Model, Among: s.Among, Counts: s.Ranked()}
	d.Facts = []fact{
		{"data", data, fmt.Sprintf("%d pairs of prompts", s.Pairs)},
		{"norm", string(s.Norm), s.Norm.Doc()},
		{"named", fmt.Sprintf("among the %d likeliest tokens of a head", s.Among), "the entity's first token, with or without a space in front"},
	}
	if s.Commonest.Pairs > 1 {
		d.Facts = append(d.Facts, fact{"entities", fmt.Sprintf("%d different first tokens", s.FirstTokens), fmt.Sprintf("the commonest, %q, of %d pairs", s.Commonest.Token, s.Commonest.Pairs)})
	}
	layers, heads := s.shape()
	most, widest := 0.0, 0.0 // the first two maps share a scale
	for _, c := range s.Heads {
		most, widest = max(most, float64(c.OneHop), float64(c.TwoHop)), max(widest, math.Abs(float64(c.Difference)))
	}
	counts := func(title string, largest float64, form string, n func(Count) int) heatMap {
		return heatMap{Title: title, Columns: headColumns(heads), High: "most often", Rows: grid(layers, heads, largest, func(k int) (float64, string, string) {
			c := s.Heads[k]
			return float64(n(c)), fmt.Sprintf(form, n(c)), fmt.Sprintf("named for %d one-hop and %d two-hop prompts", c.OneHop, c.TwoHop)
		})}
	}
	difference := counts("Difference: one hop minus two hops", widest, "%+d", func(c Count) int { return c.Difference })
	difference.Low, difference.High = "more two-hop prompts", "more one-hop prompts"
	d.Maps = []heatMap{
		counts("One-hop prompts whose entity the head names", most, "%d", func(c Count) int { return c.OneHop }),
		counts("Two-hop prompts whose entity the head names", most, "%d", func(c Count) int { return c.TwoHop }),
		difference,
	}
	d.Data.Survey = s.data()
	return d.write(w)
}

// probability writes p with three digits that count.
func probability(p float64) string {
	if p >= 0.001 {
		return fmt.Sprintf("%.4f", p)
	}
	return fmt.Sprintf("%.2e", p)
}
