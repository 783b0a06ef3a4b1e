package vector

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
)

// The keys of [Vector.Meta] that this project defines. Files may hold others.
const (
	MetaText       = "text"       // text of the memory
	MetaEncoding   = "encoding"   // encoding of the text as a vector: unembed, embed, layer
	MetaConvention = "convention" // weights used for the encoding: tl-folded, raw
	MetaLayer      = "layer"      // the layer it is meant for, from 0; absent when it is for any layer
	MetaModel      = "model"      // the model it is meant for
)

// shardMeta begins the keys of the facts about a whole file of captured values, which say nothing about a vector.
const shardMeta = "onnx_inject."

// maxFile is how large a file may be: a shard of a model has vectors, too, and a header says where.
const maxFile = 16 << 30

// MaxWidth is the largest d_model that is read or written.
const MaxWidth = 1 << 20

// A Vector is one memory.
type Vector struct {
	Name string            // its name among the tensors of the file; .npy has none
	Data []float32         // [d_model], finite
	Meta map[string]string // facts about it; nil or empty when there are none
}

// A format is one kind of file. To add one, write a file with two functions and a line here.
type format struct {
	ext    string
	read   func(r io.ReaderAt, size int64) (*contents, error)
	encode func(v []*Vector) ([]byte, error) // at least one
}

var formats = []format{
	{".npy", readNPY, encodeNPY},
	{".safetensors", readSafetensors, encodeSafetensors},
	{".gguf", readGGUF, encodeGGUF},
}

// Extensions returns the extensions of vector files.
func Extensions() []string {
	var out []string
	for _, f := range formats {
		out = append(out, f.ext)
	}
	return out
}

// contents is the description in the header of a file; the numbers are still in the file.
type contents struct {
	meta    map[string]string
	tensors []tensor
}

type tensor struct {
	name   string
	dtype  graph.DType
	dims   []int64
	offset int64             // from the start of the file; the reader has checked that the whole tensor is inside the file
	meta   map[string]string // facts about this tensor only
}

// Read returns the only vector of a file, or the one that path names: "file.safetensors#name", a row of a matrix
// "file.safetensors#name[row]", or a row of captured values "folder#hook[row]". Errors name the file, what was expected and what was found.
func Read(path string) (*Vector, error) {
	v, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read vector %q: %w", path, err)
	}
	return v, nil
}

func read(path string) (*Vector, error) {
	file, name, err := locate(path)
	if err != nil {
		return nil, err
	}
	var out *Vector
	err = open(file, func(r io.ReaderAt, c *contents) (err error) {
		if name != "" {
			t, err := c.named(name)
			if err == nil && t == nil {
				err = choose(fmt.Errorf("no tensor %q", name), file, c)
			}
			if err != nil {
				return err
			}
			out, err = c.vector(r, *t)
			return err
		}
		if n := len(c.tensors); n != 1 {
			return choose(fmt.Errorf("%d tensors, want one", n), file, c)
		}
		out, err = c.vector(r, c.tensors[0])
		return err
	})
	return out, err
}

// ReadAll returns all vectors of a file, in the order of their data.
func ReadAll(path string) ([]*Vector, error) {
	var out []*Vector
	err := open(path, func(r io.ReaderAt, c *contents) error {
		for _, t := range c.tensors {
			v, err := c.vector(r, t)
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read vectors %q: %w", path, err)
	}
	return out, nil
}

// choose adds the existing names to err.
func choose(err error, file string, c *contents) error {
	const few = 6
	var names []string
	for _, t := range c.tensors {
		if t.name != "" && len(names) < few {
			names = append(names, fmt.Sprintf("%q", file+"#"+t.name))
		}
	}
	if len(names) == 0 {
		return err
	}
	advice := "choose one: " + strings.Join(names, ", ")
	if more := len(c.tensors) - len(names); more > 0 {
		advice += fmt.Sprintf(" and %d more", more)
	}
	return hint.With(err, advice)
}

// File returns the file in which [Read] or [ReadAll] finds what path names, and whether path names a vector file or a folder of
// captured values at all.
func File(path string) (file string, ok bool) {
	file, name := splitPath(path)
	if name != "" && captured(file) {
		if row, err := shard(file, name); err == nil {
			file, _ = splitPath(row)
		}
		return file, true
	}
	_, err := formatOf(file)
	return file, err == nil
}

// locate returns the file that path means, and the name of a tensor or row in it.
func locate(path string) (file, name string, err error) {
	file, name = splitPath(path)
	if !captured(file) {
		return file, name, nil
	}
	if path, err = shard(file, name); err != nil {
		return "", "", err
	}
	file, name = splitPath(path)
	return file, name, nil
}

// splitPath splits off "#name" after a known extension, or after a folder.
func splitPath(path string) (file, name string) {
	if _, err := formatOf(path); err == nil {
		return path, ""
	}
	for i := range len(path) {
		if path[i] == '#' {
			if _, err := formatOf(path[:i]); err == nil || captured(path[:i]) {
				return path[:i], path[i+1:]
			}
		}
	}
	return path, ""
}

func formatOf(path string) (*format, error) {
	ext := strings.ToLower(filepath.Ext(path))
	for i := range formats {
		if formats[i].ext == ext {
			return &formats[i], nil
		}
	}
	want := strings.Join(Extensions(), ", ")
	switch ext {
	case ".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib":
		return nil, hint.With(fmt.Errorf("%s is a pickle, which may run code when read; want %s", ext, want),
			`in Python, where you trust the file: numpy.save("v.npy", torch.load("`+filepath.Base(path)+`", weights_only=True).float().numpy())`)
	case "":
		return nil, fmt.Errorf("no extension, want %s", want)
	}
	return nil, fmt.Errorf("extension %q, want %s", ext, want)
}

// open reads the header of a file and calls use while the file is open.
func open(file string, use func(io.ReaderAt, *contents) error) error {
	form, err := formatOf(file)
	if err != nil {
		return err
	}
	f, err := sidefile.Open(file, maxFile)
	if err != nil {
		return bare(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return bare(err)
	}
	c, err := form.read(f, info.Size())
	if err != nil {
		return err
	}
	return use(f, c)
}

// bare strips operation and path from a file error, because the caller names the file.
func bare(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}

// vector reads the numbers of t.
func (c *contents) vector(r io.ReaderAt, t tensor) (*Vector, error) {
	v, err := t.read(r)
	if err != nil {
		if t.name != "" {
			err = fmt.Errorf("tensor %q: %w", t.name, err)
		}
		return nil, err
	}
	meta := map[string]string{}
	for _, m := range []map[string]string{c.meta, t.meta} {
		for k, s := range m {
			if !strings.HasPrefix(k, shardMeta) {
				meta[k] = s
			}
		}
	}
	return &Vector{Name: t.name, Data: v, Meta: meta}, nil
}

func (t tensor) read(r io.ReaderAt) ([]float32, error) {
	d := int64(0)
	if n := len(t.dims); 1 <= n && n <= 3 {
		d = t.dims[n-1]
		if slices.ContainsFunc(t.dims[:n-1], func(d int64) bool { return d != 1 }) {
			d = 0
		}
	}
	switch {
	case d == 0:
		return nil, fmt.Errorf("shape %v, want [d], [1 d] or [1 1 d]", t.dims)
	case d > MaxWidth:
		return nil, fmt.Errorf("shape %v, want at most %d elements", t.dims, MaxWidth)
	case !t.dtype.IsFloat():
		return nil, fmt.Errorf("dtype %v, want float32, float16, bfloat16 or float64", t.dtype)
	}
	n, err := graph.ByteSize(t.dtype, t.dims)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, n)
	if _, err := r.ReadAt(raw, t.offset); err != nil {
		return nil, fmt.Errorf("data: %w", bare(err))
	}
	out, err := (&graph.Tensor{DType: t.dtype, Dims: t.dims, Data: raw}).Float32s()
	if err != nil {
		return nil, err
	}
	return out, finite(out)
}

func finite(v []float32) error {
	for i, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("element %d is %v as float32, want finite numbers", i, x)
		}
	}
	return nil
}
