package weights

import (
	"math/rand/v2"
	"testing"
)

// Ranges of columns must equal those of the whole matrix, for every stored form.
func TestColumns(t *testing.T) {
	const in, out = 37, 1100
	for _, f := range weightForms() {
		t.Run(f.name, func(t *testing.T) {
			for _, onDisk := range []bool{false, true} {
				w, want := f.build(t, rand.New(rand.NewPCG(1, 2)), onDisk, in, out)
				w.Alpha = -0.5
				c, err := w.Columns()
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range [][2]int64{{0, 1}, {0, out}, {3, 700}, {out - 5, 5}} {
					from, n := r[0], r[1]
					got, err := c.Read(from, n)
					if err != nil || len(got) != int(n*in) {
						t.Fatalf("Read(%d, %d): %d numbers, %v", from, n, len(got), err)
					}
					for i := range int64(in) {
						for j := range n {
							x := got[i*n+j]
							if c.Transposed {
								x = got[j*in+i]
							}
							if x != -0.5*want[i*out+from+j] {
								t.Fatalf("Read(%d, %d): W[%d, %d] is %g, want %g", from, n, i, from+j, x, -0.5*want[i*out+from+j])
							}
						}
					}
				}
				for _, r := range [][2]int64{{-1, 2}, {0, 0}, {out - 1, 2}} {
					if _, err := c.Read(r[0], r[1]); err == nil {
						t.Errorf("Read(%d, %d) gave numbers", r[0], r[1])
					}
				}
			}
		})
	}
}
