package capture

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Every row is in one place: files follow each other, batches cover the prompts of a file once, prompts of a batch have equal
// length, and no limit is exceeded except by a single prompt.
func TestPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := rapid.Bool().Draw(t, "last")
		var prompts []prompt
		for i, n := range rapid.SliceOf(rapid.IntRange(1, 40)).Draw(t, "lengths") {
			p := prompt{index: i, ids: make([]int64, n)}
			if last {
				p.from = n - 1
			}
			prompts = append(prompts, p)
		}
		const rowBytes, wide, maxFile = 10, 20, 400
		most := rapid.IntRange(1, 5).Draw(t, "most")
		p := newPlan(prompts, rowBytes, wide, maxFile, most)
		rows, next := 0, 0
		for _, f := range p.files {
			if f.first != rows {
				t.Fatalf("a file begins at row %d, want %d", f.first, rows)
			}
			at := 0
			for i, q := range f.prompts {
				if q != next || f.offsets[i] != at {
					t.Fatalf("prompt %d at row %d, want prompt %d at row %d", q, f.offsets[i], next, at)
				}
				next, at = next+1, at+prompts[q].rows()
			}
			if at != f.rows || f.rows*rowBytes > maxFile && len(f.prompts) > 1 {
				t.Fatalf("a file of %d rows and %d prompts, counted %d", f.rows, len(f.prompts), at)
			}
			rows += at
			var all []int
			for i, b := range f.batches {
				if len(b) > most || !slices.IsSorted(b) || i > 0 && b[0] < f.batches[i-1][0] {
					t.Fatalf("batch %v after %v", b, f.batches[max(0, i-1)])
				}
				for _, j := range b {
					if len(prompts[f.prompts[j]].ids) != len(prompts[f.prompts[b[0]]].ids) {
						t.Fatalf("batch %v has prompts of different lengths", b)
					}
				}
				all = append(all, b...)
			}
			slices.Sort(all)
			for i, j := range all {
				if i != j {
					t.Fatalf("the batches have the prompts %v", all)
				}
			}
			if len(all) != len(f.prompts) {
				t.Fatalf("the batches have %d prompts of %d", len(all), len(f.prompts))
			}
		}
		if rows != p.rows || next != len(prompts) {
			t.Fatalf("%d rows of %d, %d prompts of %d", rows, p.rows, next, len(prompts))
		}
	})
}
