package main

import (
	"fmt"
	"time"
)

// row is one line of the table: a figure and its goal.
type row struct {
	id, what string
	value    float64
	unit     string // "" for a ratio
	goal     float64
	atLeast  bool   // the value should reach the goal, not stay below it
	note     string // the measurements that give the figure
}

func (r row) good() bool {
	if r.atLeast {
		return r.value >= r.goal
	}
	return r.value <= r.goal
}

func (r row) line() string {
	sign, verdict := "<=", "pass"
	if r.atLeast {
		sign = ">="
	}
	if !r.good() {
		verdict = "SHORT"
	}
	return fmt.Sprintf("%s\t%s\t%s%s\t%s %g%s\t%s\t%s", r.id, r.what, digits(r.value), r.unit, sign, r.goal, r.unit, verdict, r.note)
}

// digits prints three significant digits without an exponent.
func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}

func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }
