package vector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Write creates a file that holds v, in the format of path's extension. .npy stores only the numbers. .gguf names the vector
// by its layer, not by v.Name. The file is written completely or not at all. Unless force is set, an existing file is not
// replaced and the error is an [fs.ErrExist].
func Write(path string, v *Vector, force bool) error {
	data, err := encode(path, v)
	if err != nil {
		return fmt.Errorf("write vector %q: %w", path, err)
	}
	if err = atomicfile.Write(path, data, force); errors.Is(err, fs.ErrExist) {
		err = hint.With(err, "give another name, or --force to replace it")
	}
	return err
}

func encode(path string, v *Vector) ([]byte, error) {
	form, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	if n := len(v.Data); n < 1 || n > MaxWidth {
		return nil, fmt.Errorf("%d elements, want 1 to %d", n, MaxWidth)
	}
	if err := finite(v.Data); err != nil {
		return nil, err
	}
	for _, s := range append([]string{v.Name}, flatten(v.Meta)...) {
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("%q is not valid UTF-8", s)
		}
	}
	return form.encode(v)
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
