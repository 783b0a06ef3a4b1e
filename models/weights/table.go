package weights

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
)

// payload returns ranges of a constant's bytes: read from disk on demand, or cut from memory if the constant is small or
// not stored in its dense form.
type payload struct {
	data []byte
	span graph.Span
	buf  []byte
}

func openPayload(c *graph.Const) (payload, error) {
	if s, ok := c.Span(); ok {
		return payload{span: s}, nil
	}
	t, err := c.Load()
	if err != nil {
		return payload{}, err
	}
	return payload{data: t.Data}, nil
}

func (p *payload) at(off, n int64) ([]byte, error) {
	if p.span.File == nil {
		return p.data[off : off+n], nil
	}
	if int64(cap(p.buf)) < n {
		p.buf = make([]byte, n)
	}
	b := p.buf[:n]
	if _, err := p.span.ReadAt(b, off); err != nil {
		return nil, fmt.Errorf("%v: %w", p.span, err)
	}
	return b, nil
}

// table is a constant viewed as a matrix of numbers, floats or integers of any width.
type table struct {
	payload
	dtype      graph.DType
	rows, cols int64
	bits       int64 // width of a number
	stride     int64 // bits from one row to the next: rows may be padded
	raw        []byte
	out        []float32
}

// openTable opens a constant as rows of cols numbers. bits is the width of a number if bytes hold several numbers, and 0
// for the width of the constant's own type. The rest of a row is padding.
func openTable(c *graph.Const, bits, rows, cols int64) (*table, error) {
	t := &table{dtype: c.DType, rows: rows, cols: cols, bits: bits}
	if bits == 0 {
		t.bits = c.DType.Bits()
	}
	if whole := t.bits == c.DType.Bits(); t.bits == 0 || !whole && (c.DType != graph.Uint8 || 8%t.bits != 0) {
		return nil, fmt.Errorf("numbers of %d bits in %v", t.bits, c.DType)
	}
	total := c.Len() * c.DType.Bits()
	t.stride = total / rows
	if t.stride*rows != total || t.stride/t.bits < cols {
		return nil, fmt.Errorf("want %d rows of %d numbers of %d bits, got %v%v", rows, cols, t.bits, c.DType, c.Dims)
	}
	var err error
	t.payload, err = openPayload(c)
	return t, err
}

// rect returns the numbers of a rectangle, row by row. They are valid until the next call and must not be changed.
func (t *table) rect(row, rows, col, cols int64) ([]float32, error) {
	if t.bits >= 8 && cols*t.bits == t.stride { // the rows of the rectangle are contiguous
		raw, err := t.at(row*t.stride/8, rows*t.stride/8)
		if err != nil {
			return nil, err
		}
		return t.decode(raw, rows*cols)
	}
	if int64(cap(t.out)) < rows*cols {
		t.out = make([]float32, rows*cols)
	}
	if t.bits >= 8 {
		t.raw = t.raw[:0]
		err := t.each(row, rows, col, cols, func(b []byte, _ int64) { t.raw = append(t.raw, b...) })
		if err != nil {
			return nil, err
		}
		return t.decode(t.raw, rows*cols)
	}
	out := t.out[:0]
	err := t.each(row, rows, col, cols, func(b []byte, bit int64) { out = t.unpack(out, b, bit, cols) })
	return out, err
}

// each calls f for each row of a rectangle, with the bytes that hold its numbers and the bit at which the first one begins.
// Rows shorter than a page are read many at a time. Of longer rows, only the requested part is read.
func (t *table) each(row, rows, col, cols int64, f func(b []byte, bit int64)) error {
	step := int64(1)
	if t.stride <= 8*4096 || 2*cols*t.bits > t.stride {
		step = max(1, 8*blockBytes/t.stride)
	}
	for from := row; from < row+rows; from += step {
		n := min(step, row+rows-from)
		first := from*t.stride + col*t.bits
		end := first + (n-1)*t.stride + cols*t.bits
		b, err := t.at(first/8, (end+7)/8-first/8)
		if err != nil {
			return err
		}
		for r := range n {
			at := first%8 + r*t.stride
			f(b[at/8:(at+cols*t.bits+7)/8], at%8)
		}
	}
	return nil
}

// unpack appends n numbers of less than 8 bits, low bits first.
func (t *table) unpack(out []float32, b []byte, bit, n int64) []float32 {
	mask, sign := byte(1)<<t.bits-1, byte(0)
	if t.dtype == graph.Int4 {
		sign = 1 << (t.bits - 1)
	}
	for at := bit; at < bit+n*t.bits; at += t.bits {
		q := b[at/8] >> (at % 8) & mask
		out = append(out, float32(int(q)-int(q&sign)<<1))
	}
	return out
}

// decode turns n numbers of whole bytes into floats.
func (t *table) decode(raw []byte, n int64) ([]float32, error) {
	x := &graph.Tensor{DType: t.dtype, Dims: []int64{n}, Data: raw}
	if t.dtype.IsFloat() {
		return x.Float32s()
	}
	if int64(cap(t.out)) < n {
		t.out = make([]float32, n)
	}
	out := t.out[:n]
	switch t.dtype {
	case graph.Uint8:
		for i, b := range raw {
			out[i] = float32(b)
		}
	case graph.Int8:
		for i, b := range raw {
			out[i] = float32(int8(b))
		}
	default:
		ints, err := x.Int64s()
		if err != nil {
			return nil, err
		}
		for i, v := range ints {
			out[i] = float32(v)
		}
	}
	return out, nil
}
