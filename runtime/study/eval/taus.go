package eval

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseTaus reads a list of magnitudes: "1:15" is 1 to 15 inclusive, "0.5:2:0.25" has a step of 0.25, and "1,2.5,4" lists
// single values. Commas join parts of any form.
func ParseTaus(s string) ([]float64, error) {
	var out []float64
	for part := range strings.SplitSeq(s, ",") {
		ends := strings.Split(strings.TrimSpace(part), ":")
		x := make([]float64, len(ends))
		for i, e := range ends {
			var err error
			if x[i], err = strconv.ParseFloat(e, 64); err != nil || math.IsNaN(x[i]) || math.IsInf(x[i], 0) {
				return nil, fmt.Errorf("taus %q: got %q, want numbers such as 3, a range such as 1:15, or one with a step such as 0.5:2:0.25", s, e)
			}
		}
		switch {
		case len(x) == 1:
			out = append(out, x[0])
			continue
		case len(x) > 3:
			return nil, fmt.Errorf("taus %q: got %q, want FROM:TO or FROM:TO:STEP", s, part)
		case len(x) == 2:
			x = append(x, 1)
		}
		from, to, step := x[0], x[1], x[2]
		if step <= 0 || to < from {
			return nil, fmt.Errorf("taus %q: the range %q does not end", s, part)
		}
		// The tolerance is half a step, because 0.1 three times is a little more than 0.3.
		n := math.Floor((to-from)/step + 0.5) // may be more than an int holds
		if from+n*step > to+step*1e-9 {
			n--
		}
		if n >= 10000 {
			return nil, fmt.Errorf("taus %q: the range %q has %.0f numbers", s, part, n+1)
		}
		for i := range int(n) + 1 {
			out = append(out, round(from+float64(i)*step))
		}
	}
	if err := checkTaus(out); err != nil {
		return nil, fmt.Errorf("taus %q: %w", s, err)
	}
	return out, nil
}

// checkTaus refuses values that a host cannot represent and duplicates, which would give two rows the same name.
func checkTaus(taus []float64) error {
	seen := map[float64]bool{}
	for _, tau := range taus {
		if f := float64(float32(tau)); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("want a number that float32 can hold, got %v", tau)
		}
		if seen[tau] {
			return fmt.Errorf("tau %v was given twice", tau)
		}
		seen[tau] = true
	}
	return nil
}

// round removes the binary rounding error of sums of decimal fractions: 0.30000000000000004 becomes 0.3.
func round(x float64) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 12, 64), 64)
	if err != nil {
		return x
	}
	return y
}
