package graph

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byValue is the largest number of elements for which the text shows a tensor in memory as numbers.
const byValue = 16

// tensor writes a constant: its type, followed by its values, its bytes, or its place on disk.
func (p *printer) tensor(c *Const) {
	t := constType(c)
	p.buf.WriteString(typeText(t) + " ")
	switch {
	case c.span != nil:
		fmt.Fprintf(&p.buf, "file %q %d %d", p.location(c), c.span.Offset, c.span.Length)
		if !c.dense() {
			p.buf.WriteString(" as " + payload(c.field))
		}
	case c.DType == String:
		p.value("{" + strings.Trim(list("", c.strings, func(b []byte) string { return strconv.Quote(string(b)) }), "[]") + "}")
	default:
		if s, ok := elementsText(c.small); ok {
			p.value("{" + s + "}")
		} else {
			p.value(fmt.Sprintf("base64 %q", base64.StdEncoding.EncodeToString(c.small.Data)))
		}
	}
}

// elementsText returns the elements of a short tensor as text, if each can be read back exactly.
func elementsText(t *Tensor) (string, bool) {
	if t.Len() > byValue {
		return "", false
	}
	var out []string
	switch {
	case t.DType == Float64:
		for b := t.Data; len(b) >= 8; b = b[8:] {
			out = append(out, strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)), 'g', -1, 64))
		}
	case t.DType.IsFloat():
		fs, _ := t.Float32s()
		for _, f := range fs {
			out = append(out, strconv.FormatFloat(float64(f), 'g', -1, 32))
		}
	case t.DType == Uint64:
		for b := t.Data; len(b) >= 8; b = b[8:] {
			out = append(out, strconv.FormatUint(binary.LittleEndian.Uint64(b), 10))
		}
	default:
		is, err := t.Int64s()
		if err != nil {
			return "", false
		}
		for _, i := range is {
			out = append(out, strconv.FormatInt(i, 10))
		}
	}
	back := &Tensor{DType: t.DType}
	for _, s := range out {
		if err := appendElement(back, s); err != nil {
			return "", false
		}
	}
	return strings.Join(out, ", "), string(back.Data) == string(t.Data) // false for a NaN with a payload
}

// appendElement reads one number into a tensor.
func appendElement(t *Tensor, s string) error {
	bits := int(t.DType.Bits())
	var u uint64
	switch {
	case t.DType == Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return err
		}
		u = math.Float64bits(f)
	case t.DType.IsFloat():
		f, err := strconv.ParseFloat(s, 32)
		if err != nil {
			return err
		}
		switch t.DType {
		case Float32:
			u = uint64(math.Float32bits(float32(f)))
		case Float16:
			u = uint64(float32to16(float32(f)))
		case BFloat16:
			u = uint64(float32toBF16(float32(f)))
		}
	case t.DType == Uint8, t.DType == Uint16, t.DType == Uint32, t.DType == Uint64:
		var err error
		if u, err = strconv.ParseUint(s, 10, bits); err != nil {
			return err
		}
	case t.DType == Int8, t.DType == Int16, t.DType == Int32, t.DType == Int64:
		i, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			return err
		}
		u = uint64(i)
	case t.DType == Bool:
		b, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			return err
		}
		u = b
	default:
		return fmt.Errorf("values of %v are written in base64", t.DType)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], u)
	t.Data = append(t.Data, b[:bits/8]...)
	return nil
}

// float32to16 rounds to the nearest IEEE 754 half, ties to even.
func float32to16(f float32) uint16 {
	b := math.Float32bits(f)
	sign, exp, frac := uint16(b>>31)<<15, int(b>>23)&255-127, b&(1<<23-1)
	switch {
	case exp == 128 && frac != 0:
		return sign | 0x7e00
	case exp > 15:
		return sign | 0x7c00
	case exp < -25:
		return sign
	}
	shift := 13
	if exp < -14 { // subnormal: the leading 1 becomes explicit and moves right
		frac |= 1 << 23
		shift += -14 - exp
		exp = -15
	}
	half := uint32(exp+15)<<10 | frac>>shift
	rest, tie := frac&(1<<shift-1), uint32(1)<<(shift-1)
	if rest > tie || rest == tie && half&1 == 1 {
		half++ // a carry into the exponent is correct
	}
	return sign | uint16(half)
}

// float32toBF16 rounds to the nearest bfloat16, the upper half of a float32, ties to even.
func float32toBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
