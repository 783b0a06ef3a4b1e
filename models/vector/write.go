package vector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Write creates a file that holds v, in the format of path's extension. .npy stores only the numbers. .gguf names the vector
// by its layer, not by v.Name. The file is written completely or not at all. Unless force is set, an existing file is not
// replaced and the error is an [fs.ErrExist].
func Write(path string, v *Vector, force bool) error { return WriteAll(path, []*Vector{v}, force) }

// WriteAll creates a file that holds several vectors of one length, with different names, or for .gguf different layers. .npy holds
// one vector only. .safetensors keeps the facts that all vectors share. The rest is as for [Write].
func WriteAll(path string, vectors []*Vector, force bool) error {
	data, err := encode(path, vectors)
	if err != nil {
		return fmt.Errorf("write vector %q: %w", path, err)
	}
	if err = atomicfile.Write(path, data, force); errors.Is(err, fs.ErrExist) {
		err = hint.With(err, "give another name, or --force to replace it")
	}
	return err
}

func encode(path string, vectors []*Vector) ([]byte, error) {
	form, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	if len(vectors) == 0 {
		return nil, errors.New("no vectors")
	}
	for _, v := range vectors {
		if n := len(v.Data); n < 1 || n > MaxWidth {
			return nil, fmt.Errorf("%d elements, want 1 to %d", n, MaxWidth)
		}
		if len(v.Data) != len(vectors[0].Data) {
			return nil, fmt.Errorf("%q has %d elements, %q has %d", v.Name, len(v.Data), vectors[0].Name, len(vectors[0].Data))
		}
		if err := finite(v.Data); err != nil {
			return nil, err
		}
		for _, s := range append([]string{v.Name}, flatten(v.Meta)...) {
			if !utf8.ValidString(s) {
				return nil, fmt.Errorf("%q is not valid UTF-8", s)
			}
		}
	}
	return form.encode(vectors)
}

// shared returns the facts that all vectors have.
func shared(vectors []*Vector) map[string]string {
	out := maps.Clone(vectors[0].Meta)
	for _, v := range vectors[1:] {
		maps.DeleteFunc(out, func(key, value string) bool {
			s, ok := v.Meta[key]
			return !ok || s != value
		})
	}
	return out
}

func flatten(m map[string]string) []string {
	var out []string
	for k, s := range m {
		out = append(out, k, s)
	}
	return out
}

func appendFloats(out []byte, v []float32) []byte {
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}
