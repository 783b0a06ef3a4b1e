package report

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
	"github.com/onnx-inject/onnx-inject/runtime/study/webpage"
)

// unpacked reads packed numbers, as the scripts do.
func unpacked(t *testing.T, p webpage.Packed) []float64 {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(p.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	var out []float64
	for i := 0; i < len(b); i += 2 {
		n := int16(binary.LittleEndian.Uint16(b[i:]))
		v := float64(n) * float64(p.Unit)
		if n == math.MinInt16 {
			v = math.NaN()
		}
		out = append(out, v)
	}
	return out
}

// The data has the numbers of stats for every prompt of every cell, and says which prompts they belong to.
func TestData(t *testing.T) {
	shape := usual
	shape.prompts = 7
	shape.nan = func(c results.Cell) bool { return c.Prompt == 2 && c.Layer == 1 }
	run := made(shape)
	_, d := withoutScripts(t, render(t, []*results.Run{run}, Options{}))
	all := allSeries(t, run)
	if len(d.Series) != len(all) || len(d.Runs[0].Prompts) != 7 || d.Runs[0].All != 7 {
		t.Fatalf("%d series, %d prompts", len(d.Series), len(d.Runs[0].Prompts))
	}
	for i, s := range all {
		x := d.Series[i]
		change := unpacked(t, x.Change)
		if (x.After == nil) != (s.Memories == 1) {
			t.Errorf("%s: after is %v", s.Label, x.After)
		}
		k := 0
		for _, row := range s.Grid {
			for _, e := range row {
				effects, err := stats.Changes(s.at(s.cellOf(e)))
				if err != nil {
					t.Fatal(err)
				}
				want := absent(7)
				after := absent(7)
				for _, x := range effects {
					want[x.Prompt], after[x.Prompt] = x.LogOdds, x.After
				}
				for n, v := range want {
					got := change[k*7+n]
					if math.Abs(got-v) > 1e-3 || math.IsNaN(got) != math.IsNaN(v) {
						t.Fatalf("%s, %s, prompt %d: %g, want %g", s.Label, x.Names[k], n, got, v)
					}
					odds := float64(d.Runs[0].Prompts[n].Before) + got
					if x.After != nil {
						odds = unpacked(t, *x.After)[k*7+n]
					}
					if p := 1 / (1 + math.Exp(-odds)); math.Abs(p-after[n]) > 1e-3*after[n] {
						t.Fatalf("%s, %s, prompt %d: p %g, want %g", s.Label, x.Names[k], n, p, after[n])
					}
				}
				if got := x.Cells[k]; float64(got[0]) != float64(e.N) || math.Abs(float64(got[3])-float64(e.LogOdds)) > 1e-4 {
					t.Fatalf("%s, %s: %v", s.Label, x.Names[k], got)
				}
				k++
			}
		}
		if b, ok := s.best(stats.ByLogOdds); ok && x.Names[x.Best[0]] != s.cellOf(b.Effect).String() {
			t.Errorf("%s: the best cell is %s", s.Label, x.Names[x.Best[0]])
		}
	}
}

// The page of an evaluation of many prompts has some of them, spread over the data, and says how many there are.
func TestDataOfManyPrompts(t *testing.T) {
	run := made(shape{prompts: 10_000, layers: counted(1), taus: []float64{1, 2}, sources: []string{"curated"}})
	html := render(t, []*results.Run{run}, Options{})
	_, d := withoutScripts(t, html)
	x := d.Runs[0]
	if x.All != 10_000 || len(x.Prompts) != mostPrompts || x.Prompts[1].Index != 10 || x.Prompts[999].Index != 9990 {
		t.Errorf("%d of %d prompts, the second is %d", len(x.Prompts), x.All, x.Prompts[1].Index)
	}
	if n := len(unpacked(t, d.Series[0].Change)); n != 2*mostPrompts {
		t.Errorf("%d numbers", n)
	}
	if len(html) > 2_000_000 {
		t.Errorf("the page has %d bytes", len(html))
	}
}

// The prompts of all runs share the limit: a run with few prompts leaves more to the others.
func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		cells, prompts []int
		want           int
	}{
		{nil, nil, mostPrompts},
		{[]int{180}, []int{106}, mostPrompts},
		{[]int{2}, []int{1_000_000}, mostPrompts},
		{[]int{1920}, []int{10_000}, 130},
		{[]int{500, 500}, []int{10_000, 100}, 400},
		{[]int{mostNumbers + 1}, []int{5}, 0},
	} {
		if got := allowed(tt.cells, tt.prompts); got != tt.want {
			t.Errorf("%v cells, %v prompts: %d, want %d", tt.cells, tt.prompts, got, tt.want)
		}
	}
}

// Steps are those of the picture: gonum rounds to the nearest colour.
func TestStepOfNumber(t *testing.T) {
	s := &scale{limit: 5}
	var got strings.Builder
	for _, v := range []float64{-9, -5, -4.6, -1, -0.4, 0, 0.4, 0.6, 4.4, 5, 9, math.NaN()} {
		got.WriteByte(s.step(stats.Number(v)))
	}
	if diff := cmp.Diff("00045556"+"9aa-", got.String()); diff != "" {
		t.Error(diff)
	}
}
