package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Picture is one drawing of a report as files.
type Picture struct {
	Name  string // base name of its files, without folder and extension: "2-curated-map-log-odds"
	Title string
	PNG   []byte // 192 dots per inch, white background
	SVG   []byte // white background; fonts by name
}

// drawing is a picture that can be drawn on any canvas.
type drawing struct {
	name          string
	title         string
	read          []string // sentences below it: how to read it, and cautions
	width, height vg.Length
	draw          func(draw.Canvas)
	percent       bool     // its numbers are in percent
	table         *numbers // its numbers; nil when another table has them
	chart         *chart   // the same as a chart that scripts draw; nil when the page has none
}

// numbers is a table of texts.
type numbers struct {
	Head []string
	Rows [][]string
}

// dpi is the resolution of the PNGs: sharp on a page and on a high-resolution screen.
const dpi = 192

// picture draws the files.
func (d *drawing) picture() (Picture, error) {
	p := Picture{Name: d.name, Title: strings.ReplaceAll(d.title, "\n", ", ")}
	img := vgimg.NewWith(vgimg.UseWH(d.width, d.height), vgimg.UseDPI(dpi))
	d.paint(draw.New(img))
	var b bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(&b); err != nil {
		return p, fmt.Errorf("draw %s: %w", d.name, err)
	}
	p.PNG = b.Bytes()
	svg, err := d.vector()
	p.SVG = []byte(svg)
	return p, err
}

// paint draws on a white background, with a margin.
func (d *drawing) paint(c draw.Canvas) {
	c.SetColor(paper.light)
	c.Fill(c.Rectangle.Path())
	d.draw(draw.Crop(c, margin, -margin, margin, -margin))
}

const margin vg.Length = 6

// headline is the title of a plot, with its second line cut to fit into width.
func (d *drawing) headline(width vg.Length) string {
	first, second, two := strings.Cut(d.title, "\n")
	if !two {
		return first
	}
	return first + "\n" + cut(second, int(width/5.6))
}

// vector returns the SVG in gonum's form.
func (d *drawing) vector() (string, error) {
	c := vgsvg.New(d.width, d.height)
	d.paint(draw.New(c))
	var b strings.Builder
	if _, err := c.WriteTo(&b); err != nil {
		return "", fmt.Errorf("draw %s: %w", d.name, err)
	}
	return text().ReplaceAllStringFunc(b.String(), fitted), nil
}

// text matches one text of an SVG by gonum.
var text = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)<text ([^>]*)font-family:Liberation Sans;([^>]*)font-size:([0-9.]+)px([^>]*)>([^<]*)</text>`)
})

// fitted gives every text the width of Liberation Sans, by which gonum placed it, whatever font a viewer uses. Arial and
// Helvetica have the same widths.
func fitted(svg string) string {
	m := text().FindStringSubmatch(svg)
	size, err := strconv.ParseFloat(m[3], 64)
	if err != nil || m[5] == "" {
		return svg
	}
	face := font.DefaultCache.Lookup(sans, font.Length(size))
	width := face.Width(html.UnescapeString(m[5]))
	return fmt.Sprintf(`<text textLength="%.1f" lengthAdjust="spacingAndGlyphs" %sfont-family:Liberation Sans,Arial,Helvetica,sans-serif;%sfont-size:%spx%s>%s</text>`,
		width.Points(), m[1], m[2], m[3], m[4], m[5])
}

// inline returns the SVG for a page: colours by role, no references to other places.
func (d *drawing) inline() (template.HTML, error) {
	svg, err := d.vector()
	if err != nil {
		return "", err
	}
	_, body, ok := strings.Cut(svg, "xlink\">\n")
	body, ok2 := strings.CutSuffix(strings.TrimSpace(body), "</svg>")
	if !ok || !ok2 {
		return "", fmt.Errorf("draw %s: the SVG does not have gonum's form", d.name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg width="%gpt" viewBox="0 0 %[1]g %[2]g" role="img" aria-label="%[3]s">`+"\n", d.width.Points(), d.height.Points(),
		template.HTMLEscapeString(strings.ReplaceAll(d.title, "\n", ", ")))
	b.WriteString(themed().Replace(body))
	b.WriteString("</svg>")
	return template.HTML(b.String()), nil // gonum escapes the texts it draws, and the title is escaped above
}
