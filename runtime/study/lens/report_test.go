package lens

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const hostile = `</td></script><!--<script>alert("x")</script>&"'`

// hostileReport has two prompts, one layer of two heads, and markup wherever a text may be.
func hostileReport() *Report {
	e := &Entity{Text: hostile, Tokens: []EntityToken{{hostile, 7, true, 3}, {"x", 8, false, 1}}}
	view := func(logp float64, rank int) View {
		head := func(h int) Head {
			return Head{Layer: 4, Head: h, Size: 1, Top: []Token{{hostile, 7, 2, -1}, {"y", 1, 1, -2}},
				Entity: &Mark{Rank: rank, LogP: logp, Tokens: []MarkedToken{{Token{hostile, 7, 2, -1}, rank}, {Token{"x", 8, -3, -6}, 40}}}}
		}
		return View{Prompt: hostile, Tokens: []int64{1, 2}, Heads: []Head{head(0), head(1)}}
	}
	return &Report{Model: hostile, Norm: NormRaw, Layers: []int{4}, PerRow: 2, Vocab: 50, Top: 2, Entity: e,
		Views: []View{view(-1, 0), view(-3, 9)}, Difference: []float64{2, -2}}
}

// withoutScripts takes the scripts of lens and their data out of a page, and checks that its policy allows these scripts alone.
func withoutScripts(t *testing.T, page string) (rest string, d scriptData) {
	t.Helper()
	if head, _, _ := strings.Cut(page, "<style>"); !strings.Contains(html.UnescapeString(head), `content="`+scripts.Policy()+`"`) {
		t.Error("the page does not begin with the policy")
	}
	for _, s := range scripts {
		before, after, ok := strings.Cut(page, "<script>"+string(s)+"</script>\n")
		if !ok {
			t.Fatalf("the page does not have the script %.40q", s)
		}
		page = before + after
	}
	before, after, _ := strings.Cut(page, `<script type="application/json" id="data">`)
	text, after, ok := strings.Cut(after, "</script>\n")
	if err := json.Unmarshal([]byte(text), &d); !ok || err != nil || strings.Contains(text, "<") {
		t.Fatalf("the data of the page: %v, %.300s", err, text)
	}
	return before + after, d
}

// A page has the pairs of a survey with their numbers; of many pairs some, spread over the data.
func TestSurveyData(t *testing.T) {
	s := &Survey{Pairs: 3, Among: 5, Heads: make([]Count, 50_000)}
	for i := range 3 {
		out := make([]Outcome, len(s.Heads))
		out[1] = Outcome{i, 7, -float64(i), -9.5}
		s.Outcomes, s.Asked = append(s.Outcomes, out), append(s.Asked, Pair{hostile, hostile, fmt.Sprint("e", i)})
	}
	var b bytes.Buffer
	if err := s.WriteHTML(&b, "x"); err != nil {
		t.Fatal(err)
	}
	_, page := withoutScripts(t, b.String())
	d := page.Survey
	if diff := cmp.Diff([]pairData{{0, hostile, "e0"}, {1, hostile, "e1"}}, d.Pairs); diff != "" || d.All != 3 {
		t.Errorf("of %d: %s", d.All, diff)
	}
	if at := 2 * (50_000 + 1); d.Ranks[at] != 1 || d.Ranks[at+1] != 7 || len(d.Ranks) != 200_000 {
		t.Errorf("%d ranks, %v", len(d.Ranks), d.Ranks[at:at+2])
	}
	if math.Abs(float64(d.Two.Unit)*math.MaxInt16-9.5) > 1e-3 {
		t.Errorf("unit %g", d.Two.Unit)
	}
}

// Pages hold what was measured, load nothing, run nothing of a text, and show every text as text.
func TestHTML(t *testing.T) {
	r := hostileReport()
	bare := hostileReport()
	bare.Entity, bare.Difference, bare.Views = nil, nil, bare.Views[:1]
	bare.Views[0].Heads[0].Entity, bare.Views[0].Heads[1].Entity = nil, nil
	s := &Survey{Model: hostile, Norm: NormTL, Pairs: 9, Among: 5, Heads: []Count{{Layer: 2, OneHop: 7, TwoHop: 1, OnlyOneHop: 6, Difference: 6}, {Layer: 2, Head: 1, TwoHop: 4, Difference: -4}},
		FirstTokens: 3, Commonest: Commonest{hostile, 7, 4}}
	for name, tt := range map[string]struct {
		write func(io.Writer) error
		want  []string
	}{
		"two prompts": {r.WriteHTML, []string{"head 4.1", ">&#43;2.0<", ">-2.0", "--s:100", "rank 0 and 9", "the first of 3 tokens, with a space in front", `class="token hit"`}},
		"one prompt":  {bare.WriteHTML, []string{"head 4.0", "0.3679"}},
		"a survey":    {func(w io.Writer) error { return s.WriteHTML(w, hostile) }, []string{">&#43;6<", ">-4<", "--s:14", "--s:57", "--s:67", "9 pairs", "3 different first tokens", `<td class="n">2.0<td class="n">&#43;0.000<td class="n">7<td class="n">1<td class="n">6<td class="n">6<td class="n">0`}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.write(&b); err != nil {
				t.Fatal(err)
			}
			html, _ := withoutScripts(t, b.String())
			for _, want := range tt.want {
				if !strings.Contains(html, want) {
					t.Errorf("%q is missing", want)
				}
			}
			for _, never := range []string{"<script", "http:", "https:", " src=", " href=", "url(", "@import", "ZgotmplZ", "%!"} {
				if strings.Contains(html, never) {
					t.Errorf("%q is there", never)
				}
			}
			if !strings.Contains(html, "&lt;script&gt;") {
				t.Error("the hostile text is nowhere")
			}
			if n := len(regexp.MustCompile(`<(script|img|link|iframe|object|form|a)[ >]`).FindAllString(html, -1)); n > 0 {
				t.Errorf("%d elements that act", n)
			}
		})
	}
}

func TestReportCSV(t *testing.T) {
	r := hostileReport()
	r.Views[0].Heads = r.Views[0].Heads[:1]
	r.Views = r.Views[:1]
	var b bytes.Buffer
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"prompt", "layer", "head", "rank", "id", "token", "logit", "logp", "entity"},
		{"0", "4", "0", "0", "7", hostile, "2", "-1", "space"},
		{"0", "4", "0", "1", "1", "y", "1", "-2", ""},
		{"0", "4", "0", "40", "8", "x", "-3", "-6", "bare"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSigned(t *testing.T) {
	for _, tt := range []struct {
		x, largest float64
		want       string
	}{{0.0123, 0.05, "+0.012"}, {-0.5, 1.5, "-0.50"}, {-3.14, 7, "-3.1"}} {
		if got := Signed(tt.x, tt.largest); got != tt.want {
			t.Errorf("Signed(%v, %v) = %q, want %q", tt.x, tt.largest, got, tt.want)
		}
	}
}

// An entity counts with a space in front and without one, however it is written.
func TestEntity(t *testing.T) {
	l := openDemo(t, Options{Norm: NormRaw})
	want := []EntityToken{{" Peru", 0, true, 1}, {"Peru", 0, false, 1}}
	for _, text := range []string{"Peru", " Peru", "  Peru"} {
		e, err := l.Entity(text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range e.Tokens {
			if !e.Has(e.Tokens[i].ID) || e.Tokens[i].ID == 0 {
				t.Errorf("%q: token %+v", text, e.Tokens[i])
			}
			e.Tokens[i].ID = 0
		}
		if diff := cmp.Diff(want, e.Tokens); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for _, text := range []string{"", "  "} {
		if _, err := l.Entity(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if _, err := l.Look(t.Context(), []Query{{Prompt: "a"}, {"b", &Entity{}}}, 1); err == nil {
		t.Error("an entity for one query alone was taken")
	}
}
