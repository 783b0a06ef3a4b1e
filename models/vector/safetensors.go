package vector

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph"
)

// The layout of a .safetensors file:
//
//	uint64 length of the header  header, JSON, padded with spaces  numbers
//
// The header maps the name of each tensor to its dtype, shape and byte range among the numbers, and "__metadata__" to a map of
// strings.
const (
	safetensorsMaxHeader = 100 << 20
	safetensorsMeta      = "__metadata__"
	safetensorsName      = "memory" // name of a vector without a name
)

var safetensorsDTypes = map[string]graph.DType{
	"F64": graph.Float64, "F32": graph.Float32, "F16": graph.Float16, "BF16": graph.BFloat16,
	"I64": graph.Int64, "I32": graph.Int32, "I16": graph.Int16, "I8": graph.Int8,
	"U64": graph.Uint64, "U32": graph.Uint32, "U16": graph.Uint16, "U8": graph.Uint8, "BOOL": graph.Bool,
	"F8_E4M3": graph.Float8E4M3, "F8_E5M2": graph.Float8E5M2,
}

func readSafetensors(r io.ReaderAt, size int64) (*contents, error) {
	var start [8]byte
	if _, err := r.ReadAt(start[:], 0); err != nil {
		return nil, fmt.Errorf("%d bytes, want a header", size)
	}
	length := binary.LittleEndian.Uint64(start[:])
	if length > safetensorsMaxHeader || int64(length) > size-8 {
		return nil, fmt.Errorf("header of %d bytes in a file of %d, want at most %d MiB", length, size, safetensorsMaxHeader>>20)
	}
	header := make([]byte, length)
	if _, err := r.ReadAt(header, 8); err != nil && length > 0 {
		return nil, bare(err)
	}
	data := 8 + int64(length) // offset of the numbers
	c, err := parseSafetensorsHeader(header)
	if err != nil {
		return nil, fmt.Errorf("safetensors header: %w", err)
	}
	slices.SortStableFunc(c.ranges, func(a, b byteRange) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	out := &contents{meta: c.meta}
	next := int64(0)
	for _, t := range c.ranges {
		want, err := graph.ByteSize(t.dtype, t.dims)
		switch {
		case err != nil:
			return nil, fmt.Errorf("tensor %q: %w", t.name, err)
		case t.end-t.begin != want:
			return nil, fmt.Errorf("tensor %q: bytes %d to %d, want %d bytes for %v %v", t.name, t.begin, t.end, want, t.dtype, t.dims)
		case t.begin != next:
			return nil, fmt.Errorf("tensor %q: begins at byte %d, want %d: tensors must follow each other", t.name, t.begin, next)
		case t.end > size-data:
			return nil, fmt.Errorf("tensor %q: ends at byte %d of %d", t.name, t.end, size-data)
		}
		next = t.end
		t.offset = data + t.begin
		out.tensors = append(out.tensors, t.tensor)
	}
	if next != size-data {
		return nil, fmt.Errorf("%d bytes of data, want %d", size-data, next)
	}
	return out, nil
}

type byteRange struct {
	tensor
	begin, end int64
}

type safetensorsHeader struct {
	meta   map[string]string
	ranges []byteRange
}

// parseSafetensorsHeader is stricter than encoding/json: it refuses duplicate keys, unknown fields and invalid UTF-8.
func parseSafetensorsHeader(header []byte) (*safetensorsHeader, error) {
	if !utf8.Valid(header) {
		return nil, errors.New("not UTF-8")
	}
	if len(header) == 0 || header[0] != '{' {
		return nil, errors.New(`want "{" first`)
	}
	h := &safetensorsHeader{}
	dec := json.NewDecoder(bytes.NewReader(header))
	err := object(dec, func(name string) error {
		if name == safetensorsMeta {
			h.meta = map[string]string{}
			return object(dec, func(key string) error {
				token, err := dec.Token()
				s, ok := token.(string)
				if err == nil && !ok {
					err = fmt.Errorf("%s: %q: want a string, got %v", safetensorsMeta, key, token)
				}
				h.meta[key] = s
				return err
			})
		}
		t, err := parseTensor(dec, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		h.ranges = append(h.ranges, t)
		return nil
	})
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if rest := header[dec.InputOffset():]; err == nil && len(bytes.TrimRight(rest, " ")) > 0 {
		err = fmt.Errorf("want spaces after the last \"}\", got %q", rest[:min(len(rest), 20)])
	}
	return h, err
}

func parseTensor(dec *json.Decoder, name string) (byteRange, error) {
	t := byteRange{tensor: tensor{name: name}}
	var dtype string
	var offsets []int64
	err := object(dec, func(key string) error {
		switch key {
		case "dtype":
			return dec.Decode(&dtype)
		case "shape":
			return dec.Decode(&t.dims)
		case "data_offsets":
			return dec.Decode(&offsets)
		}
		return fmt.Errorf("unknown field %q", key)
	})
	if err != nil {
		return t, err
	}
	var ok bool
	if t.dtype, ok = safetensorsDTypes[dtype]; !ok {
		return t, fmt.Errorf("unknown dtype %q", dtype)
	}
	if t.dims == nil {
		return t, errors.New("no shape")
	}
	if len(offsets) != 2 || offsets[0] < 0 || offsets[1] < offsets[0] {
		return t, fmt.Errorf("data_offsets %v, want [begin end]", offsets)
	}
	t.begin, t.end = offsets[0], offsets[1]
	return t, nil
}

// object reads a JSON object and calls value for each key; value must read the value. A duplicate key is an error.
func object(dec *json.Decoder, value func(key string) error) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return fmt.Errorf("want an object, got %v", token)
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key := token.(string) // the decoder accepts only strings as keys
		if seen[key] {
			return fmt.Errorf("key %q twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

func encodeSafetensors(vectors []*Vector) ([]byte, error) {
	type info struct {
		DType   string `json:"dtype"`
		Shape   [1]int `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := map[string]any{}
	for i, v := range vectors {
		name := cmp.Or(v.Name, safetensorsName)
		if name == safetensorsMeta {
			return nil, fmt.Errorf("a tensor cannot be called %q", name)
		}
		if _, taken := header[name]; taken {
			return nil, fmt.Errorf("two vectors have the name %q", name)
		}
		d := len(v.Data)
		header[name] = info{"F32", [1]int{d}, [2]int{4 * d * i, 4 * d * (i + 1)}}
	}
	if meta := shared(vectors); len(meta) > 0 {
		header[safetensorsMeta] = meta
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // keys are sorted, so the same vectors give the same bytes
	enc.SetEscapeHTML(false)
	if err := enc.Encode(header); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(text) > safetensorsMaxHeader-8 {
		return nil, fmt.Errorf("%d bytes of facts, want at most %d MiB", len(text), safetensorsMaxHeader>>20)
	}
	for len(text)%8 != 0 { // this aligns the numbers
		text = append(text, ' ')
	}
	out := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	for _, v := range vectors {
		out = appendFloats(out, v.Data)
	}
	return out, nil
}
