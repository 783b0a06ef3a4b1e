package main

import (
	"encoding/binary"
	"hash/fnv"
	"io"
	"math"
)

// weight describes an initializer: at returns element i in row-major order. A bool tensor is true where at is not 0.
type weight struct {
	name  string
	dtype int64
	dims  []int64
	at    func(i int64) float32
}

func (w weight) elements() int64 {
	n := int64(1)
	for _, d := range w.dims {
		n *= d
	}
	return n
}

func (w weight) bytes() int64 {
	if w.dtype == boolType {
		return w.elements()
	}
	return 4 * w.elements()
}

// writeTo writes the elements as ONNX raw_data, little-endian, through one small buffer.
func (w weight) writeTo(out io.Writer) error {
	var buf []byte
	for i, n := int64(0), w.elements(); i < n; {
		buf = buf[:0]
		for ; i < n && len(buf) < 64<<10; i++ {
			v := w.at(i)
			switch {
			case w.dtype != boolType:
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			case v != 0:
				buf = append(buf, 1)
			default:
				buf = append(buf, 0)
			}
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// causal is the boolean buffer [1, 1, n, n] of GPT-2's attention: true where the key is not after the query.
func causal(name string, n int64) weight {
	return weight{name, boolType, []int64{1, 1, n, n}, func(i int64) float32 {
		if i%n <= i/n {
			return 1
		}
		return 0
	}}
}

func seedOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// uniform returns the i-th number of a stream, uniformly distributed over [-1, 1): the output function of SplitMix64
// (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) applied to a counter.
func uniform(seed uint64, i int64) float32 {
	x := seed + uint64(i)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float32(int32((x^x>>31)>>32)) / (1 << 31)
}
