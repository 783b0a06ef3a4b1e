package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

const (
	stretch = 8 << 20   // bytes copied at a time; then the system starts to write them to the disk
	window  = 512 << 10 // buffer of a copy through memory; it fits the processor's cache
)

// copier appends spans of files to another file. It opens its own handles, because it moves their seek positions and the
// shared handles have other readers.
type copier struct {
	files map[*DataFile]*os.File
	buf   []byte
}

func (c *copier) close() {
	for _, f := range c.files {
		f.Close()
	}
}

// copy appends a span to w. It stops when ctx ends.
func (c *copier) copy(ctx context.Context, w io.Writer, s Span) error {
	from, err := c.source(s.File)
	if err != nil {
		return err
	}
	if _, err := from.Seek(s.Offset, io.SeekStart); err != nil {
		return err
	}
	out, file := w.(*atomicfile.File)
	for rest := s.Length; rest > 0; rest -= stretch {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.append(w, from, min(rest, stretch)); errors.Is(err, io.EOF) {
			return fmt.Errorf("%s became shorter after the model was loaded", s.File.Path)
		} else if err != nil {
			return err
		}
		if file {
			out.WriteBack()
		}
	}
	return nil
}

// append copies the next n bytes of a file. On Linux, Go copies from file to file in the kernel (copy_file_range), which
// may share blocks or send the request to a server. If the bytes have another offset within their pages in the target,
// nothing can be shared and the kernel copies page by page. That takes half as long again as a copy through memory.
func (c *copier) append(w io.Writer, from *os.File, n int64) error {
	if alike(w, from) {
		_, err := io.CopyN(w, from, n)
		return err
	}
	if c.buf == nil {
		c.buf = make([]byte, window)
	}
	done, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.LimitReader(from, n)}, c.buf)
	if err == nil && done < n {
		err = io.EOF
	}
	return err
}

// alike reports whether two files are at the same offset within a page.
func alike(w io.Writer, from *os.File) bool {
	to, ok := w.(io.Seeker)
	if !ok {
		return false
	}
	a, err1 := to.Seek(0, io.SeekCurrent)
	b, err2 := from.Seek(0, io.SeekCurrent)
	return err1 == nil && err2 == nil && (a-b)%align == 0
}

// source opens a file again, with a separate handle.
func (c *copier) source(d *DataFile) (*os.File, error) {
	if f := c.files[d]; f != nil {
		return f, nil
	}
	then, err := d.f.Stat()
	if err != nil {
		return nil, sayClosed(err)
	}
	f, err := os.Open(d.Real)
	if err != nil {
		return nil, err
	}
	if c.files == nil {
		c.files = map[*DataFile]*os.File{}
	}
	c.files[d] = f
	if now, err := f.Stat(); err != nil {
		return nil, err
	} else if !os.SameFile(now, then) {
		return nil, fmt.Errorf("%s was replaced after the model was loaded", d.Path)
	}
	return f, nil
}
