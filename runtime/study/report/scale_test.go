package report

import (
	"maps"
	"math"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// A scale is symmetric, increases with the number and ends at the last step, and its legend matches it.
func TestScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Float64Range(-1, 1e6)).Draw(t, "values")
		s := newScale(values, rapid.Bool().Draw(t, "may grow"))
		if p := s.position(s.limit); math.Abs(p-half) > 1e-9 {
			t.Fatalf("the limit %g is at step %g", s.limit, p)
		}
		a, b := rapid.Float64Range(-10, 10).Draw(t, "a"), rapid.Float64Range(-10, 10).Draw(t, "b")
		if s.position(-a) != -s.position(a) {
			t.Fatalf("%g is at %g, %g at %g", a, s.position(a), -a, s.position(-a))
		}
		if a < b && s.position(a) > s.position(b) {
			t.Fatalf("%g is at %g, %g at %g", a, s.position(a), b, s.position(b))
		}
		for step := -half; step <= half; step++ {
			if p := s.position(s.value(step)); math.Abs(p-step) > 0.05 {
				t.Fatalf("step %g is labelled %g, which is at %g", step, s.value(step), p)
			}
		}
		for _, v := range values {
			if v > s.limit && !s.high || v < -s.limit && !s.low {
				t.Fatalf("%g is beyond %g and the scale does not report it", v, s.limit)
			}
		}
	})
}

func TestScaleKinds(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		limit  float64
		grows  bool
	}{
		{nil, 1, false},
		{[]float64{0, 0}, 1, false},
		{[]float64{-0.9, 0.53, 0.1}, 1, false},
		{[]float64{0.013, -0.011}, 0.02, false},
		{[]float64{-0.9, 4.3, 0.1}, 5, true},
	} {
		if s := newScale(tt.values, true); s.limit != tt.limit || (s.first > 0) != tt.grows {
			t.Errorf("%v: %+v", tt.values, s)
		}
	}
}

// Maps share a scale: a colour means the same number in all maps, even when the numbers of one map are small.
func TestScalesAreShared(t *testing.T) {
	small := made(usual)
	for i := range small.Cells {
		small.Cells[i].LogP = small.Prompts[small.Cells[i].Prompt].Clean.LogP + 0.001*float64(i%3)
	}
	legends := func(runs ...*results.Run) map[string]bool {
		r, err := newReport(runs, Options{})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, d := range r.drawings {
			if !strings.Contains(d.name, "-map-log-odds") {
				continue
			}
			svg, err := d.vector()
			if err != nil {
				t.Fatal(err)
			}
			var labels []string
			for _, m := range regexp.MustCompile(`>([^<]*)</text>`).FindAllStringSubmatch(svg, -1) {
				if strings.ContainsAny(m[1], "+\u2212") {
					labels = append(labels, m[1])
				}
			}
			out[strings.Join(labels, " ")] = true
		}
		return out
	}
	if alone, together := legends(small), legends(small, made(usual)); len(alone) != 1 || len(together) != 1 || maps.Equal(alone, together) {
		t.Errorf("alone %v, together %v", alone, together)
	}
}

// For every size of the grid, each of its cells is drawn: gonum omits a cell that is outside the axes because of rounding.
func TestEveryCellIsDrawn(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 15}, {12, 15}, {13, 7}, {36, 15}, {48, 40}, {3, 1}} {
		run := made(shape{prompts: 2, layers: counted(size[0]), taus: fractions(size[1]), sources: []string{"curated"}})
		r, err := newReport([]*results.Run{run}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.drawings {
			if !strings.Contains(d.name, "-map-") {
				continue
			}
			svg, err := d.inline()
			if err != nil {
				t.Fatal(err)
			}
			cells := strings.Count(string(svg), "fill:var(--step") + strings.Count(string(svg), "fill:var(--missing)") - len(steps) // without the legend's
			if cells != size[0]*size[1] {
				t.Errorf("%s, %v: %d cells", d.name, size, cells)
			}
		}
	}
}

// Ticks include zero and stay on the axis, and their labels fit into the room.
func TestRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(-1e4, 0).Draw(t, "low")
		high := rapid.Float64Range(1e-3, 1e6).Draw(t, "high")
		room := rapid.SampledFrom([]int{0, 50}).Draw(t, "room")
		ticks := round{percentTick, room}.Ticks(low, high)
		zero, length := false, 0
		for _, k := range ticks {
			if k.Value < low || k.Value > high {
				t.Fatalf("a tick at %g of %g to %g", k.Value, low, high)
			}
			zero = zero || k.Value == 0
			length += len([]rune(k.Label)) + 2
		}
		if !zero || len(ticks) > 9 || room > 0 && length > room && len(ticks) > 2 {
			t.Fatalf("%g to %g: %v", low, high, ticks)
		}
	})
}

func TestPlaces(t *testing.T) {
	var got []string
	for _, k := range places(layerLabels(counted(7)), 60, 20) {
		got = append(got, k.Label)
	}
	if want := "0   3   6"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", strings.Join(got, " "), want)
	}
}
