package webpage

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
)

// Digits is a number of which JSON gets six digits; null when it is none.
type Digits float64

// MarshalJSON writes the number.
func (d Digits) MarshalJSON() ([]byte, error) {
	if f := float64(d); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(d), 'g', 6, 64), nil
}

// Packed is numbers in two bytes each. Bytes holds little-endian integers, in base64. A number is its integer times Unit; the least
// integer is no number.
type Packed struct {
	Unit  Digits `json:"unit"`
	Bytes string `json:"bytes"`
}

// Pack keeps numbers to within 1/65000 of the largest, row after row.
func Pack(rows [][]float64) Packed {
	largest := 0.0
	for _, row := range rows {
		for _, v := range row {
			if !math.IsNaN(v) {
				largest = max(largest, math.Abs(v))
			}
		}
	}
	unit, err := strconv.ParseFloat(strconv.FormatFloat(largest/math.MaxInt16, 'g', 6, 64), 64) // as it is in the JSON
	if err != nil || unit == 0 {
		unit = 1
	}
	var b []byte
	for _, row := range rows {
		for _, v := range row {
			n := int16(math.MinInt16)
			if !math.IsNaN(v) {
				n = int16(max(-math.MaxInt16, min(math.MaxInt16, math.Round(v/unit))))
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(n))
		}
	}
	return Packed{Digits(unit), base64.StdEncoding.EncodeToString(b)}
}

// Spread chooses at most n of all, evenly: the positions of what is chosen.
func Spread(all, n int) []int {
	n = min(n, all)
	var out []int
	for i := range n {
		out = append(out, i*all/n)
	}
	return out
}
