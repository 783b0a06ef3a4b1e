package webpage

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDigits(t *testing.T) {
	for in, want := range map[float64]string{0.5: "0.5", 1.0 / 3: "0.333333", math.Inf(-1): "null", math.NaN(): "null", 1e-9: "1e-09", -12345678: "-1.23457e+07"} {
		if got, err := json.Marshal(Digits(in)); err != nil || string(got) != want {
			t.Errorf("%g is %s, %v", in, got, err)
		}
	}
}

func TestPack(t *testing.T) {
	for _, row := range [][]float64{nil, {0, 0}, {math.NaN()}, {1e-300}, {-50, 50, math.NaN(), 0, 1.234}, {1e-7, -3e-7}} {
		p := Pack([][]float64{row, row})
		b, err := base64.StdEncoding.DecodeString(p.Bytes)
		if err != nil || len(b) != 4*len(row) {
			t.Fatalf("%v: %d bytes, %v", row, len(b), err)
		}
		largest := 0.0
		for _, v := range row {
			largest = math.Max(largest, math.Abs(v))
		}
		for i := range 2 * len(row) {
			n, want := int16(binary.LittleEndian.Uint16(b[2*i:])), row[i%len(row)]
			if math.IsNaN(want) != (n == math.MinInt16) {
				t.Errorf("%v: number %d is %d", row, i, n)
			}
			if got := float64(n) * float64(p.Unit); !math.IsNaN(want) && math.Abs(got-want) > largest/math.MaxInt16 {
				t.Errorf("%v: number %d is %g", row, i, got)
			}
		}
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		all, n int
		want   []int
	}{{0, 3, nil}, {3, 0, nil}, {3, 5, []int{0, 1, 2}}, {10, 4, []int{0, 2, 5, 7}}} {
		if diff := cmp.Diff(tt.want, Spread(tt.all, tt.n)); diff != "" {
			t.Errorf("%d of %d: %s", tt.n, tt.all, diff)
		}
	}
}
