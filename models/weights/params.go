package weights

import (
	"fmt"
	"slices"

	"github.com/onnx-inject/onnx-inject/graph"
)

// Parameters are read on demand, in blocks of blockBytes. No method except Dense holds a whole matrix.

const blockBytes = 512 << 10 // fits the second-level cache, so that a block is still cached when it is summed

// Row returns row i of W: Out numbers.
func (w *Weight) Row(i int64) ([]float32, error) {
	m, err := w.open()
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= w.In {
		return nil, m.fail(fmt.Errorf("row %d of %d", i, w.In))
	}
	return m.line(i, !m.flip)
}

// Col returns column j of W: In numbers.
func (w *Weight) Col(j int64) ([]float32, error) {
	m, err := w.open()
	if err != nil {
		return nil, err
	}
	if j < 0 || j >= w.Out {
		return nil, m.fail(fmt.Errorf("column %d of %d", j, w.Out))
	}
	return m.line(j, m.flip)
}

// MeanRow returns the mean of all rows of W, Out numbers, in one pass over the file.
func (w *Weight) MeanRow() ([]float64, error) {
	m, err := w.open()
	if err != nil {
		return nil, err
	}
	return m.mean(!m.flip)
}

// MeanCol returns the mean of all columns of W, In numbers, in one pass over the file.
func (w *Weight) MeanCol() ([]float64, error) {
	m, err := w.open()
	if err != nil {
		return nil, err
	}
	return m.mean(m.flip)
}

// Dense returns all of W, row-major [In, Out].
func (w *Weight) Dense() ([]float32, error) {
	m, err := w.open()
	if err != nil {
		return nil, err
	}
	out := make([]float32, m.rows*m.cols)
	err = m.each(func(from int64, x []float32) {
		if !m.flip {
			copy(out[from*m.cols:], x)
			return
		}
		for r := range int64(len(x)) / m.cols {
			for c := range m.cols {
				out[c*m.rows+from+r] = x[r*m.cols+c]
			}
		}
	})
	m.scale(out)
	return out, err
}

// opened is a matrix that can be read: rows × cols as stored. It is W, or its transpose if flip is set.
type opened struct {
	stored
	rows, cols int64
	flip       bool
	alpha      float64
	node       *graph.Node
}

func (w *Weight) open() (*opened, error) {
	m := &opened{rows: w.In, cols: w.Out, flip: w.Transposed, alpha: w.Alpha, node: w.Node}
	if m.flip {
		m.rows, m.cols = w.Out, w.In
	}
	if m.rows <= 0 || m.cols <= 0 {
		return nil, m.fail(fmt.Errorf("shape [%d %d]", w.In, w.Out))
	}
	var err error
	if w.Block != nil {
		m.stored, err = openBlocks(w.Block, m.rows, m.cols)
	} else {
		m.stored, err = openDense(w, m.rows, m.cols)
	}
	if err != nil {
		return nil, m.fail(err)
	}
	return m, nil
}

// fail adds to an error whose weights could not be read.
func (m *opened) fail(err error) error {
	if m.node == nil {
		return fmt.Errorf("read weights: %w", err)
	}
	return fmt.Errorf("read weights of %v: %w", m.node, err)
}

// line returns stored row k, or stored column k.
func (m *opened) line(k int64, row bool) ([]float32, error) {
	var x []float32
	var err error
	if row {
		x, err = m.rect(k, 1, 0, m.cols)
	} else {
		x, err = m.rect(0, m.rows, k, 1)
	}
	if err != nil {
		return nil, m.fail(err)
	}
	x = slices.Clone(x) // a stored matrix returns its own buffer or the memory of a constant
	m.scale(x)
	return x, nil
}

func (m *opened) scale(x []float32) {
	if m.alpha == 1 {
		return
	}
	for i := range x {
		x[i] = float32(float64(x[i]) * m.alpha)
	}
}

// each calls f for each block of stored rows, in order. from is the number of the block's first row. The numbers are valid
// only during the call.
func (m *opened) each(f func(from int64, x []float32)) error {
	step := max(1, blockBytes/(4*m.cols))
	for from := int64(0); from < m.rows; from += step {
		x, err := m.rect(from, min(step, m.rows-from), 0, m.cols)
		if err != nil {
			return m.fail(err)
		}
		f(from, x)
	}
	return nil
}

// mean returns the mean of the stored rows, which has cols numbers, or the mean of the stored columns, which has rows
// numbers.
func (m *opened) mean(ofRows bool) ([]float64, error) {
	var out []float64
	count := m.cols
	add := func(_ int64, x []float32) { // one sum per stored row
		for row := range slices.Chunk(x, int(m.cols)) {
			out = append(out, sum(row))
		}
	}
	if ofRows {
		out, count = make([]float64, m.cols), m.rows
		add = func(_ int64, x []float32) {
			for row := range slices.Chunk(x, int(m.cols)) {
				for j, v := range row {
					out[j] += float64(v)
				}
			}
		}
	}
	if err := m.each(add); err != nil {
		return nil, err
	}
	for i := range out {
		out[i] *= m.alpha / float64(count)
	}
	return out, nil
}

// sum adds in four lanes, so that additions do not wait for each other.
func sum(x []float32) float64 {
	var a, b, c, d float64
	for len(x) >= 4 {
		a, b, c, d = a+float64(x[0]), b+float64(x[1]), c+float64(x[2]), d+float64(x[3])
		x = x[4:]
	}
	for _, v := range x {
		a += float64(v)
	}
	return a + b + c + d
}
