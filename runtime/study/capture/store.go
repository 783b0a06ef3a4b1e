package capture

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// section is a part of the spool.
type section struct{ at, n int64 }

// sections returns where the spool has the values of a file, in the order of the file: hook by hook, and of a hook prompt by
// prompt.
func (s *shape) sections(p *plan, f *file) []section {
	type place struct{ batch, before int } // the batch of a prompt, and the rows of the batch before it
	places := make([]place, len(f.prompts))
	starts, rows := make([]int64, len(f.batches)), make([]int, len(f.batches))
	at := int64(0)
	for b, batch := range f.batches {
		starts[b] = at
		for _, i := range batch {
			places[i] = place{b, rows[b]}
			rows[b] += p.prompts[f.prompts[i]].rows()
		}
		at += s.recordBytes(p, f, batch)
	}
	var out []section
	hooksBefore := int64(0) // size of a row of the hooks before
	for h := range s.hooks {
		for i, q := range places {
			values := starts[q.batch] + recordHead + int64(rows[q.batch])
			at := values + int64(rows[q.batch])*hooksBefore + int64(q.before)*s.width(h)
			out = append(out, section{at, int64(p.prompts[f.prompts[i]].rows()) * s.width(h)})
		}
		hooksBefore += s.width(h)
	}
	return out
}

// statuses reads the statuses of the rows of a file from the spool.
func (s *shape) statuses(p *plan, f *file, spool io.ReaderAt) ([]status, error) {
	out := make([]status, f.rows)
	at := int64(0)
	for _, batch := range f.batches {
		buf := make([]byte, p.rowsOf(f, batch))
		if _, err := spool.ReadAt(buf, at+recordHead); err != nil {
			return nil, err
		}
		for _, i := range batch {
			n := p.prompts[f.prompts[i]].rows()
			for r := range n {
				out[f.offsets[i]+r] = status(buf[r])
			}
			buf = buf[n:]
		}
		at += s.recordBytes(p, f, batch)
	}
	return out, nil
}

// copyValues copies sections to w.
func copyValues(w io.Writer, spool io.ReaderAt, sections []section) error {
	var buf []byte
	for _, x := range sections {
		for x.n > 0 {
			n := min(x.n, 1<<20)
			buf = append(buf[:0], make([]byte, n)...)
			if _, err := spool.ReadAt(buf, x.at); err != nil {
				return err
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
			x.at, x.n = x.at+n, x.n-n
		}
	}
	return nil
}

// writeFile makes a safetensors file of the spool and returns the statuses of its rows. It writes the file
// completely or not at all.
func (s *shape) writeFile(dir string, number int, p *plan, spool io.ReaderAt) (map[int]string, error) {
	f := &p.files[number]
	path := filepath.Join(dir, vector.ShardName(number))
	rows, err := s.statuses(p, f, spool)
	if err != nil {
		return nil, err
	}
	sections, text := s.sections(p, f), statusText(rows)
	unsealed, err := s.header(f.rows, f.first, text, "")
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write(unsealed)
	if err := copyValues(h, spool, sections); err != nil {
		return nil, err
	}
	header, err := s.header(f.rows, f.first, text, hex.EncodeToString(h.Sum(nil)))
	if err != nil {
		return nil, err
	}
	out, err := atomicfile.Create(path, true)
	if err != nil {
		return nil, err
	}
	defer out.Abort()
	w := bufio.NewWriterSize(out.File, 1<<20)
	if _, err = w.Write(header); err == nil {
		err = copyValues(w, spool, sections)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return nil, &atomicfile.Error{Path: path, Err: err}
	}
	if err := out.Commit(); err != nil {
		return nil, err
	}
	return parseStatus(text)
}

// checkFile requires a file to be as it was written, and returns the statuses of its rows. The error wraps [fs.ErrNotExist] when
// there is no such file.
func (s *shape) checkFile(dir string, number int, f *file) (map[int]string, error) {
	name := vector.ShardName(number)
	in, err := sidefile.OpenOwn(filepath.Join(dir, name), math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	meta, length, err := readMeta(in)
	if err != nil {
		return nil, outdir.Damaged("%s: %w", name, err)
	}
	want, err := s.header(f.rows, f.first, meta[metaStatus], meta[metaSum])
	if err != nil {
		return nil, err
	}
	have := make([]byte, len(want))
	if _, err := in.ReadAt(have, 0); length != int64(len(want)) || err != nil || !bytes.Equal(have, want) {
		return nil, outdir.Damaged("%s: its header is not the one that this capture writes", name)
	}
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if all := length + s.dataBytes(f.rows); info.Size() != all {
		return nil, outdir.Damaged("%s has %d bytes, want %d", name, info.Size(), all)
	}
	unsealed, err := s.header(f.rows, f.first, meta[metaStatus], "")
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write(unsealed)
	if _, err := io.Copy(h, io.NewSectionReader(in, length, info.Size()-length)); err != nil {
		return nil, err
	}
	if hex.EncodeToString(h.Sum(nil)) != meta[metaSum] {
		return nil, outdir.Damaged("%s: its checksum does not fit: the values were changed after they were written", name)
	}
	return parseStatus(meta[metaStatus])
}

// readMeta reads the metadata of a file, and where its values begin.
func readMeta(in *os.File) (map[string]string, int64, error) {
	var start [8]byte
	if _, err := in.ReadAt(start[:], 0); err != nil {
		return nil, 0, errors.New("no header")
	}
	n := binary.LittleEndian.Uint64(start[:])
	if n > 100<<20 {
		return nil, 0, fmt.Errorf("a header of %d bytes", n)
	}
	text := make([]byte, n)
	if _, err := in.ReadAt(text, 8); err != nil {
		return nil, 0, errors.New("the header is incomplete")
	}
	var header struct {
		Meta map[string]string `json:"__metadata__"`
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return nil, 0, err
	}
	return header.Meta, 8 + int64(n), nil
}

// missing reports whether an error says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
