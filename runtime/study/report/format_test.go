package report

import (
	"math"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/stats"
)

func TestFormats(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{percent(0.53), "+53.0\u00a0%"},
		{percent(-0.14321), "\u221214.3\u00a0%"},
		{percent(0.00001), "0.0\u00a0%"},
		{percent(-0.00001), "0.0\u00a0%"},
		{percent(1818.049), "+181\u00a0805\u00a0%"},
		{percent(117418.07), "+11\u00a0741\u00a0807\u00a0%"},
		{percent(math.NaN()), none},
		{percent(math.Inf(1)), none},
		{logOdds(math.Inf(-1)), none},
		{ofNumber(percent)(stats.None()), none},
		{ofNumber(logOdds)(-0.234), "\u22120.23"},
		{ofInterval(logOdds)(stats.Interval{Low: -0.5, High: 1}), "\u22120.50 to +1.00"},
		{ofInterval(logOdds)(stats.Interval{Low: stats.None(), High: 1}), none},
		{probability(0.25), "0.2500"},
		{probability(0.000012345), "1.23e-05"},
		{probability(0), "0.0000"},
		{probability(math.NaN()), none},
		{percentTick(-0.8), "\u221280\u00a0%"},
		{percentTick(4000), "+400\u00a0000\u00a0%"},
		{logOddsTick(0.1 + 0.2), "+0.3"},
		{logOddsTick(1e-17), "0"},
		{short(0.25), "0.25"},
		{cut("äöüß", 4), "äöüß"},
		{cut("äöüßx", 4), "äöü…"},
		{slug("random:Häuser/../x.TXT"), "random-h-user-x-txt"},
		{join("", "b"), "b"},
		{join("a", "b"), "a · b"},
		{count(1, "cell", "cells"), "1 cell"},
		{count(2, "cell", "cells"), "2 cells"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestRoundUp(t *testing.T) {
	for in, want := range map[float64]float64{0: 1, -3: 1, 0.2: 0.2, 0.21: 0.5, 0.9: 1, 1: 1, 3: 5, 7: 10, 1234: 2000, 1e-5: 1e-5} {
		if got := roundUp(in); math.Abs(got-want) > 1e-12*want {
			t.Errorf("roundUp(%g) = %g, want %g", in, got, want)
		}
	}
	if got := roundUp(math.NaN()); got != 1 {
		t.Errorf("roundUp(NaN) = %g", got)
	}
}
