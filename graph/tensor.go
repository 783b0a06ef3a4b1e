package graph

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// DType is an ONNX element type. The numbers are those of TensorProto.DataType.
type DType int32

// The element types that this project reads or writes. Other types are only passed through, as numbers.
const (
	Undefined  DType = 0
	Float32    DType = 1
	Uint8      DType = 2
	Int8       DType = 3
	Uint16     DType = 4
	Int16      DType = 5
	Int32      DType = 6
	Int64      DType = 7
	String     DType = 8
	Bool       DType = 9
	Float16    DType = 10
	Float64    DType = 11
	Uint32     DType = 12
	Uint64     DType = 13
	Complex64  DType = 14
	Complex128 DType = 15
	BFloat16   DType = 16
	Float8E4M3 DType = 17
	Float8E4Z  DType = 18
	Float8E5M2 DType = 19
	Float8E5Z  DType = 20
	Uint4      DType = 21
	Int4       DType = 22
	Float4E2M1 DType = 23
)

// dtypes holds the printed name and the width in bits of each element type.
// A width of 0 means that elements have no fixed width (strings).
var dtypes = map[DType]struct {
	name string
	bits int64
}{
	Float32: {"float32", 32}, Uint8: {"uint8", 8}, Int8: {"int8", 8}, Uint16: {"uint16", 16}, Int16: {"int16", 16},
	Int32: {"int32", 32}, Int64: {"int64", 64}, String: {"string", 0}, Bool: {"bool", 8}, Float16: {"float16", 16},
	Float64: {"float64", 64}, Uint32: {"uint32", 32}, Uint64: {"uint64", 64}, Complex64: {"complex64", 64},
	Complex128: {"complex128", 128}, BFloat16: {"bfloat16", 16}, Float8E4M3: {"float8e4m3fn", 8}, Float8E4Z: {"float8e4m3fnuz", 8},
	Float8E5M2: {"float8e5m2", 8}, Float8E5Z: {"float8e5m2fnuz", 8}, Uint4: {"uint4", 4}, Int4: {"int4", 4}, Float4E2M1: {"float4e2m1", 4},
	24: {"float8e8m0", 8}, 25: {"uint2", 2}, 26: {"int2", 2}, 27: {"float6e2m3", 6}, 28: {"float6e3m2", 6}, // only passed through
}

// String returns the lower-case name, such as "float32", or "dtype(99)" for a number that ONNX does not define.
func (d DType) String() string {
	if t, ok := dtypes[d]; ok {
		return t.name
	}
	return fmt.Sprintf("dtype(%d)", int32(d))
}

// parseDType is the inverse of [DType.String].
func parseDType(s string) (DType, bool) {
	for d, t := range dtypes {
		if t.name == s {
			return d, true
		}
	}
	return Undefined, false
}

// known reports whether ONNX defines the type.
func (d DType) known() bool {
	_, ok := dtypes[d]
	return ok
}

// Bits returns the width of one element in bits, or 0 for strings and unknown types.
func (d DType) Bits() int64 { return dtypes[d].bits }

// IsFloat reports whether the type is a floating-point type used for activations.
func (d DType) IsFloat() bool {
	return d == Float32 || d == Float16 || d == BFloat16 || d == Float64
}

// ByteSize returns the size in bytes of a dense tensor of the type and shape. Types below one byte are packed, and the size
// is rounded up. It refuses negative dimensions, types without a width, and products that do not fit 63 bits.
func ByteSize(d DType, dims []int64) (int64, error) {
	n, err := numElements(dims)
	if err != nil {
		return 0, err
	}
	bits := d.Bits()
	if bits == 0 {
		return 0, fmt.Errorf("%v has no fixed element size", d)
	}
	total, ok := checkedMul(n, bits)
	if !ok {
		return 0, fmt.Errorf("shape %v of %v overflows", dims, d)
	}
	return total/8 + (total%8+7)/8, nil
}

func numElements(dims []int64) (int64, error) {
	n := int64(1)
	for _, d := range dims {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension in shape %v", dims)
		}
		if d == 0 {
			n = 0
		}
	}
	if n == 0 {
		return 0, nil
	}
	for _, d := range dims {
		var ok bool
		if n, ok = checkedMul(n, d); !ok {
			return 0, fmt.Errorf("shape %v overflows", dims)
		}
	}
	return n, nil
}

// checkedMul and checkedAdd compute with non-negative numbers and report overflow of int64.
func checkedMul(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	if a > math.MaxInt64/b {
		return 0, false
	}
	return a * b, true
}

func checkedAdd(a, b int64) (int64, bool) {
	if a > math.MaxInt64-b {
		return 0, false
	}
	return a + b, true
}

// Tensor is a dense tensor in memory: an input or output of a session, or a constant that was read. Data is little-endian
// and row-major, like ONNX raw_data. Its length is [ByteSize] of DType and Dims. A scalar has no Dims.
type Tensor struct {
	DType DType
	Dims  []int64
	Data  []byte
}

// NewFloat32 makes a float32 tensor that shares v's memory. It panics when len(v) does not fill dims.
func NewFloat32(v []float32, dims ...int64) *Tensor { return view(Float32, v, dims) }

// NewInt64 makes an int64 tensor that shares v's memory. It panics when len(v) does not fill dims.
func NewInt64(v []int64, dims ...int64) *Tensor { return view(Int64, v, dims) }

// NewInt32 makes an int32 tensor that shares v's memory. It panics when len(v) does not fill dims.
func NewInt32(v []int32, dims ...int64) *Tensor { return view(Int32, v, dims) }

func view[E float32 | int64 | int32](d DType, v []E, dims []int64) *Tensor {
	if n, err := numElements(dims); err != nil || n != int64(len(v)) {
		panic(fmt.Sprintf("graph: %d values do not fill shape %v", len(v), dims))
	}
	var e E
	var b []byte
	if len(v) > 0 {
		b = unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(e)))
	}
	return &Tensor{DType: d, Dims: dims, Data: b}
}

// Zeros makes a tensor of zero bytes. It panics on a shape that [ByteSize] refuses.
func Zeros(d DType, dims ...int64) *Tensor {
	n, err := ByteSize(d, dims)
	if err != nil {
		panic("graph: " + err.Error())
	}
	return &Tensor{DType: d, Dims: dims, Data: make([]byte, n)}
}

// Len returns the number of elements.
func (t *Tensor) Len() int64 {
	n, err := numElements(t.Dims)
	if err != nil {
		return 0
	}
	return n
}

// Float32s returns the values of a float32, float16, bfloat16 or float64 tensor as float32.
// For float32 the slice may share the tensor's memory; do not write to it.
func (t *Tensor) Float32s() ([]float32, error) {
	n := int(t.Len())
	switch t.DType {
	case Float32:
		if n == 0 {
			return nil, nil
		}
		if uintptr(unsafe.Pointer(&t.Data[0]))%4 == 0 {
			return unsafe.Slice((*float32)(unsafe.Pointer(&t.Data[0])), n), nil
		}
		out := make([]float32, n)
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
		return out, nil
	case Float16:
		out := make([]float32, n)
		for i := range out {
			out[i] = float16to32(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
		return out, nil
	case BFloat16:
		out := make([]float32, n)
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16)
		}
		return out, nil
	case Float64:
		out := make([]float32, n)
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
		return out, nil
	}
	return nil, fmt.Errorf("want a float tensor, got %v", t.DType)
}

// Int64s returns the values of any integer or bool tensor as int64.
func (t *Tensor) Int64s() ([]int64, error) {
	n := int(t.Len())
	out := make([]int64, n)
	for i := range out {
		switch t.DType {
		case Int64, Uint64:
			out[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		case Int32:
			out[i] = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		case Uint32:
			out[i] = int64(binary.LittleEndian.Uint32(t.Data[4*i:]))
		case Int16:
			out[i] = int64(int16(binary.LittleEndian.Uint16(t.Data[2*i:])))
		case Uint16:
			out[i] = int64(binary.LittleEndian.Uint16(t.Data[2*i:]))
		case Int8:
			out[i] = int64(int8(t.Data[i]))
		case Uint8, Bool:
			out[i] = int64(t.Data[i])
		default:
			return nil, fmt.Errorf("want an integer tensor, got %v", t.DType)
		}
	}
	return out, nil
}

// float16to32 widens an IEEE 754 half: 1 sign, 5 exponent, 10 fraction bits.
func float16to32(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
	}
	v := float32(frac) / (1 << 24) // subnormal: frac * 2^-24
	if sign != 0 {
		v = -v
	}
	return v
}
