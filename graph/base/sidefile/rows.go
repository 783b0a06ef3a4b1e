package sidefile

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
)

// Rows reads a CSV file one row at a time. A row that is too long is refused, so that a file without an end of a line, or
// with a quotation mark that is never closed, does not fill the memory.
type Rows struct {
	csv *csv.Reader
	in  window
	raw []byte
}

// NewRows reads from r. No row may have more than mostRow bytes.
func NewRows(r io.Reader, mostRow int) *Rows {
	x := &Rows{in: window{r: r, most: mostRow}}
	x.csv = csv.NewReader(bufio.NewReaderSize(&x.in, 64<<10))
	x.csv.ReuseRecord = true
	return x
}

// Read returns the fields of the next row, which are valid until the next call. At the end, the error is [io.EOF].
func (r *Rows) Read() ([]string, error) {
	before := r.csv.InputOffset()
	fields, err := r.csv.Read()
	r.raw = r.in.take(int(r.csv.InputOffset() - before))
	if r.in.err != nil && err != nil { // encoding/csv may take it for a missing quotation mark
		err = r.in.err
	}
	return fields, err
}

// Raw returns the bytes of the last row as they are in the file, valid until the next call of Read.
func (r *Rows) Raw() []byte { return r.raw }

// Line is the line on which a field of the last row begins, from 1.
func (r *Rows) Line(field int) int {
	line, _ := r.csv.FieldPos(field)
	return line
}

// Offset is the number of bytes up to the end of the last row.
func (r *Rows) Offset() int64 { return r.csv.InputOffset() }

// window passes bytes on and keeps those that no row has taken yet.
type window struct {
	r    io.Reader
	most int
	kept []byte
	err  error // other than io.EOF
}

func (w *window) Read(p []byte) (int, error) {
	if len(w.kept) > w.most {
		w.err = fmt.Errorf("want rows of at most %s, got more: is a quotation mark missing?", size(int64(w.most)))
		return 0, w.err
	}
	n, err := w.r.Read(p)
	w.kept = append(w.kept, p[:n]...)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func (w *window) take(n int) []byte {
	taken := w.kept[:n:n]
	w.kept = w.kept[n:]
	return taken
}
