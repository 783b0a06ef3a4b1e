package graph

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"iter"
	"math/bits"
	"slices"
)

// smallFile is the largest size of a file that is always read whole when it is compared with a checksum. That takes 10 ms;
// reading 6 GB takes seconds, so larger files are sampled unless the caller asks for all of them.
const smallFile = 16 << 20

// sampleSize is how many bytes are read at each place of a sample.
const sampleSize = 64

// Small reports whether the file is read whole wherever it is compared with a checksum.
func (f *DataFile) Small() bool { return f.Size <= smallFile }

// Sample returns a checksum, in hexadecimal, of the size of the file and of 64 evenly spaced stretches of it. The cost is
// the same for a file of any size. It distinguishes different weights of the same shapes, but may miss a changed tensor;
// see [Model.SampleTensors].
func (f *DataFile) Sample() (string, error) {
	const stretches = 64
	h := f.sized()
	buf := make([]byte, min(sampleSize, f.Size))
	for i := range int64(stretches) {
		if err := f.sampleAt(h, buf, (f.Size-int64(len(buf)))/(stretches-1)*i); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// sized starts a checksum with the size of the file.
func (f *DataFile) sized() hash.Hash {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, f.Size) // cannot fail
	return h
}

func (f *DataFile) sampleAt(h hash.Hash, buf []byte, at int64) error {
	if n, err := f.readAt(buf, at); n < len(buf) {
		return fmt.Errorf("read %s at byte %d: %w", f.Path, at, err)
	}
	h.Write(buf)
	return nil
}

// SampleTensors returns a checksum, in hexadecimal, of a file's size and of a sample of every tensor that the model stores in
// the file: up to 256 stretches of 64 bytes. They are spread evenly over the rows of the tensor and over its columns, so that
// a sample of W_O holds numbers of each head, however the matrix is stored, and a sample of W_E numbers of each block of rows.
// It misses a change that is between the stretches of a tensor.
func (m *Model) SampleTensors(f *DataFile) (string, error) {
	type tensor struct {
		span Span
		rows int64
	}
	var tensors []tensor
	for c := range m.Constants() {
		s, large := c.Span()
		if large && s.File.Real == f.Real && s.Length > 0 {
			tensors = append(tensors, tensor{s, c.sampleRows()})
		}
	}
	slices.SortFunc(tensors, func(a, b tensor) int {
		return cmp.Or(cmp.Compare(a.span.Offset, b.span.Offset), cmp.Compare(a.span.Length, b.span.Length), cmp.Compare(a.rows, b.rows))
	})
	h := f.sized()
	for _, t := range slices.Compact(tensors) {
		buf := make([]byte, min(sampleSize, t.span.Length))
		for at := range places(t.span.Length, t.rows) {
			if err := f.sampleAt(h, buf, t.span.Offset+at); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// sampleRows returns the number of rows that a sample is spread over: the first dimension of a matrix.
func (c *Const) sampleRows() int64 {
	if len(c.Dims) < 2 || c.Dims[0] < 1 {
		return 1
	}
	return c.Dims[0]
}

// places yields the offsets at which a tensor of length bytes in rows is sampled. They are the points of a Hammersley set:
// point i of n is in row i/n, and in the column whose binary fraction is i with its bits reversed. Any run of 2^k points
// covers the columns evenly.
func places(length, rows int64) iter.Seq[int64] {
	size := min(sampleSize, length)
	n := int64(1) // a power of two: one stretch for every 4 KiB up to 32, which are enough for the heads of a model of this size
	for n < 32 && n*4096 < length {
		n *= 2
	}
	for more := int64(16 << 20); n >= 32 && n < 256 && length >= more; more *= 4 { // 64 from 16 MiB on, 128 from 64 MiB, 256 from 256 MiB
		n *= 2
	}
	shift := 64 - bits.Len64(uint64(n)) + 1
	return func(yield func(int64) bool) {
		width := length / rows
		for i := range n {
			column := int64(0)
			if n > 1 {
				column = max(0, width-size) / (n - 1) * int64(bits.Reverse64(uint64(i))>>shift)
			}
			if !yield(min(i*rows/n*width+column, length-size)) {
				return
			}
		}
	}
}

// Constants yields every tensor of the model's graphs: initializers and tensors in attributes of nodes, with the names of the
// values that hold them.
func (m *Model) Constants() iter.Seq2[*Const, string] {
	return func(yield func(*Const, string) bool) {
		for g := range m.Graphs() {
			for _, v := range g.inits {
				if !yield(v.init, v.name) {
					return
				}
			}
			for _, n := range g.nodes {
				for _, a := range n.attrs {
					if a.tensor != nil && !yield(a.tensor, n.Outputs()[0].Name()+"."+a.Name) {
						return
					}
				}
			}
		}
	}
}

// Equal reports whether two tensors have the same type, shape and bytes. Without whole it compares samples only, as
// [Model.SampleTensors] takes them. It returns the error of ctx when that ends.
func (c *Const) Equal(ctx context.Context, d *Const, whole bool) (bool, error) {
	if c.DType != d.DType || !slices.Equal(c.Dims, d.Dims) {
		return false, nil
	}
	if c.DType == String {
		return slices.EqualFunc(c.strings, d.strings, bytes.Equal), nil
	}
	length, size := c.ByteSize(), int64(window)
	offsets := func(yield func(int64) bool) {
		for at := int64(0); at < length && yield(at); at += size {
		}
	}
	s, onDisk := c.Span()
	if t, ok := d.Span(); onDisk && ok && s == t {
		return true, nil
	} else if !whole && onDisk && ok {
		size, offsets = min(sampleSize, length), places(length, c.sampleRows())
	}
	read := [2][]byte{make([]byte, min(size, length)), make([]byte, min(size, length))}
	for at := range offsets {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := min(size, length-at)
		for i, x := range []*Const{c, d} {
			if _, err := x.ReadAt(read[i][:n], at); err != nil {
				return false, err
			}
		}
		if !bytes.Equal(read[0][:n], read[1][:n]) {
			return false, nil
		}
	}
	return true, nil
}

// SHA256 reads the whole file and returns its SHA-256 in hexadecimal.
func (f *DataFile) SHA256(ctx context.Context) (string, error) { return f.sum(ctx, sha256.New()) }

// sum reads the whole file.
func (f *DataFile) sum(ctx context.Context, h hash.Hash) (string, error) {
	from := Span{f, 0, f.Size}
	buf := make([]byte, min(window, f.Size))
	for at := int64(0); at < f.Size; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), f.Size-at)]
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if _, err := from.ReadAt(buf, at); err != nil && err != io.EOF {
			return "", fmt.Errorf("read %s: %w", f.Path, err)
		}
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// declare records the checksum of a file that a tensor declares: its SHA-1 in hexadecimal (docs/ExternalData.md in ONNX). A
// small file is checked at once, a larger one by [Model.CheckData].
func (f *DataFile) declare(checksum string) error {
	switch {
	case checksum == "" || checksum == f.declared:
		return nil
	case f.declared != "":
		return fmt.Errorf("external data in %q: the checksums %s and %s of one file", f.Path, f.declared, checksum)
	}
	f.declared = checksum
	if f.f == nil || !f.Small() {
		return nil
	}
	return f.check(context.Background())
}

// check compares the file with the checksum that its model declares, if there is one.
func (f *DataFile) check(ctx context.Context) error {
	if f.declared == "" || f.checked.Load() {
		return nil
	}
	sum, err := f.sum(ctx, sha1.New())
	if err != nil {
		return err
	}
	if sum != f.declared {
		return fmt.Errorf("external data in %q: want the checksum (SHA-1) %s, got %s: the file is damaged or belongs to another model", f.Path, f.declared, sum)
	}
	f.checked.Store(true)
	return nil
}

// CheckData compares every external data file with the checksum that the model declares for it. It reads files that are
// larger than 16 MiB, which [Load] does not. It returns how many bytes are covered by a checksum.
func (m *Model) CheckData(ctx context.Context) (covered int64, err error) {
	for _, f := range m.Sources() {
		if err := f.check(ctx); err != nil {
			return covered, err
		}
		if f.declared != "" {
			covered += f.Size
		}
	}
	return covered, nil
}
