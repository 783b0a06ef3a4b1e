package vector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// The layout of a .npy file:
//
//	"\x93NUMPY" major minor  length of the header  header, a Python dict, padded with spaces and "\n"  numbers
//
// The length is uint16 in format 1.0 and uint32 in 2.0 and 3.0, which are for long headers and for headers in UTF-8.
const npyMagic = "\x93NUMPY"

var npyDTypes = map[string]graph.DType{"<f2": graph.Float16, "<f4": graph.Float32, "<f8": graph.Float64}

func readNPY(r io.ReaderAt, size int64) (*contents, error) {
	start := make([]byte, min(size, 12))
	if _, err := r.ReadAt(start, 0); err != nil && err != io.EOF {
		return nil, bare(err)
	}
	if !strings.HasPrefix(string(start), npyMagic) {
		return nil, fmt.Errorf("want a file that begins with %q, got %q", npyMagic, start[:min(len(start), len(npyMagic))])
	}
	if len(start) < 12 {
		return nil, fmt.Errorf("%d bytes, want a header", size)
	}
	var at, length int64
	switch version := [2]byte(start[6:8]); version {
	case [2]byte{1, 0}:
		at, length = 10, int64(binary.LittleEndian.Uint16(start[8:]))
	case [2]byte{2, 0}, [2]byte{3, 0}:
		at, length = 12, int64(binary.LittleEndian.Uint32(start[8:]))
	default:
		return nil, fmt.Errorf("npy format %d.%d, want 1.0 to 3.0", version[0], version[1])
	}
	if length > 1<<16 || at+length > size {
		return nil, fmt.Errorf("header of %d bytes in a file of %d", length, size)
	}
	header := make([]byte, length)
	if _, err := r.ReadAt(header, at); err != nil {
		return nil, bare(err)
	}
	t, err := parseNPYHeader(string(header))
	if err != nil {
		return nil, fmt.Errorf("npy header: %w", err)
	}
	t.offset = at + length
	want, err := graph.ByteSize(t.dtype, t.dims)
	if err != nil {
		return nil, err
	}
	if got := size - t.offset; got != want {
		return nil, fmt.Errorf("%d bytes of data, want %d for %v %v", got, want, t.dtype, t.dims)
	}
	return &contents{tensors: []tensor{t}}, nil
}

// parseNPYHeader parses {'descr': '<f4', 'fortran_order': False, 'shape': (3,), }: these keys, once each, in any order.
func parseNPYHeader(s string) (tensor, error) {
	p := &pyParser{rest: s}
	var descr string
	var fortran bool
	var t tensor
	seen := map[string]bool{}
	p.expect("{")
	for p.err == nil && !p.accept("}") {
		key := p.str()
		p.expect(":")
		if p.err == nil && seen[key] {
			return t, fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		switch key {
		case "descr":
			if descr = p.str(); p.err != nil {
				return t, errors.New("descr is not a plain type")
			}
		case "fortran_order":
			fortran = p.boolean()
		case "shape":
			t.dims = p.tuple()
		default:
			p.fail("key " + strconv.Quote(key))
		}
		if !p.accept(",") {
			p.expect("}")
			break
		}
	}
	if p.skip(); p.err == nil && p.rest != "" {
		p.fail("the end")
	}
	if p.err != nil {
		return t, p.err
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if !seen[key] {
			return t, fmt.Errorf("no %s", key)
		}
	}
	if strings.HasSuffix(descr, "O") {
		return t, hint.With(errors.New("dtype object is a pickle, which may run code when read"), `save numbers: numpy.save("v.npy", v.astype("<f4"))`)
	}
	if fortran {
		return t, hint.With(errors.New("the array is in Fortran order, want C order"), `numpy.save("v.npy", numpy.ascontiguousarray(v))`)
	}
	var ok bool
	if t.dtype, ok = npyDTypes[descr]; !ok {
		return t, hint.With(fmt.Errorf("dtype %q, want \"<f4\", \"<f8\" or \"<f2\"", descr), `numpy.save("v.npy", v.astype("<f4"))`)
	}
	return t, nil
}

// pyParser parses the subset of Python in a header. After an error it stays at its position.
type pyParser struct {
	rest string
	err  error
}

func (p *pyParser) skip() { p.rest = strings.TrimLeft(p.rest, " \n") }

func (p *pyParser) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("unexpected %s before %q", what, p.rest[:min(len(p.rest), 20)])
	}
}

func (p *pyParser) accept(s string) bool {
	p.skip()
	if p.err != nil || !strings.HasPrefix(p.rest, s) {
		return false
	}
	p.rest = p.rest[len(s):]
	return true
}

func (p *pyParser) expect(s string) {
	if !p.accept(s) && p.err == nil {
		p.err = fmt.Errorf("want %q, got %q", s, p.rest[:min(len(p.rest), 20)])
	}
}

func (p *pyParser) str() string {
	quote := `'`
	if p.accept(`"`) {
		quote = `"`
	} else {
		p.expect(`'`)
	}
	s, rest, ok := strings.Cut(p.rest, quote)
	if !ok || strings.ContainsAny(s, "\\\n") {
		p.fail("string")
	}
	if p.err != nil {
		return ""
	}
	p.rest = rest
	return s
}

func (p *pyParser) boolean() bool {
	if p.accept("True") {
		return true
	}
	p.expect("False")
	return false
}

func (p *pyParser) tuple() []int64 {
	var out []int64
	p.expect("(")
	for p.err == nil && !p.accept(")") {
		digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789"))]
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			p.fail("dimension")
		}
		p.rest = p.rest[len(digits):]
		out = append(out, n)
		if !p.accept(",") {
			p.expect(")")
			break
		}
		p.skip()
	}
	return out
}

// encodeNPY writes the same bytes as numpy.save. The format cannot store facts.
func encodeNPY(vectors []*Vector) ([]byte, error) {
	if n := len(vectors); n != 1 {
		return nil, hint.With(fmt.Errorf("%d vectors, but .npy holds one", n), "write .safetensors or .gguf")
	}
	v := vectors[0]
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }", len(v.Data))
	pad := 64 - (10+len(header)+1)%64
	header += strings.Repeat(" ", pad%64) + "\n"
	out := append([]byte(npyMagic), 1, 0)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(header)))
	out = append(out, header...)
	return appendFloats(out, v.Data), nil
}
