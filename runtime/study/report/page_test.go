package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// elements parses a page as HTML and returns the names of its elements, all attributes and all text.
func elements(t *testing.T, page string) (names []string, attributes []xml.Attr, text string) {
	t.Helper()
	page, _ = withoutScripts(t, page)
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!doctype html>")))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var open []string
	var b strings.Builder
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page does not parse: %v", err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			names, attributes, open = append(names, x.Name.Local), append(attributes, x.Attr...), append(open, x.Name.Local)
		case xml.EndElement:
			if open[len(open)-1] != x.Name.Local {
				t.Fatalf("<%s> ends as </%s>", open[len(open)-1], x.Name.Local)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			b.Write(x)
		}
	}
	if len(open) != 0 {
		t.Fatalf("%v are not closed", open)
	}
	return names, attributes, b.String()
}

// withoutScripts takes the scripts of the report out of a page, and its data. No other text may be in their place.
func withoutScripts(t *testing.T, page string) (rest string, found data) {
	t.Helper()
	for _, s := range scripts {
		before, after, ok := strings.Cut(page, "<script>"+string(s)+"</script>\n")
		if !ok {
			if !strings.Contains(page, "<script") {
				return page, found // a picture
			}
			t.Fatalf("the page does not have the script %.40q", s)
		}
		page = before + after
	}
	before, after, _ := strings.Cut(page, `<script type="application/json" id="data">`)
	text, after, ok := strings.Cut(after, "</script>\n")
	if err := json.Unmarshal([]byte(text), &found); !ok || err != nil {
		t.Fatalf("the page has no data: %v", err)
	}
	for _, bad := range []string{"<", "\u2028"} {
		if strings.Contains(text, bad) {
			t.Errorf("the data contains %q", bad)
		}
	}
	return before + after, found
}

// A page is self-contained: it has no links except to its own sections, no script that its policy does not name, and no address.
func TestPageAsksForNothing(t *testing.T) {
	page := render(t, []*results.Run{columned(usual), made(usual)}, Options{Tool: "test", By: "relation"})
	if !strings.HasPrefix(page, Marker) {
		t.Errorf("the page begins with %.80q", page)
	}
	names, attributes, text := elements(t, page)
	for _, name := range []string{"script", "img", "iframe", "object", "embed", "image", "use", "foreignObject", "form", "base", "audio", "video"} {
		if slices.Contains(names, name) {
			t.Errorf("the page has a <%s>", name)
		}
	}
	ids := map[string]bool{}
	for _, a := range attributes {
		if a.Name.Local == "id" {
			if ids[a.Value] {
				t.Errorf("two elements have the id %q", a.Value)
			}
			ids[a.Value] = true
		}
	}
	for _, a := range attributes {
		switch name := strings.ToLower(a.Name.Local); {
		case name == "href":
			if section, ok := strings.CutPrefix(a.Value, "#"); a.Value != "data:," && (!ok || !ids[section]) {
				t.Errorf("href %q leads to nothing on the page", a.Value)
			}
		case name == "src", name == "action", name == "srcset", strings.HasPrefix(name, "on"):
			t.Errorf("attribute %s=%q", name, a.Value)
		}
	}
	rest, _ := withoutScripts(t, page)
	if bad := regexp.MustCompile(`(?i)https?:|//[a-z]|url\(|@import|xlink|xmlns`).FindString(rest); bad != "" {
		t.Errorf("the page contains %q", bad)
	}
	if i := slices.IndexFunc(attributes, func(a xml.Attr) bool { return a.Name.Local == "content" && a.Value == scripts.Policy() }); i < 0 || i > slices.IndexFunc(attributes, func(a xml.Attr) bool { return a.Value == "data:," }) {
		t.Error("the page does not begin with the content policy")
	}
	for _, bad := range []string{"NaN", "Inf", "%!", "ZgotmplZ", "<no value>", "<nil>", "0x"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
}

// Texts from models, files and data stay text everywhere.
func TestPageEscapes(t *testing.T) {
	const evil = `"><script>alert(1)</script><!--<img src=x onerror=y>'&{{.}} `
	run := made(usual)
	run.Dir = evil
	m := run.Manifest
	m.Model.Name, m.Data.Name, m.Tool, m.Plan.Reason, m.Host.Device, m.Encoding, m.Positions = evil, evil, evil, evil, evil, evil, evil
	m.Columns = []string{evil}
	for i := range m.Memories {
		m.Memories[i].Name += evil
		m.Memories[i].File = &results.File{Name: evil, SHA256: evil}
	}
	for i := range run.Prompts {
		run.Prompts[i].TwoHop, run.Prompts[i].Answer, run.Prompts[i].Further = evil+run.Prompts[i].TwoHop, evil, []string{evil + run.Prompts[i].Answer}
	}
	for i := range run.Cells {
		run.Cells[i].Source, run.Cells[i].Memory = run.Cells[i].Source+evil, evil
	}
	r, err := New([]*results.Run{run, run}, Options{
		Tool: evil, By: evil, Token: func(*results.Run, int64) string { return evil }, Findings: []Finding{{evil, evil, [][2]string{{evil, evil}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	html := write(t, r)
	_, found := withoutScripts(t, html)
	for _, s := range found.Series {
		if p := found.Runs[s.Run].Prompts[3]; p.Text != cut(run.Prompts[3].TwoHop, mostText) || p.Answer != evil || !strings.Contains(s.Memories[3], evil) {
			t.Errorf("the data of a prompt is %+v, %q", p, s.Memories[3])
		}
	}
	names, attributes, text := elements(t, html)
	if slices.Contains(names, "script") || slices.Contains(names, "img") {
		t.Error("texts became elements")
	}
	for _, a := range attributes {
		if strings.HasPrefix(a.Name.Local, "on") {
			t.Errorf("a text became the attribute %s", a.Name.Local)
		}
	}
	if n := strings.Count(text, evil); n < 20 {
		t.Errorf("the text appears only %d times on the page", n)
	}
	for _, d := range r.drawings {
		if strings.ContainsAny(d.name, `<>"/\ '`) {
			t.Errorf("picture %q", d.name)
		}
		svg, err := d.vector()
		if err != nil {
			t.Fatal(err)
		}
		if names, _, _ := elements(t, svg); slices.Contains(names, "script") {
			t.Errorf("%s: a text became an element", d.name)
		}
	}
}

// The same runs give the same bytes.
func TestDeterministic(t *testing.T) {
	once := render(t, []*results.Run{made(usual)}, Options{Tool: "test"})
	if again := render(t, []*results.Run{made(usual)}, Options{Tool: "test"}); again != once {
		t.Error("two pages of one run differ")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct {
		runs []*results.Run
		want string
	}{
		{nil, "report: no results to show"},
		{[]*results.Run{{}}, "report: run 0 has no manifest"},
	} {
		if _, err := New(tt.runs, Options{}); err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}
