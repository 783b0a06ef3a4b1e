package eval

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTaus(t *testing.T) {
	for s, want := range map[string][]float64{
		"3":          {3},
		"1:4":        {1, 2, 3, 4},
		"0.1:0.5:.1": {0.1, 0.2, 0.3, 0.4, 0.5},
		"0.5:1.8:.5": {0.5, 1, 1.5},
		"1:1":        {1},
		"-2:0, 7.5":  {-2, -1, 0, 7.5},
		"1e-3":       {0.001},
	} {
		got, err := ParseTaus(s)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"": `got ""`, "x": `got "x"`, "1:": `got ""`, "1:NaN": `got "NaN"`, "4:1": "does not end", "1:4:0": "does not end", "1:2:3:4": "want FROM:TO", "1:1e9": "has 1000000000 numbers",
		"1,0:1e300": `the range "0:1e300" has 1000`, "-1e308:1e308": "has +Inf numbers",
	} {
		if _, err := ParseTaus(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", s, err, want)
		}
	}
}
