package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

// none replaces an absent number.
const none = "–"

// percent formats a fraction with its sign: 0.5 is "+50.0 %".
func percent(f float64) string {
	digits := 1
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return none
	case math.Abs(f) >= 10:
		digits = 0
	}
	return signed(100*f, digits) + "\u00a0%"
}

// logOdds formats a change of log-odds.
func logOdds(f float64) string { return signed(f, 2) }

// percentTick and logOddsTick format the round numbers of an axis.
func percentTick(f float64) string { return tick(100*f) + "\u00a0%" }

func logOddsTick(f float64) string { return tick(f) }

func tick(f float64) string {
	s := strconv.FormatFloat(math.Abs(f), 'g', 6, 64)
	if math.Abs(f) >= 1000 {
		s = grouped(strconv.FormatFloat(math.Abs(f), 'f', 0, 64))
	}
	switch {
	case s == "0" || math.Abs(f) < 1e-9:
		return "0"
	case f < 0:
		return "\u2212" + s
	}
	return "+" + s
}

// signed formats a number with a sign: a real minus, and no sign for zero.
func signed(f float64, digits int) string {
	s := grouped(strconv.FormatFloat(math.Abs(f), 'f', digits, 64))
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return none
	case strings.Trim(s, "0.") == "":
		return s
	case f < 0:
		return "\u2212" + s
	}
	return "+" + s
}

// probability formats a probability with three significant digits.
func probability(p float64) string {
	switch {
	case math.IsNaN(p):
		return none
	case p >= 0.001 || p == 0:
		return strconv.FormatFloat(p, 'f', 4, 64)
	}
	return strconv.FormatFloat(p, 'e', 2, 64)
}

// short formats a tau.
func short(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }

// grouped separates the digits of a whole number by thousands.
func grouped(s string) string {
	if len(s) < 5 || strings.Contains(s, ".") {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u00a0" + s[i:]
	}
	return s
}

// ofNumber extends a format to numbers that may be absent.
func ofNumber(format func(float64) string) func(stats.Number) string {
	return func(n stats.Number) string {
		if !n.OK() {
			return none
		}
		return format(float64(n))
	}
}

// ofInterval extends a format to intervals.
func ofInterval(format func(float64) string) func(stats.Interval) string {
	return func(i stats.Interval) string {
		if !i.Low.OK() || !i.High.OK() {
			return none
		}
		return format(float64(i.Low)) + " to " + format(float64(i.High))
	}
}

// plain formats a number without a sign or unit.
func plain(digits int) func(float64) string {
	return func(f float64) string { return strconv.FormatFloat(f, 'f', digits, 64) }
}

// cut shortens a text to at most n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
