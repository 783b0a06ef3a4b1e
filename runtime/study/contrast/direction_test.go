package contrast

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// sample makes differences around a mean, with most variance along an axis.
func sample(r *rand.Rand, pairs, d int, mean, axis []float64) [][]float32 {
	out := make([][]float32, pairs)
	for i := range out {
		out[i] = make([]float32, d)
		along := 3 * r.NormFloat64()
		for j := range out[i] {
			out[i][j] = float32(mean[j] + along*axis[j] + 0.1*r.NormFloat64())
		}
	}
	return out
}

func unit(r *rand.Rand, d int) []float64 {
	v := make([]float64, d)
	n := 0.0
	for i := range v {
		v[i] = r.NormFloat64()
		n += v[i] * v[i]
	}
	for i := range v {
		v[i] /= math.Sqrt(n)
	}
	return v
}

func cosine(a []float32, b []float64) float64 {
	ab, aa, bb := 0.0, 0.0, 0.0
	for i := range a {
		ab, aa, bb = ab+float64(a[i])*b[i], aa+float64(a[i])*float64(a[i]), bb+b[i]*b[i]
	}
	return ab / math.Sqrt(aa*bb)
}

// svd returns the first right singular vector of x by gonum's SVD, which Direction does not use.
func svd(t *testing.T, x [][]float32, centre bool) []float64 {
	t.Helper()
	n, d := len(x), len(x[0])
	a := mat.NewDense(n, d, nil)
	for j := range d {
		mean := 0.0
		for i := range n {
			mean += float64(x[i][j]) / float64(n)
		}
		for i := range n {
			y := float64(x[i][j])
			if centre {
				y -= mean
			}
			a.Set(i, j, y)
		}
	}
	var s mat.SVD
	if !s.Factorize(a, mat.SVDThin) {
		t.Fatal("no SVD")
	}
	var v mat.Dense
	s.VTo(&v)
	return mat.Col(nil, 0, &v)
}

// With fewer pairs than numbers, and with more, the principal components are those of an SVD, the mean is the mean, and most
// positive texts project higher.
func TestDirection(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range [][2]int{{2, 5}, {7, 40}, {60, 12}, {12, 12}} {
		pairs, d := size[0], size[1]
		mean, axis := unit(r, d), unit(r, d)
		x := sample(r, pairs, d, mean, axis)
		for _, m := range Methods {
			v, higher, err := Direction(x, m)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float64, d)
			if m == Mean {
				for _, row := range x {
					for j := range row {
						want[j] += float64(row[j]) / float64(pairs)
					}
				}
			} else {
				want = svd(t, x, m == PCA)
			}
			if c := cosine(v, want); !(math.Abs(c) > 1-1e-9) || m == Mean && c < 0 {
				t.Errorf("%d pairs of %d, %s: cosine %v", pairs, d, m, c)
			}
			up := 0
			for _, row := range x {
				p := 0.0
				for j := range row {
					p += float64(row[j]) * float64(v[j])
				}
				if p > 0 {
					up++
				}
			}
			if 2*up < pairs || higher != float64(up)/float64(pairs) {
				t.Errorf("%d pairs of %d, %s: %d project higher, reported %v", pairs, d, m, up, higher)
			}
			// The opposite pairs give the opposite direction, except where as many project higher as lower.
			if 2*up > pairs {
				for _, row := range x {
					for j := range row {
						row[j] = -row[j]
					}
				}
				back, _, err := Direction(x, m)
				if err != nil || cosine(back, want)*cosine(v, want) > 0 {
					t.Errorf("%s: the sign does not follow the pairs: %v", m, err)
				}
			}
		}
	}
}

func TestDirectionRefuses(t *testing.T) {
	same := [][]float32{{1, 2}, {1, 2}}
	for _, c := range []struct {
		diffs [][]float32
		m     Method
		want  string
	}{
		{nil, Mean, "no pairs"},
		{[][]float32{{0, 0}}, Mean, "the direction has the length 0"},
		{[][]float32{{1, 0}}, PCA, "needs 2 or more"},
		{same, PCA, "nothing that varies"},
		{[][]float32{{0, 0}, {0, 0}}, PCACenter, "all differences are zero"},
		{same, "median", "want one of"},
	} {
		if _, _, err := Direction(c.diffs, c.m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %s: %v, want %q", c.diffs, c.m, err, c.want)
		}
	}
	if v, _, err := Direction(same, PCACenter); err != nil || math.Abs(cosine(v, []float64{1, 2})-1) > 1e-9 {
		t.Errorf("equal differences: %v, %v", v, err)
	}
}
