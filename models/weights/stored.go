package weights

import (
	"fmt"

	"github.com/onnx-inject/onnx-inject/graph"
)

// stored is a matrix as it lies in the file. What its methods return stays valid until the next call and is read only.
type stored interface {
	read(from, n int64) ([]float32, error) // rows [from, from+n)
	column(j int64) ([]float32, error)
}

// payload gives ranges of a constant's bytes: read from disk when asked for, or cut from memory where the constant is
// small or not stored in its dense form.
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

// dense is a matrix of floats, or of bytes with scale and zero point.
type dense struct {
	payload
	dtype       graph.DType
	rows, cols  int64
	size        int64     // bytes of an element
	scale, zero []float32 // nil for floats; one element, or one for each index of axis
	axis        int
	out         []float32
}

func openDense(w *Weight, rows, cols int64) (*dense, error) {
	c := w.Store
	if c == nil {
		return nil, fmt.Errorf("no stored tensor")
	}
	dims := MatrixDims(c)
	if len(dims) != 2 || dims[0] != rows || dims[1] != cols {
		return nil, fmt.Errorf("want a tensor [%d %d], got %v", rows, cols, c.Dims)
	}
	d := &dense{dtype: c.DType, rows: rows, cols: cols, size: c.DType.Bits() / 8}
	switch {
	case w.ScaleBlock != 0:
		return nil, fmt.Errorf("%v with a scale for each %d values cannot be read, only run", c.DType, w.ScaleBlock)
	case c.DType.IsFloat() && w.Scale == nil:
	case (c.DType == graph.Int8 || c.DType == graph.Uint8) && w.Scale != nil:
		d.axis = w.Axis
		if d.axis < 0 {
			d.axis += 2 // counted from the end, as ONNX allows
		}
		if d.axis != 0 && d.axis != 1 {
			return nil, fmt.Errorf("scale along axis %d of a matrix", w.Axis)
		}
		var err error
		if d.scale, err = numbers(w.Scale); err != nil {
			return nil, fmt.Errorf("scale: %w", err)
		}
		if n := int64(len(d.scale)); n != 1 && n != dims[d.axis] {
			return nil, fmt.Errorf("want 1 or %d scales, got %d", dims[d.axis], n)
		}
		d.zero = make([]float32, len(d.scale))
		if w.Zero != nil {
			z, err := numbers(w.Zero)
			if err != nil {
				return nil, fmt.Errorf("zero point: %w", err)
			}
			if len(z) != len(d.scale) && len(z) != 1 {
				return nil, fmt.Errorf("want %d zero points, got %d", len(d.scale), len(z))
			}
			for i := range d.zero {
				d.zero[i] = z[min(i, len(z)-1)]
			}
		}
	default:
		return nil, fmt.Errorf("want floats, or int8 or uint8 with a scale, got %v (scale %v)", c.DType, w.Scale != nil)
	}
	var err error
	d.payload, err = openPayload(c)
	return d, err
}

func (d *dense) read(from, n int64) ([]float32, error) {
	raw, err := d.at(from*d.cols*d.size, n*d.cols*d.size)
	if err != nil {
		return nil, err
	}
	return d.decode(raw, from, 0, d.cols)
}

// column reads what lies between the first and the last element of a block of rows. Where a row is longer than a page
// the block is one row, so only the elements themselves are read.
func (d *dense) column(j int64) ([]float32, error) {
	step := int64(1)
	if d.cols*d.size <= 4096 {
		step = blockBytes / (d.cols * d.size)
	}
	raw := make([]byte, 0, d.rows*d.size)
	for from := int64(0); from < d.rows; from += step {
		n := min(step, d.rows-from)
		b, err := d.at((from*d.cols+j)*d.size, ((n-1)*d.cols+1)*d.size)
		if err != nil {
			return nil, err
		}
		for r := range n {
			raw = append(raw, b[r*d.cols*d.size:][:d.size]...)
		}
	}
	return d.decode(raw, 0, j, 1)
}

// decode turns the bytes of a rectangle with its corner at (row, col), cols wide, into numbers.
func (d *dense) decode(raw []byte, row, col, cols int64) ([]float32, error) {
	n := int64(len(raw)) / d.size
	if d.scale == nil {
		return (&graph.Tensor{DType: d.dtype, Dims: []int64{n}, Data: raw}).Float32s()
	}
	if int64(cap(d.out)) < n {
		d.out = make([]float32, n)
	}
	out := d.out[:n]
	for i, b := range raw {
		q := float32(b)
		if d.dtype == graph.Int8 {
			q = float32(int8(b))
		}
		k := int64(0)
		switch {
		case len(d.scale) == 1:
		case d.axis == 0:
			k = row + int64(i)/cols
		default:
			k = col + int64(i)%cols
		}
		out[i] = (q - d.zero[k]) * d.scale[k]
	}
	return out, nil
}

// blocks is a matrix of com.microsoft.MatMulNBits: each row is cut into blocks of size values with a scale and a zero point.
// A row is a column of W.
type blocks struct {
	payload
	bits, size, perRow int64 // perRow: blocks in a row
	rows, cols         int64
	scale, zero        []float32 // [rows*perRow]
	out                []float32
}

func openBlocks(b *Block, rows, cols int64) (*blocks, error) {
	if b.Bits != 2 && b.Bits != 4 && b.Bits != 8 || b.Size < 8 || b.Size%8 != 0 {
		return nil, fmt.Errorf("blocks of %d values of %d bits", b.Size, b.Bits)
	}
	if b.Packed == nil || b.Scales == nil {
		return nil, fmt.Errorf("blocks without data or without scales")
	}
	s := &blocks{bits: b.Bits, size: b.Size, perRow: (cols-1)/b.Size + 1, rows: rows, cols: cols}
	want, err := graph.ByteSize(graph.Uint8, []int64{rows, s.perRow, s.size / 8, s.bits})
	if err != nil {
		return nil, fmt.Errorf("blocks of %d values of %d bits: %w", b.Size, b.Bits, err)
	}
	n := rows * s.perRow // in range, as want is larger
	if b.Packed.DType != graph.Uint8 || b.Packed.Len() != want {
		return nil, fmt.Errorf("want %d bytes for %d blocks, got %v%v", want, n, b.Packed.DType, b.Packed.Dims)
	}
	if s.scale, err = numbers(b.Scales); err != nil {
		return nil, fmt.Errorf("scales: %w", err)
	}
	if int64(len(s.scale)) != n {
		return nil, fmt.Errorf("want %d scales, got %d", n, len(s.scale))
	}
	if s.zero, err = s.zeros(b.Zeros); err != nil {
		return nil, fmt.Errorf("zero points: %w", err)
	}
	s.payload, err = openPayload(b.Packed)
	return s, err
}

// zeros returns a zero point for each block: 2^(bits-1) when the file gives none; packed like the values, each row padded
// to a byte; or floats, one for each block.
func (s *blocks) zeros(c *graph.Const) ([]float32, error) {
	out := make([]float32, s.rows*s.perRow)
	if c == nil {
		for i := range out {
			out[i] = float32(int64(1) << (s.bits - 1))
		}
		return out, nil
	}
	if c.DType.IsFloat() {
		z, err := numbers(c)
		if err == nil && len(z) != len(out) {
			err = fmt.Errorf("want %d, got %d", len(out), len(z))
		}
		return z, err
	}
	stride := (s.perRow*s.bits + 7) / 8
	if c.DType != graph.Uint8 || c.Len() != s.rows*stride {
		return nil, fmt.Errorf("want %d bytes, got %v%v", s.rows*stride, c.DType, c.Dims)
	}
	t, err := c.Load()
	if err != nil {
		return nil, err
	}
	for r := range s.rows {
		for k := range s.perRow {
			out[r*s.perRow+k] = float32(unpack(t.Data[r*stride:], k, s.bits))
		}
	}
	return out, nil
}

// unpack returns value k of a packed row, low bits first.
func unpack(b []byte, k, bits int64) byte {
	at := k * bits
	return b[at/8] >> (at % 8) & (1<<bits - 1)
}

func (s *blocks) read(from, n int64) ([]float32, error) {
	stride := s.perRow * s.size * s.bits / 8
	raw, err := s.at(from*stride, n*stride)
	if err != nil {
		return nil, err
	}
	if int64(cap(s.out)) < n*s.cols {
		s.out = make([]float32, n*s.cols)
	}
	out := s.out[:n*s.cols]
	for r := range n {
		for k := range s.cols {
			b := (from+r)*s.perRow + k/s.size
			out[r*s.cols+k] = (float32(unpack(raw[r*stride:], k, s.bits)) - s.zero[b]) * s.scale[b]
		}
	}
	return out, nil
}

// column decodes all rows: the blocks run along a row, and nothing that is done often asks for a column.
func (s *blocks) column(j int64) ([]float32, error) {
	out := make([]float32, 0, s.rows)
	step := max(1, blockBytes/(4*s.cols))
	for from := int64(0); from < s.rows; from += step {
		x, err := s.read(from, min(step, s.rows-from))
		if err != nil {
			return nil, err
		}
		for r := j; r < int64(len(x)); r += s.cols {
			out = append(out, x[r])
		}
	}
	return out, nil
}

// numbers reads a small constant, floats or integers, as float32.
func numbers(c *graph.Const) ([]float32, error) {
	t, err := c.Load()
	if err != nil {
		return nil, err
	}
	if t.DType.IsFloat() {
		return t.Float32s()
	}
	ints, err := t.Int64s()
	out := make([]float32, len(ints))
	for i, x := range ints {
		out[i] = float32(x)
	}
	return out, err
}
