package stats_test

import (
	"math"
	"slices"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// sequence returns unordered numbers that Python can reproduce: [((i*7919) % 1009)**2 / 1009 - 300 for i in range(n)].
func sequence(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		r := float64((i * 7919) % 1009)
		out[i] = r*r/1009 - 300
	}
	slices.Sort(out)
	return out
}

// The expected numbers are from numpy 2.4.6: np.percentile(x, q), and with c = np.percentile(x, 99) the mean and the size
// of x[x < c].
func TestPercentileNumpy(t *testing.T) {
	qs := []float64{0, 2.5, 50, 97.5, 99, 100}
	tests := []struct {
		n    int
		want []float64 // by q
		mean float64
		kept int
	}{
		{1, []float64{-300, -300, -300, -300, -300, -300}, math.NaN(), 0},
		{2, []float64{-300, -281.8449950445986, 63.100099108027734, 408.04519326065406, 418.9381962338949, 426.20019821605547}, -300, 1},
		{3, []float64{-300, -275.5099603567889, 189.800792864222, 414.3802279484638, 421.4722101090188, 426.20019821605547}, -55.099603567889005, 2},
		{7, []float64{-300, -298.7689296333003, -143.79682854311199, 390.7402874132804, 412.01623389494534, 426.20019821605547}, -131.16369342583417, 6},
		{100, []float64{-300, -299.2788899900892, -41.20416253716553, 665.6375867195239, 693.1429534192271, 701.01585728444}, 35.48553923776917, 99},
		{101, []float64{-300, -299.2735381565907, -39.178394449950474, 664.6110009910803, 693.0634291377602, 701.01585728444}, 32.58572844400396, 99},
		{106, []float64{-300, -299.2467789890981, -41.20416253716553, 659.4780723488602, 692.6673934588703, 701.01585728444}, 25.889456430586257, 104},
		{1000, []float64{-300, -299.3817888999009, -46.748761149653134, 657.7187066402378, 687.1397125867195, 707.0009910802775}, 29.879355497492266, 990},
	}
	for _, tt := range tests {
		values := sequence(tt.n)
		for i, q := range qs {
			if got := stats.Percentile(values, q); got != tt.want[i] {
				t.Errorf("n=%d: percentile %g is %v, want %v", tt.n, q, got, tt.want[i])
			}
		}
		if got, want := stats.Median(values), tt.want[2]; got != want {
			t.Errorf("n=%d: median is %v, want %v", tt.n, got, want)
		}
		mean, kept := stats.Rejected(values)
		if !near(mean, tt.mean, 1e-13) || kept != tt.kept {
			t.Errorf("n=%d: rejected mean is %v of %d, want %v of %d", tt.n, mean, kept, tt.mean, tt.kept)
		}
	}
	if got := stats.Percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("the median of no values is %v", got)
	}
}

// The paper's rule keeps none of equal changes, as in the published files of gpt-neo-125M, and drops all changes that are
// as large as the cutoff.
func TestRejectedEqual(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		mean   float64
		kept   int
	}{
		{"none", nil, math.NaN(), 0},
		{"all equal", []float64{-1, -1, -1}, math.NaN(), 0},
		{"two largest equal", []float64{1, 2, 6, 6}, 1.5, 2},
	}
	for _, tt := range tests {
		if mean, kept := stats.Rejected(tt.values); !near(mean, tt.mean, 0) || kept != tt.kept {
			t.Errorf("%s: %v of %d, want %v of %d", tt.name, mean, kept, tt.mean, tt.kept)
		}
	}
}

// near compares relatively, or absolutely close to 0; NaN is near NaN.
func near(got, want, tolerance float64) bool {
	if math.IsNaN(got) || math.IsNaN(want) {
		return math.IsNaN(got) && math.IsNaN(want)
	}
	return got == want || math.Abs(got-want) <= tolerance*max(math.Abs(got), math.Abs(want), 1e-3)
}
