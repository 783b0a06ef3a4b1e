package graph

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/owulveryck/onnx-go"
)

// decodeElsewhere reads a TensorProto with onnx-go and returns its elements as little-endian bytes. onnx-go panics on some
// unknown tensors.
func decodeElsewhere(proto []byte) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	x, err := onnx.NewTensor(proto)
	if err != nil {
		return nil, err
	}
	switch v := x.Data().(type) {
	case float32:
		return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)), nil
	case int64:
		return binary.LittleEndian.AppendUint64(nil, uint64(v)), nil
	}
	var b bytes.Buffer
	err = binary.Write(&b, binary.LittleEndian, x.Data())
	return b.Bytes(), err
}

// TestSameTensorsAsOnnxGo compares every float32 and int64 tensor of the fixtures, initializers and Constant nodes, with
// another decoder. onnx-go cannot read the other element types or tensors without elements.
func TestSameTensorsAsOnnxGo(t *testing.T) {
	total := 0
	for _, path := range fixtures(t) {
		m, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		inline := &filler{m.holes, func(hole) (string, int64, bool, error) { return "", 0, false, nil }}
		for g := range m.Graphs() {
			for v := range g.values {
				c := v.Const()
				if c == nil || c.raw == nil || c.DType != Float32 && c.DType != Int64 || c.Len() == 0 {
					continue
				}
				// The bytes as they are in the file, not as this package would write them.
				p, err := inline.message(kTensor, c.raw)
				if err != nil {
					t.Fatal(err)
				}
				var original bytes.Buffer
				if err := p.writeTo(t.Context(), &original); err != nil {
					t.Fatal(err)
				}
				want, err := decodeElsewhere(original.Bytes())
				if err != nil {
					t.Fatalf("%s: %v %v%v: onnx-go: %v", filepath.Base(path), v, c.DType, c.Dims, err)
				}
				got, err := c.Load()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Data, want) {
					t.Errorf("%s: %v %v%v differs", filepath.Base(path), v, c.DType, c.Dims)
				}
				total++
			}
		}
	}
	if total < 1000 {
		t.Errorf("only %d tensors compared", total)
	}
	t.Logf("%d tensors", total)
}
