package weights

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// stored is a matrix as stored in the file. rect returns a rectangle row by row. The result is read-only and valid until
// the next call.
type stored interface {
	rect(row, rows, col, cols int64) ([]float32, error)
}

// quantised is a matrix of integers that represent (q - zero) * scale. All numbers of a cell share a scale and a zero
// point. Scales and zero points are tables with one number per cell.
type quantised struct {
	*table
	cellRows, cellCols int64 // the size of a cell
	scale, zero        *table
	oneZero            float32 // the zero point if there is no table of zero points
	out                []float32
}

// openDense opens a matrix stored as one tensor: floats, or integers with one scale and zero point for the whole tensor,
// for each index of an axis, or for each block of values along an axis.
func openDense(w *Weight, rows, cols int64) (stored, error) {
	c := w.Store
	if c == nil {
		return nil, fmt.Errorf("no stored tensor: its form can be run but not read")
	}
	dims := MatrixDims(c)
	if len(dims) != 2 || dims[0] != rows || dims[1] != cols {
		return nil, fmt.Errorf("want a tensor [%d %d], got %v", rows, cols, c.Dims)
	}
	if c.DType.IsFloat() && w.Scale == nil {
		return openTable(c, 0, rows, cols)
	}
	if !slices.Contains([]graph.DType{graph.Int8, graph.Uint8, graph.Int4, graph.Uint4}, c.DType) || w.Scale == nil {
		return nil, fmt.Errorf("want floats, or integers of 4 or 8 bits with a scale, got %v (scale %v)", c.DType, w.Scale != nil)
	}
	axis := w.Axis
	if axis < 0 {
		axis += 2 // counted from the end, as ONNX allows
	}
	if axis != 0 && axis != 1 {
		return nil, fmt.Errorf("scale along axis %d of a matrix", w.Axis)
	}
	cell := [2]int64{rows, cols}
	switch {
	case w.ScaleBlock > 0:
		cell = [2]int64{1, 1}
		cell[axis] = w.ScaleBlock
		if want := []int64{ceil(rows, cell[0]), ceil(cols, cell[1])}; !slices.Equal(w.Scale.Dims, want) {
			return nil, fmt.Errorf("want scales %v, got %v", want, w.Scale.Dims)
		}
	case w.Scale.Len() != 1:
		cell[axis] = 1
	}
	s := &quantised{cellRows: cell[0], cellCols: cell[1]}
	var err error
	if s.table, err = openTable(c, 0, rows, cols); err != nil {
		return nil, err
	}
	return s, s.cells(w.Scale, w.Zero, 0)
}

// openBlocks opens a matrix whose rows are cut into blocks; see [Block].
func openBlocks(b *Block, rows, cols int64) (stored, error) {
	if b.Bits != 2 && b.Bits != 4 && b.Bits != 8 || b.Size < 8 || b.Size%8 != 0 {
		return nil, fmt.Errorf("blocks of %d values of %d bits", b.Size, b.Bits)
	}
	if b.Packed == nil || b.Scales == nil {
		return nil, fmt.Errorf("blocks without data or without scales")
	}
	s := &quantised{cellRows: 1, cellCols: b.Size}
	var err error
	if s.table, err = openTable(b.Packed, b.Bits, rows, cols); err != nil {
		return nil, err
	}
	// Without zero points, bytes are offset by the middle of their range; 4-bit types have no offset.
	if b.Packed.DType == graph.Uint8 {
		s.oneZero = float32(int64(1) << (b.Bits - 1))
	}
	if padding := s.stride - cols*s.bits; padding > 7 && s.stride != ceil(cols, b.Size)*b.Size*b.Bits {
		return nil, fmt.Errorf("want rows of %d values, or of whole blocks of %d, got %v%v", cols, b.Size, b.Packed.DType, b.Packed.Dims)
	}
	return s, s.cells(b.Scales, b.Zeros, b.Bits)
}

// cells opens the scales and the zero points, which may be packed like the values. bits is the width of the values then.
func (s *quantised) cells(scale, zero *graph.Const, bits int64) error {
	down, across := ceil(s.rows, s.cellRows), ceil(s.cols, s.cellCols)
	n := down * across
	if scale.Len() != n {
		return fmt.Errorf("want %d scales, got %d", n, scale.Len())
	}
	var err error
	if s.scale, err = openTable(scale, 0, down, across); err != nil {
		return fmt.Errorf("scales: %w", err)
	}
	packed := zero != nil && zero.DType == graph.Uint8 && bits > 0
	switch {
	case zero == nil:
		return nil
	case packed && zero.Len() != down*ceil(across*bits, 8):
		return fmt.Errorf("want %d bytes of zero points, got %v%v", down*ceil(across*bits, 8), zero.DType, zero.Dims)
	case packed:
	case zero.Len() == n:
		bits = 0
	case zero.Len() == 1: // one for all
		z, err := numbers(zero)
		if err == nil {
			s.oneZero = z[0]
		}
		return err
	default:
		return fmt.Errorf("want %d zero points, got %d", n, zero.Len())
	}
	if s.zero, err = openTable(zero, bits, down, across); err != nil {
		return fmt.Errorf("zero points: %w", err)
	}
	return nil
}

func ceil(n, of int64) int64 { return (n-1)/of + 1 }

func (s *quantised) rect(row, rows, col, cols int64) ([]float32, error) {
	q, err := s.table.rect(row, rows, col, cols)
	if err != nil {
		return nil, err
	}
	top, left := row/s.cellRows, col/s.cellCols
	down, across := (row+rows-1)/s.cellRows+1-top, (col+cols-1)/s.cellCols+1-left
	scale, err := s.scale.rect(top, down, left, across)
	if err != nil {
		return nil, err
	}
	var zero []float32
	if s.zero != nil {
		if zero, err = s.zero.rect(top, down, left, across); err != nil {
			return nil, err
		}
	}
	if cap(s.out) < len(q) {
		s.out = make([]float32, len(q))
	}
	out := s.out[:len(q)]
	for r := range rows {
		line, to := q[r*cols:(r+1)*cols], out[r*cols:(r+1)*cols]
		cell := ((row+r)/s.cellRows - top) * across
		for at := int64(0); at < cols; cell++ {
			z := s.oneZero
			if zero != nil {
				z = zero[cell]
			}
			end := min(cols, ((col+at)/s.cellCols+1)*s.cellCols-col)
			for factor := scale[cell]; at < end; at++ {
				to[at] = (line[at] - z) * factor
			}
		}
	}
	return out, nil
}
