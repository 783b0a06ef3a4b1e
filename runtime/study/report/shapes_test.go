package report

import (
	"bytes"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Every incomplete run has a report, and the report says what is missing.
func TestShapes(t *testing.T) {
	with := func(change func(*shape)) shape {
		s := usual
		change(&s)
		return s
	}
	tests := []struct {
		name string
		runs []*results.Run
		want []string
		not  []string
	}{
		{"usual", []*results.Run{made(usual)}, []string{"layer 2, tau 4", "one hop", "Against other memories"}, []string{"Read this first"}},
		{"one layer", []*results.Run{made(with(func(s *shape) { s.layers = []int{5} }))}, []string{"Mean change of the log-odds"}, []string{"by layer"}},
		{"one tau", []*results.Run{made(with(func(s *shape) { s.taus = []float64{0.25} }))}, []string{"tau 0.25"}, nil},
		{"one cell", []*results.Run{made(with(func(s *shape) { s.layers, s.taus = []int{5}, []float64{3} }))}, []string{"One cell: no map."}, nil},
		{"one prompt", []*results.Run{made(with(func(s *shape) { s.prompts = 1 }))}, []string{"only 1 prompt:", "Prompts that gain most"}, []string{"Prompts that gain least"}},
		{"two prompts", []*results.Run{made(with(func(s *shape) { s.prompts = 2 }))}, []string{"only 2 prompts:", "Prompts that gain least"}, nil},
		{"no prompt", []*results.Run{made(with(func(s *shape) { s.prompts = 0 }))}, []string{"the results have no cell", "There is no cell to show."}, nil},
		{"no one-hop prompts", []*results.Run{made(with(func(s *shape) { s.oneHop = false }))}, []string{"two hops"}, []string{">one hop<"}},
		{"one source", []*results.Run{made(with(func(s *shape) { s.sources = s.sources[:1] }))}, nil, []string{"Against other memories"}},
		{"many layers and taus", []*results.Run{made(with(func(s *shape) { s.layers, s.taus, s.prompts = counted(48), fractions(40), 3 }))}, []string{"tau 0.025"}, nil},
		{
			"no number anywhere", []*results.Run{made(with(func(s *shape) { s.nan = func(results.Cell) bool { return true } }))},
			[]string{"480 of 480 cells have no number", "no cell has a number"}, nil,
		},
		{
			"one cell without numbers", []*results.Run{made(with(func(s *shape) { s.nan = func(c results.Cell) bool { return c.Layer == 3 && c.Tau == 8 } }))},
			[]string{"30 of 480 cells have no number"}, nil,
		},
		{
			"nothing changes", []*results.Run{constant(made(usual))}, []string{"0.0", "log-odds by layer"}, []string{"probability by layer"},
		},
		{
			"no clean number", []*results.Run{unclean(made(usual))}, []string{"30 prompts have no number without a memory"}, nil,
		},
		{"impossible answers", []*results.Run{impossible(made(usual))}, nil, nil},
		{"two that are alike", []*results.Run{made(usual), made(with(func(s *shape) { s.seed = 2 }))}, []string{"tiny · out · run 2"}, nil},
		{"a shard", []*results.Run{unfinished(made(usual))}, []string{"10 of 40 prompts are missing"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			html, _ := withoutScripts(t, render(t, tt.runs, Options{}))
			for _, want := range tt.want {
				if !strings.Contains(html, want) {
					t.Errorf("the report does not contain %q", want)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(html, not) {
					t.Errorf("the report contains %q", not)
				}
			}
		})
	}
}

// Every drawing of the page is a separate PNG and SVG with its own name, and drawing it again gives the same bytes.
func TestPictures(t *testing.T) {
	small := shape{prompts: 21, layers: []int{0, 1}, taus: []float64{1, 2}, sources: []string{"curated", "none"}, oneHop: true}
	r, err := New([]*results.Run{made(small)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := r.Pictures()
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Pictures()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(write(t, r), "<svg "); n != len(pictures) || n < 10 {
		t.Errorf("%d pictures, and %d on the page", len(pictures), n)
	}
	names := map[string]bool{}
	for i, p := range pictures {
		if names[p.Name] {
			t.Errorf("two pictures have the name %s", p.Name)
		}
		names[p.Name] = true
		img, err := png.Decode(bytes.NewReader(p.PNG))
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		colors := map[color.Color]bool{}
		b := img.Bounds()
		for x := range b.Dx() {
			for y := range b.Dy() {
				colors[img.At(x, y)] = true
			}
		}
		if b.Dx() < 500 || b.Dy() < 200 || len(colors) < 10 {
			t.Errorf("%s is %v with %d colours", p.Name, b, len(colors))
		}
		if !strings.HasPrefix(string(p.SVG), "<?xml") || !strings.Contains(string(p.SVG), "fill:#FFFFFF") || p.Title == "" {
			t.Errorf("%s.svg %q begins with %.40q", p.Name, p.Title, p.SVG)
		}
		if !bytes.Equal(p.PNG, again[i].PNG) || !bytes.Equal(p.SVG, again[i].SVG) {
			t.Errorf("%s differs when it is drawn again", p.Name)
		}
	}
}

func render(t *testing.T, runs []*results.Run, o Options) string {
	t.Helper()
	r, err := New(runs, o)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, r)
}

func write(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func counted(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

func fractions(n int) (out []float64) {
	for i := range n {
		out = append(out, float64(i+1)/40)
	}
	return out
}

// constant removes the effect of every memory.
func constant(r *results.Run) *results.Run {
	for i := range r.Cells {
		r.Cells[i].Score = r.Prompts[r.Cells[i].Prompt].Clean
	}
	return r
}

// unclean removes all clean numbers.
func unclean(r *results.Run) *results.Run {
	for i := range r.Prompts {
		r.Prompts[i].Clean = results.Score{LogP: math.NaN(), Rank: -1, Status: results.Inf}
	}
	return r
}

// impossible makes answers so unlikely that their probability is zero in a float64, and one answer certain.
func impossible(r *results.Run) *results.Run {
	for i := range r.Cells {
		if r.Cells[i].Prompt%2 == 0 {
			r.Cells[i].LogP = -2000
		}
	}
	r.Cells[7].LogP = 0
	return r
}

// unfinished makes a run with missing prompts.
func unfinished(r *results.Run) *results.Run {
	r.Manifest.Prompts = 40
	return r
}
