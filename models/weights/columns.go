package weights

import "fmt"

// Columns reads a matrix W [In, Out] by ranges of its columns, for instance the columns of W_U for a range of tokens. It
// never holds more than the range.
type Columns struct {
	In, Out int64
	// Transposed means that a range of n columns is returned as [n, In], a row for each column, instead of [In, n]. This is
	// the order of the file, so no number is moved.
	Transposed bool

	m *opened
}

// Columns opens W for reading by columns.
func (w *Weight) Columns() (*Columns, error) {
	m, err := w.open()
	if err != nil {
		return nil, err
	}
	return &Columns{In: w.In, Out: w.Out, Transposed: m.flip, m: m}, nil
}

// Read returns columns [from, from+n). They are valid until the next call and must not be changed.
func (c *Columns) Read(from, n int64) ([]float32, error) {
	if from < 0 || n < 1 || from+n > c.Out {
		return nil, c.m.fail(fmt.Errorf("columns %d to %d of %d", from, from+n-1, c.Out))
	}
	var x []float32
	var err error
	if c.Transposed {
		x, err = c.m.rect(from, n, 0, c.In)
	} else {
		x, err = c.m.rect(0, c.In, from, n)
	}
	if err != nil {
		return nil, c.m.fail(err)
	}
	if c.m.alpha != 1 {
		x = append([]float32(nil), x...) // it may be the memory of a constant of the file
		c.m.scale(x)
	}
	return x, nil
}
