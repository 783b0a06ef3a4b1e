package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"

	"github.com/jedib0t/go-pretty/v6/table"
	align "github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// printer writes results as text or JSON. All text is written as spans, which are escaped, so that nothing from a file reaches
// the terminal unescaped.
type printer struct {
	w      io.Writer
	colour bool
}

func newPrinter(app *cli.App) *printer {
	return &printer{app.Writer, processOf(app).colour && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// span is a piece of text in one style.
type span struct {
	text  string
	style string // parameters of the terminal's SGR sequence, "" for plain
}

// The styles of important, secondary, wrong and new text.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "1;32"
)

func text(format string, args ...any) span { return span{fmt.Sprintf(format, args...), ""} }

func styled(style, format string, args ...any) span { return span{fmt.Sprintf(format, args...), style} }

// render escapes a span and adds its style if colours are enabled.
func (p *printer) render(s span) string {
	t := escape(s.text)
	if s.style == "" || !p.colour || t == "" {
		return t
	}
	return "\x1b[" + s.style + "m" + t + "\x1b[0m"
}

// line prints spans on one line.
func (p *printer) line(spans ...span) {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(p.render(s))
	}
	fmt.Fprintln(p.w, strings.TrimRight(b.String(), " "))
}

// table prints rows in aligned columns, each preceded by two spaces. right lists the columns that are aligned to the right.
func (p *printer) table(rows [][]span, right ...int) {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "  ", ""
	t.SuppressTrailingSpaces()
	var configs []table.ColumnConfig
	for _, n := range right {
		configs = append(configs, table.ColumnConfig{Number: n + 1, Align: align.AlignRight})
	}
	t.SetColumnConfigs(configs)
	for _, r := range rows {
		row := make(table.Row, len(r))
		for i, s := range r {
			row[i] = p.render(s)
		}
		t.AppendRow(row)
	}
	if len(rows) > 0 {
		fmt.Fprintln(p.w, t.Render())
	}
}

// json prints one document. Characters that would control a terminal are written as equivalent \u escapes.
func (p *printer) json(v any) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range b.String() {
		if r == '\n' || !hidden(r) {
			out.WriteRune(r)
			continue
		}
		for _, u := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, u)
		}
	}
	_, err := io.WriteString(p.w, out.String())
	return err
}

// number is a float that is null in JSON if it is not finite.
type number = stats.Number

// size writes a number of bytes with a unit.
func size(n int64) string {
	const unit = 1000
	f := float64(n)
	for _, u := range []string{"bytes", "kB", "MB", "GB"} {
		if f < unit {
			if u == "bytes" {
				return fmt.Sprintf("%d bytes", n)
			}
			return fmt.Sprintf("%.3g %s", f, u)
		}
		f /= unit
	}
	return fmt.Sprintf("%.3g TB", f)
}

// layerList writes sorted layers in the form that --layers takes: "0-3,7".
func layerList(layers []int) string {
	var parts []string
	for i := 0; i < len(layers); {
		j := i
		for j+1 < len(layers) && layers[j+1] == layers[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(layers[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", layers[i], layers[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
