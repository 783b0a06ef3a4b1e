package vector

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// The layout of a .gguf file, version 3, little-endian:
//
//	"GGUF" uint32 version  uint64 tensors  uint64 facts  facts: key type value  tensors: name dims type offset  padding  numbers
//
// A string is a uint64 length and its bytes. The numbers, and each tensor among them, begin at a multiple of
// general.alignment (32 by default). A control vector has the architecture "controlvector" and a tensor direction.<layer>,
// float32 [n_embd], for each layer that it steers, from layer 1.
const (
	ggufMagic     = "GGUF"
	ggufVersion   = 3
	ggufAlignment = 32
	ggufF32       = 0 // the only ggml_type that llama.cpp accepts here

	ggufUint32 = 4
	ggufString = 8
	ggufArray  = 9

	ggufArch      = "controlvector"
	ggufModel     = ggufArch + ".model_hint"
	ggufCount     = ggufArch + ".layer_count"
	ggufOurs      = "onnx_inject." // prefix of each fact that this project defines
	ggufDirection = "direction."
	anyLayer      = "any"

	ggufMaxString = 1 << 20
)

// ggufSizes holds the size of each value type in bytes, 0 for strings and arrays, whose size is in the file.
var ggufSizes = [...]int64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

func readGGUF(r io.ReaderAt, size int64) (*contents, error) {
	g := &ggufReader{r: bufio.NewReader(io.NewSectionReader(r, 0, size)), size: size}
	tensors, facts, err := g.header()
	if err != nil {
		return nil, err
	}
	text, alignment, err := g.facts(facts)
	if err != nil {
		return nil, err
	}
	if arch := text["general.architecture"]; arch != ggufArch {
		return nil, hint.With(fmt.Errorf("architecture %q, want %q", arch, ggufArch), "the file is of another kind, such as a model or an adapter")
	}
	c := &contents{meta: map[string]string{}}
	for key, s := range text {
		if name, ok := strings.CutPrefix(key, ggufOurs); ok && name != MetaLayer {
			c.meta[name] = s
		}
	}
	if model := text[ggufModel]; model != "" {
		c.meta[MetaModel] = model
	}
	end, err := g.directions(c, tensors, alignment, text[ggufOurs+MetaLayer] == anyLayer)
	if err != nil {
		return nil, err
	}
	return c, c.place(align(g.at, alignment), end, size)
}

// header reads the magic, the version and the numbers of tensors and facts.
func (g *ggufReader) header() (tensors, facts uint64, err error) {
	magic := string(g.bytes(4))
	version := g.uint32()
	tensors, facts = g.uint64(), g.uint64()
	switch {
	case magic != ggufMagic && g.at >= 4:
		err = fmt.Errorf("want a file that begins with %q, got %q", ggufMagic, magic)
	case g.err != nil:
		err = g.err
	case version != ggufVersion:
		err = fmt.Errorf("gguf version %d, want %d", version, ggufVersion)
	}
	return tensors, facts, err
}

// facts reads the key-value pairs: the texts among them, and the alignment.
func (g *ggufReader) facts(n uint64) (text map[string]string, alignment int64, err error) {
	text, alignment = map[string]string{}, ggufAlignment
	seen := map[string]bool{}
	for i := uint64(0); i < n && g.err == nil; i++ {
		key := g.string()
		if seen[key] && g.err == nil {
			return nil, 0, fmt.Errorf("fact %q twice", key)
		}
		seen[key] = true
		switch kind := g.uint32(); {
		case kind == ggufString:
			text[key] = g.string()
		case key == "general.alignment":
			alignment = int64(g.uint32())
			if g.err == nil && (kind != ggufUint32 || alignment < 8 || alignment&(alignment-1) != 0) {
				return nil, 0, fmt.Errorf("alignment %d of type %d, want a power of two from 8 of type %d", alignment, kind, ggufUint32)
			}
		default:
			g.skipValue(kind)
		}
	}
	if g.err != nil {
		return nil, 0, fmt.Errorf("gguf facts: %w", g.err)
	}
	return text, alignment, nil
}

// directions reads the descriptions of the tensors and returns where the numbers end, from their start. The tensors of a vector for
// any layer name no layer.
func (g *ggufReader) directions(c *contents, n uint64, alignment int64, anyLayer bool) (end int64, err error) {
	seen := map[string]bool{}
	for i := uint64(0); i < n && g.err == nil; i++ {
		t, offset := g.tensor()
		if g.err != nil {
			break
		}
		layer, err := layerOf(t.name)
		switch {
		case err != nil:
		case offset != uint64(end):
			err = fmt.Errorf("offset %d, want %d: tensors must follow each other", offset, end)
		case seen[t.name]:
			err = errors.New("twice")
		}
		if err != nil {
			return 0, fmt.Errorf("tensor %q: %w", t.name, err)
		}
		seen[t.name] = true
		if !anyLayer {
			t.meta = map[string]string{MetaLayer: strconv.Itoa(layer)}
		}
		t.offset = end
		c.tensors = append(c.tensors, t)
		end = align(end+4*t.dims[0], alignment)
	}
	switch {
	case g.err != nil:
		return 0, fmt.Errorf("gguf tensors: %w", g.err)
	case len(c.tensors) == 0:
		return 0, errors.New("no directions")
	}
	return end, nil
}

// place moves the offsets to where the numbers begin, and compares their sizes with each other and with that of the file.
func (c *contents) place(data, end, size int64) error {
	for i, t := range c.tensors {
		if t.dims[0] != c.tensors[0].dims[0] {
			return fmt.Errorf("tensor %q has %d elements, %q has %d", t.name, t.dims[0], c.tensors[0].name, c.tensors[0].dims[0])
		}
		c.tensors[i].offset += data
	}
	last := c.tensors[len(c.tensors)-1]
	// Some writers omit the padding after the last tensor.
	if exact := last.offset + 4*last.dims[0]; size != exact && size != data+end {
		return fmt.Errorf("%d bytes, want %d", size, exact)
	}
	return nil
}

// align rounds up to a multiple of alignment, a power of two. MaxWidth bounds widths and the size of the file bounds counts,
// so nothing here overflows.
func align(n, alignment int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }

func layerOf(name string) (int, error) {
	s, ok := strings.CutPrefix(name, ggufDirection)
	layer, err := strconv.Atoi(s)
	if !ok || err != nil || layer < 1 || strconv.Itoa(layer) != s {
		return 0, fmt.Errorf("want a name %s1, %s2, …", ggufDirection, ggufDirection)
	}
	return layer, nil
}

// ggufReader reads the header. After an error it returns zeros.
type ggufReader struct {
	r        *bufio.Reader
	at, size int64
	err      error
}

// claim checks that the file has n more bytes.
func (g *ggufReader) claim(n uint64) bool {
	if g.err == nil && n > uint64(g.size-g.at) {
		g.err = fmt.Errorf("want %d bytes at %d of %d", n, g.at, g.size)
	}
	return g.err == nil
}

func (g *ggufReader) bytes(n uint64) []byte {
	if !g.claim(n) {
		return nil
	}
	b := make([]byte, n)
	_, g.err = io.ReadFull(g.r, b)
	g.at += int64(n)
	return b
}

func (g *ggufReader) skip(n uint64) {
	for g.claim(n) && n > 0 {
		step := min(n, 1<<30) // Discard takes an int
		_, g.err = g.r.Discard(int(step))
		g.at += int64(step)
		n -= step
	}
}

func (g *ggufReader) uint32() uint32 {
	if b := g.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (g *ggufReader) uint64() uint64 {
	if b := g.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (g *ggufReader) string() string {
	n := g.uint64()
	if n > ggufMaxString && g.err == nil {
		g.err = fmt.Errorf("string of %d bytes, want at most %d", n, ggufMaxString)
	}
	return string(g.bytes(n))
}

func (g *ggufReader) skipValue(kind uint32) {
	if kind != ggufArray {
		g.skip(uint64(g.sizeOf(kind)))
		return
	}
	kind = g.uint32()
	n := g.uint64()
	if kind == ggufString {
		for i := uint64(0); i < n && g.err == nil; i++ {
			g.skip(g.uint64())
		}
		return
	}
	size := uint64(g.sizeOf(kind))
	if size > 0 && n > math.MaxInt64/size {
		n = math.MaxInt64 / size // more than the size of any file
	}
	g.skip(n * size)
}

// sizeOf returns the size in bytes of a value that is not a string or an array.
func (g *ggufReader) sizeOf(kind uint32) int64 {
	if kind < uint32(len(ggufSizes)) && ggufSizes[kind] > 0 {
		return ggufSizes[kind]
	}
	if g.err == nil {
		g.err = fmt.Errorf("value of type %d", kind)
	}
	return 0
}

// tensor reads one entry of the list of tensors and its offset.
func (g *ggufReader) tensor() (t tensor, offset uint64) {
	t = tensor{name: g.string(), dtype: graph.Float32}
	dims := g.uint32()
	width := g.uint64()
	for i := uint32(1); i < min(dims, 4); i++ {
		g.uint64()
	}
	kind := g.uint32()
	offset = g.uint64()
	switch {
	case g.err != nil:
	case dims != 1:
		g.err = fmt.Errorf("tensor %q has %d dimensions, want 1", t.name, dims)
	case width < 1 || width > MaxWidth:
		g.err = fmt.Errorf("tensor %q has %d elements, want 1 to %d", t.name, width, MaxWidth)
	case kind != ggufF32:
		g.err = fmt.Errorf("tensor %q has ggml type %d, want %d: float32", t.name, kind, ggufF32)
	}
	t.dims = []int64{int64(width)}
	return t, offset
}

// encodeGGUF writes the vectors by ascending layer. Their facts must be the same, except the layer.
func encodeGGUF(vectors []*Vector) ([]byte, error) {
	facts := map[string]string{}
	for key, s := range shared(vectors) {
		if !ggufKey(key) {
			return nil, fmt.Errorf("fact %q: want a name of a-z, 0-9, _ and . in gguf", key)
		}
		if key != MetaModel && key != MetaLayer { // these are stored separately
			facts[ggufOurs+key] = s
		}
	}
	byLayer := map[int]*Vector{}
	for _, v := range vectors {
		layer, err := ggufLayer(v)
		if err != nil {
			return nil, err
		}
		if byLayer[layer] != nil {
			return nil, fmt.Errorf("two vectors for layer %d", layer)
		}
		byLayer[layer] = v
	}
	if _, ok := vectors[0].Meta[MetaLayer]; !ok {
		facts[ggufOurs+MetaLayer] = anyLayer
	}

	out := append([]byte(ggufMagic), ggufVersion, 0, 0, 0)
	out = binary.LittleEndian.AppendUint64(out, uint64(len(vectors)))
	out = binary.LittleEndian.AppendUint64(out, uint64(3+len(facts)))
	str := func(s string) {
		out = binary.LittleEndian.AppendUint64(out, uint64(len(s)))
		out = append(out, s...)
	}
	fact := func(key, s string) {
		str(key)
		out = binary.LittleEndian.AppendUint32(out, ggufString)
		str(s)
	}
	fact("general.architecture", ggufArch)
	fact(ggufModel, vectors[0].Meta[MetaModel]) // repeng requires it even when it is empty
	str(ggufCount)
	out = binary.LittleEndian.AppendUint32(out, ggufUint32)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(vectors)))
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		fact(key, facts[key])
	}
	layers := slices.Sorted(maps.Keys(byLayer))
	offset := int64(0)
	for _, layer := range layers {
		str(ggufDirection + strconv.Itoa(layer))
		out = binary.LittleEndian.AppendUint32(out, 1)
		out = binary.LittleEndian.AppendUint64(out, uint64(len(byLayer[layer].Data)))
		out = binary.LittleEndian.AppendUint32(out, ggufF32)
		out = binary.LittleEndian.AppendUint64(out, uint64(offset))
		offset = align(offset+4*int64(len(byLayer[layer].Data)), ggufAlignment)
	}
	pad := func() {
		for len(out)%ggufAlignment != 0 {
			out = append(out, 0)
		}
	}
	pad()
	for _, layer := range layers {
		out = appendFloats(out, byLayer[layer].Data)
		pad() // llama.cpp reads the last padding too
	}
	return out, nil
}

// ggufLayer returns the layer that a vector is stored for: that of its facts, or 1 for a vector for any layer.
func ggufLayer(v *Vector) (int, error) {
	s, ok := v.Meta[MetaLayer]
	if !ok {
		return 1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || strconv.Itoa(n) != s {
		return 0, fmt.Errorf("layer %q, want a number from 0", s)
	}
	if n == 0 {
		return 0, hint.With(errors.New("a control vector cannot steer layer 0"), "write .safetensors or .npy")
	}
	return n, nil
}

// ggufKey reports whether s may be part of a key: lower_snake_case, separated by dots.
func ggufKey(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return false
		}
	}
	return true
}
