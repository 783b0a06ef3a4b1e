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
	stretch = 8 << 20   // bytes copied at a time, after which they start on their way to the disk
	window  = 512 << 10 // of a copy through memory: stays in the processor's cache
)

// copier streams spans of files to the end of another. It has handles of its own: the seek positions of the shared ones must
// not be fought over.
type copier struct {
	files map[*DataFile]*os.File
	buf   []byte
}

func (c *copier) close() {
	for _, f := range c.files {
		f.Close()
	}
}

// copy appends a span to w. It ends with the context.
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
			return fmt.Errorf("%s has become shorter meanwhile", s.File.Path)
		} else if err != nil {
			return err
		}
		if file {
			out.WriteBack()
		}
	}
	return nil
}

// append copies the next n bytes of a file. Go asks Linux to copy from file to file in the kernel (copy_file_range), which may
// share blocks, or send the request to a server. Where the bytes will lie otherwise in their pages than before, nothing can
// be shared, and the kernel goes page by page: half as fast again as through memory.
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

// alike reports whether two files stand at the same offset of a page.
func alike(w io.Writer, from *os.File) bool {
	to, ok := w.(io.Seeker)
	if !ok {
		return false
	}
	a, err1 := to.Seek(0, io.SeekCurrent)
	b, err2 := from.Seek(0, io.SeekCurrent)
	return err1 == nil && err2 == nil && (a-b)%align == 0
}

// source opens a file once more.
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
		return nil, fmt.Errorf("%s was replaced meanwhile", d.Path)
	}
	return f, nil
}
