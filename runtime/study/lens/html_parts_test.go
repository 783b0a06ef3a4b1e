package lens

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/runtime/study/webpage"
)

// withParts gives a hostile report one view with every part.
func withParts() *Report {
	r := hostileReport()
	v := &r.Views[0]
	r.Views, r.Difference = r.Views[:1], nil
	v.Pieces = []string{hostile, "b"}
	token := Token{hostile, 7, 3, math.Log(0.25)}
	cell := StreamCell{Top: []Token{token, {"y", 1, 1, math.Log(0.125)}}, Answer: &MarkedToken{token, 0}}
	row := StreamRow{"blocks.0.hook_resid_pre", -1, []StreamCell{cell, cell}}
	v.Stream = &Stream{[]StreamRow{row, {"blocks.0.hook_resid_post", 0, row.Cells}}}
	v.Attribution = &Attribution{Answer: token, Rank: 4, Sum: 3, Parts: []Component{{PartEmbed, -1, -1, 0.5}, {PartHead, 0, 0, 2}, {PartHead, 0, 1, -1}, {PartMLP, 0, -1, 1}, {PartConstant, -1, -1, 0.5}}}
	v.Patterns = []Pattern{{HeadAt{0, 1}, [][]float32{{1, 0}, {0.75, 0.25}}}}
	r.Absent = []Absent{{"patterns", hostile}}
	return r
}

// The page shows every part with its numbers, and texts of the prompt as texts.
func TestHTMLParts(t *testing.T) {
	r := withParts()
	for _, heads := range []bool{true, false} {
		if !heads {
			r.Views[0].Heads = nil
		}
		var b bytes.Buffer
		if err := r.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		html, d := withoutScripts(t, b.String())
		want := scriptData{Least: leastShown, Pieces: [][]string{{fmt.Sprintf("%q", hostile), `"b"`}}, Patterns: []patternData{{0, d.Patterns[0].Left, d.Patterns[0].Top, 22, [][]webpage.Digits{{0, 1}, {0, 0.75, 1, 0.25}}}}}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Error(diff)
		}
		for _, want := range []string{
			`<td class="hi answer" style="--s:25"`, `<span class="n">0.250</span>`, "blocks.0.hook_resid_post at position 1", "0  0.2500", "rank 0, p 0.2500",
			"<th>.0<th>.1<th>mlp<th>layer", `title="head 0.0: &#43;2.0000" data-head="0.0">&#43;2.0<`, `<td class="lo" style="--s:50" title="head 0.1: -1.0000" data-head="0.1">-1.0<`, `<td class="total" style="--s:100" title="all of layer 0: &#43;2.0000"`,
			"logit 3.000, p 0.2500, rank 4", `<th>embed<td><td><td><td class="total" style="--s:0" title="what enters layer 0: &#43;0.5000">&#43;0.5`, `<th>sum<td><td><td><td class="total" style="--s:0" title="all parts: &#43;3.0000">&#43;3.0`, `fill-opacity="0.750"`, "head 0.1", `class="absent">patterns: &lt;/td&gt;`,
		} {
			if !strings.Contains(html, want) {
				t.Errorf("%q is missing", want)
			}
		}
		if n := strings.Count(html, `class="spot"`); n != 3 {
			t.Errorf("%d cells of the pattern, want 3: those with a weight", n)
		}
		if strings.Contains(html, "Top tokens of every head") != heads {
			t.Errorf("the heads are shown: want %v", heads)
		}
		for _, never := range []string{"<script", "http:", "https:", " src=", " href=", "url(", "@import", "ZgotmplZ", "%!"} {
			if strings.Contains(html, never) {
				t.Errorf("%q is there", never)
			}
		}
		if found := regexp.MustCompile(`<(script|img|link|iframe|object|form|a)[ >]`).FindString(html); found != "" {
			t.Errorf("%s acts", found)
		}
	}
}

// A long prompt makes a picture that grows with what heads read, and whose labels do not meet.
func TestPatternPicture(t *testing.T) {
	const n = 300
	p := Pattern{HeadAt: HeadAt{2, 3}}
	pieces := make([]string, n)
	for q := range n {
		row := make([]float32, n)
		for k := range q + 1 {
			row[k] = 1 / float32(q+1)
		}
		p.Weights, pieces[q] = append(p.Weights, row), "abcdefghijklmnopqrstuvwxyz"
	}
	x := p.picture("", pieces)
	if most := n * int(1/leastShown); len(x.Cells) > most || len(x.Cells) < n {
		t.Errorf("%d cells, want %d to %d", len(x.Cells), n, most)
	}
	for i := 1; i < len(x.Rows); i++ {
		if x.Rows[i].At-x.Rows[i-1].At < labelSize {
			t.Fatalf("labels %g pixels apart", x.Rows[i].At-x.Rows[i-1].At)
		}
	}
	if x.Rows[0].Text != `"abcdefghijklmn…` {
		t.Errorf("a label is %s", x.Rows[0].Text)
	}
	if last := x.Cells[len(x.Cells)-1]; last.X+last.Size > x.Width || last.Y+last.Size > x.Height {
		t.Errorf("a cell at %d, %d of a picture of %d by %d", last.X, last.Y, x.Width, x.Height)
	}
	if len(p.Last(5)) != 5 || p.Last(1)[0].Position != 0 {
		t.Errorf("the last position reads %v", p.Last(5))
	}
}
