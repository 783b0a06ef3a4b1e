package stats

import (
	"math"
	"slices"
)

// Percentile is the q-th percentile, 0 to 100, of ascending values, as numpy.percentile computes it by default: linear
// interpolation between the order statistics around (n-1)·q/100 (definition 7 of Hyndman and Fan, Sample Quantiles in
// Statistical Packages, 1996). It is NaN for no values.
func Percentile(ascending []float64, q float64) float64 {
	n := len(ascending)
	if n == 0 {
		return math.NaN()
	}
	h := float64(n-1) * (q / 100)
	i := min(int(h), n-1)
	a, b, t := ascending[i], ascending[min(i+1, n-1)], h-float64(i)
	if t < 0.5 { // numpy's two forms, so that rounding agrees: Rejected compares strictly with the cutoff
		return a + (b-a)*t
	}
	return b - (b-a)*(1-t)
}

// Median is the 50th percentile of ascending values, NaN for none.
func Median(ascending []float64) float64 { return Percentile(ascending, 50) }

// Rejected is the paper's mean without outliers: of ascending values, the mean and the number of those strictly below the
// 99th percentile. When all values are equal, none is below it, and the mean is NaN.
func Rejected(ascending []float64) (mean float64, kept int) {
	cutoff := Percentile(ascending, 99)
	kept, _ = slices.BinarySearch(ascending, cutoff)
	return average(ascending[:kept]), kept
}

// average is the mean, NaN for no values.
func average(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// The limits of the logarithm of a float32 probability. Published and exported probabilities are float32: one that reads 0
// is below the smallest float32, and one that reads 1 is above the largest float32 below 1.
var (
	leastLogP = -149 * math.Ln2 // the smallest float32 is 2^-149
	leastQ    = math.Ldexp(1, -24)
)

// surprisal is -ln(p), with p at least the smallest float32.
func surprisal(logP float64) float64 { return -max(logP, leastLogP) }

// logOdds is ln(p/(1-p)), with p and 1-p limited to what float32 can represent.
func logOdds(logP float64) float64 {
	return max(logP, leastLogP) - math.Log(max(-math.Expm1(logP), leastQ))
}
