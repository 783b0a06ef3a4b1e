package contrast

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// Method is how differences become a direction.
type Method string

// The methods; see the package comment.
const (
	Mean      Method = "mean"
	PCA       Method = "pca"
	PCACenter Method = "pca_center"
)

// Methods lists the methods. The first is the default.
var Methods = []Method{Mean, PCA, PCACenter}

// Direction returns the direction of differences [pair][d], and the share of pairs whose positive text projects higher on it than
// the negative one.
func Direction(diffs [][]float32, m Method) (v []float32, higher float64, err error) {
	if len(diffs) == 0 {
		return nil, 0, errors.New("no pairs")
	}
	x := make([][]float64, len(diffs))
	for i, d := range diffs {
		x[i] = make([]float64, len(d))
		for j, y := range d {
			x[i][j] = float64(y)
		}
	}
	mean := meanOf(x)
	var w []float64
	switch m {
	case Mean:
		w = mean
	case PCA:
		if len(x) < 2 {
			return nil, 0, fmt.Errorf("1 pair, but the method %s needs 2 or more: it finds how the pairs vary", PCA)
		}
		centred := make([][]float64, len(x))
		for i := range x {
			centred[i] = floats.SubTo(make([]float64, len(mean)), x[i], mean)
		}
		if lengthOf(centred) <= 1e-6*lengthOf(x) { // what is left is rounding
			return nil, 0, errors.New("the differences of all pairs are equal, so there is nothing that varies")
		}
		w, err = principal(centred)
	case PCACenter:
		w, err = principal(x) // the texts of a pair are d/2 and -d/2 from its middle, so their mean is 0
	default:
		err = fmt.Errorf("method %q, want one of %v", m, Methods)
	}
	if err != nil {
		return nil, 0, err
	}
	if n := floats.Norm(w, 2); !(n > 0) || math.IsInf(n, 0) {
		return nil, 0, fmt.Errorf("the direction has the length %v", n)
	}
	up, down := 0, 0
	for _, d := range x {
		switch p := floats.Dot(d, w); {
		case p > 0:
			up++
		case p < 0:
			down++
		}
	}
	if down > up || down == up && floats.Dot(mean, w) < 0 {
		floats.Scale(-1, w)
		up = down
	}
	v = make([]float32, len(w))
	for i, y := range w {
		v[i] = float32(y)
	}
	return v, float64(up) / float64(len(x)), nil
}

func meanOf(x [][]float64) []float64 {
	out := make([]float64, len(x[0]))
	for _, r := range x {
		floats.Add(out, r)
	}
	floats.Scale(1/float64(len(x)), out)
	return out
}

// lengthOf returns the root of the sum of the squares of all numbers.
func lengthOf(x [][]float64) float64 {
	sum := 0.0
	for _, r := range x {
		sum += floats.Dot(r, r)
	}
	return math.Sqrt(sum)
}

// principal returns the unit vector along which the rows of x, around 0, extend most. It is the first right singular vector of x.
// The eigenvectors of the smaller of x·xᵀ and xᵀ·x give it: pairs are usually fewer than d_model.
func principal(x [][]float64) ([]float64, error) {
	n, d := len(x), len(x[0])
	flat := make([]float64, 0, n*d)
	for _, r := range x {
		flat = append(flat, r...)
	}
	a := mat.NewDense(n, d, flat)
	var gram mat.SymDense
	if n <= d {
		gram.SymOuterK(1, a)
	} else {
		gram.SymOuterK(1, a.T())
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(&gram, true) {
		return nil, errors.New("the principal component did not converge")
	}
	k := gram.SymmetricDim()
	if largest := eigen.Values(nil)[k-1]; !(largest > 0) {
		return nil, errors.New("all differences are zero")
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	first := vectors.ColView(k - 1) // values ascend
	out := mat.NewVecDense(d, nil)
	if n <= d {
		out.MulVec(a.T(), first)
	} else {
		out.CopyVec(first)
	}
	w := out.RawVector().Data
	floats.Scale(1/floats.Norm(w, 2), w)
	return w, nil
}
