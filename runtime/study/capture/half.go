package capture

import (
	"encoding/binary"
	"math"
)

// maxHalf is the largest finite float16.
const maxHalf = 65504

// half returns the float16 that is nearest to x, and of two that are equally near the one with an even last bit, as IEEE 754
// and NumPy round. A number of 65520 or more has no finite neighbour: it becomes infinite.
func half(x float32) uint16 {
	bits := math.Float32bits(x)
	sign, abs := uint16(bits>>16)&0x8000, bits&0x7fffffff
	switch {
	case abs > 0x7f800000: // NaN
		return sign | 0x7e00
	case abs >= 0x477ff000: // 65520 and infinity
		return sign | 0x7c00
	case abs < 0x38800000: // less than 2^-14: a multiple of 2^-24
		// Adding 1/2 aligns the number so that its last bit counts 2^-24. The addition rounds to even.
		return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-0x3f000000)
	}
	// The exponent loses 112 of its bias, and the fraction 13 bits. The carry of rounding may reach the exponent.
	odd := abs >> 13 & 1
	return sign | uint16((abs-112<<23+0xfff+odd)>>13)
}

// appendHalf appends numbers as float16, little-endian.
func appendHalf(out []byte, x []float32) []byte {
	for _, v := range x {
		out = binary.LittleEndian.AppendUint16(out, half(v))
	}
	return out
}
