package lens

import (
	"bytes"
	"encoding/csv"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const hostile = `</td><script>alert("x")</script>&"'`

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

// Pages hold what was measured, load nothing, run nothing, and show every text as text.
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
		"a survey":    {func(w io.Writer) error { return s.WriteHTML(w, hostile) }, []string{">&#43;6<", ">-4<", "--s:14", "--s:57", "--s:67", "9 pairs", "3 different first tokens", "<td>2.0<td>7<td>1<td>6<td>6<td>0<td>&#43;0.000"}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.write(&b); err != nil {
				t.Fatal(err)
			}
			html := b.String()
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
