package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// maxFile is the largest protobuf message that readers accept, in bytes.
const maxFile = 1<<31 - 1

// externalFrom is the size in bytes from which a tensor is stored in the external data file, as in Python's onnx package.
const externalFrom = 1024

// piece is a part of the file: bytes, optionally followed by the data of a weight.
type piece struct {
	head msg
	data *weight
}

func (p piece) bytes() int64 {
	n := int64(len(p.head))
	if p.data != nil {
		n += p.data.bytes()
	}
	return n
}

// stored is a weight and its offset in the external data file.
type stored struct {
	*weight
	offset int64
}

// write writes m to path, with the files that belong beside it. With external, large tensors are written to path+m.dataSuffix,
// in file order and without gaps. With sparse, that file has its full length and the masks, which affect what the graph
// computes, but no weights. A file gets its name only when it is complete.
func write(m *model, path string, external, sparse bool) (err error) {
	location := filepath.Base(path) + m.dataSuffix
	graph := []piece{{head: msg(m.nodes).str(2, "main_graph")}}
	var outside []stored
	var offset int64
	for i := range m.weights {
		w := &m.weights[i]
		t := tensorHead(w.dtype, w.name, w.dims)
		if external && w.bytes() >= externalFrom {
			t = entry(t, "location", location)
			t = entry(t, "offset", strconv.FormatInt(offset, 10))
			t = entry(t, "length", strconv.FormatInt(w.bytes(), 10)).num(14, 1)
			outside = append(outside, stored{w, offset})
			offset += w.bytes()
			graph = append(graph, piece{head: msg(nil).sub(5, t)})
			continue
		}
		t = t.open(9, w.bytes())
		graph = append(graph, piece{msg(nil).open(5, int64(len(t))+w.bytes()), nil}, piece{t, w})
	}
	graph = append(graph, piece{head: append(m.inputs, m.outputs...)})

	var total int64
	for _, p := range graph {
		total += p.bytes()
	}
	head := msg(nil).num(1, m.ir).str(2, m.producer).str(3, "random weights").open(7, total)
	var tail msg
	for _, o := range m.opsets {
		tail = tail.sub(8, msg(nil).str(1, o.domain).num(2, o.version))
	}
	if total += int64(len(head) + len(tail)); total > maxFile {
		return fmt.Errorf("write %q: %d bytes inline, but a protobuf file ends at %d: use -external", path, total, maxFile)
	}

	if external {
		err = writeWhole(path+m.dataSuffix, func(f *os.File, b *bufio.Writer) error {
			if sparse {
				return writeMasks(f, outside, offset)
			}
			for _, s := range outside {
				if err := s.writeTo(b); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for name, content := range m.beside {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), content, 0o644); err != nil {
			return err
		}
	}
	return writeWhole(path, func(_ *os.File, b *bufio.Writer) error {
		pieces := append([]piece{{head: head}}, graph...)
		for _, p := range append(pieces, piece{head: tail}) {
			if _, err := b.Write(p.head); err != nil {
				return err
			}
			if p.data != nil {
				if err := p.data.writeTo(b); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// writeMasks sets the length of f and writes the bool tensors of its content.
func writeMasks(f *os.File, content []stored, length int64) error {
	if err := f.Truncate(length); err != nil {
		return err
	}
	for _, s := range content {
		if s.dtype != boolType {
			continue
		}
		if err := s.writeTo(io.NewOffsetWriter(f, s.offset)); err != nil {
			return err
		}
	}
	return nil
}

// entry appends one key of TensorProto.external_data.
func entry(t msg, key, value string) msg {
	return t.sub(13, msg(nil).str(1, key).str(2, value))
}

// writeWhole writes a file under a temporary name and renames it at the end.
func writeWhole(path string, fill func(*os.File, *bufio.Writer) error) (err error) {
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			err = errors.Join(fmt.Errorf("write %q: %w", path, err), os.Remove(f.Name()))
		}
	}()
	b := bufio.NewWriterSize(f, 256<<10)
	if err := fill(f, b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
