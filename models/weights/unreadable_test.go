package weights

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph"
)

// cut removes the bytes of a constant from its file, as a disk that fails would.
func cut(t *testing.T, c *graph.Const) {
	t.Helper()
	s, ok := c.Span()
	if !ok {
		t.Fatalf("%v%v is not on disk", c.DType, c.Dims)
	}
	if err := os.Truncate(s.File.Path, s.Offset); err != nil {
		t.Fatal(err)
	}
}

// readers are all ways to read a weight.
var readers = map[string]func(*Weight) error{
	"Row":     func(w *Weight) error { _, err := w.Row(0); return err },
	"Col":     func(w *Weight) error { _, err := w.Col(0); return err },
	"MeanRow": func(w *Weight) error { _, err := w.MeanRow(); return err },
	"MeanCol": func(w *Weight) error { _, err := w.MeanCol(); return err },
	"Dense":   func(w *Weight) error { _, err := w.Dense(); return err },
	"Columns": func(w *Weight) error {
		c, err := w.Columns()
		if err == nil {
			_, err = c.Read(0, 1)
		}
		return err
	},
}

// A file that becomes shorter after it was opened gives an error, and no number, whatever part of the weight is gone.
func TestWeightInACutFile(t *testing.T) {
	const rows, cols = 1200, 64
	tensor := func(x *graph.Tensor) *graph.Const { // each in a file of its own
		return storedTensors(t, true, map[string]*graph.Tensor{"w": x})["w"]
	}
	for _, test := range []struct {
		name  string
		parts func() (w *Weight, gone *graph.Const)
	}{
		{"floats", func() (*Weight, *graph.Const) {
			w := &Weight{Store: tensor(graph.Zeros(graph.Float32, rows, cols))}
			return w, w.Store
		}},
		{"integers", func() (*Weight, *graph.Const) {
			w := &Weight{Store: tensor(graph.Zeros(graph.Int8, rows, cols)), Scale: tensor(graph.Zeros(graph.Float32, rows))}
			return w, w.Store
		}},
		{"scales", func() (*Weight, *graph.Const) {
			w := &Weight{Store: tensor(graph.Zeros(graph.Int8, rows, cols)), Scale: tensor(graph.Zeros(graph.Float32, rows))}
			return w, w.Scale
		}},
		{"zero points", func() (*Weight, *graph.Const) {
			w := &Weight{Store: tensor(graph.Zeros(graph.Int8, rows, cols)), Scale: tensor(graph.Zeros(graph.Float32, rows)), Zero: tensor(graph.Zeros(graph.Int8, rows))}
			return w, w.Zero
		}},
		{"blocks of 4 bits", func() (*Weight, *graph.Const) {
			b := &Block{Bits: 4, Size: 16, Packed: tensor(graph.Zeros(graph.Uint8, rows, cols/2)), Scales: tensor(graph.Zeros(graph.Float32, rows, cols/16))}
			return &Weight{Block: b}, b.Packed
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, gone := test.parts()
			w.In, w.Out, w.Alpha = rows, cols, 1
			for name, read := range readers {
				if err := read(w); err != nil {
					t.Fatalf("%s before the cut: %v", name, err)
				}
			}
			cut(t, gone)
			for name, read := range readers {
				if err := read(w); err == nil || !strings.HasPrefix(err.Error(), "read weights: ") || !strings.Contains(err.Error(), "EOF") {
					t.Errorf("%s: got %v, want the end of the file", name, err)
				}
			}
		})
	}
}

// typedInts writes a model with an int8 tensor whose numbers are in int32_data, and returns the tensor. Each number takes one
// byte there, but a negative one would take ten, so the tensor cannot be read by ranges.
func typedInts(t *testing.T, numbers []byte, dims ...uint64) *graph.Const {
	t.Helper()
	sub := func(n protowire.Number, parts ...[]byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), bytes.Join(parts, nil))
	}
	num := func(n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
	}
	value := func(n protowire.Number, name string) []byte {
		return sub(n, sub(1, []byte(name)), sub(2, sub(1, num(1, 1), sub(2))))
	}
	var shape []byte
	for _, d := range dims {
		shape = append(shape, num(1, d)...)
	}
	init := sub(5, shape, num(2, uint64(graph.Int8)), sub(5, numbers), sub(8, []byte("w")))
	node := sub(1, sub(1, []byte("x")), sub(2, []byte("y")), sub(4, []byte("Neg")))
	file := append(num(1, 8), sub(8, sub(1), num(2, 17))...)
	file = append(file, sub(7, sub(2, []byte("g")), node, init, value(11, "x"), value(12, "y"))...)
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := graph.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m.Graph.Lookup("w").Const()
}

// Numbers in int32_data have no fixed place in the file. They are read whole, and an error of the disk is reported.
func TestWeightInTypedData(t *testing.T) {
	const rows, cols = 30, 50
	r := rand.New(rand.NewPCG(5, 5))
	numbers, want := make([]byte, rows*cols), make([]float32, rows*cols)
	for i := range numbers {
		numbers[i] = byte(r.IntN(128))
		want[i] = float32(numbers[i]) / 4
	}
	c := typedInts(t, numbers, rows, cols)
	if _, ok := c.Span(); ok {
		t.Fatal("the tensor is stored in its dense form")
	}
	scale := storedTensors(t, false, map[string]*graph.Tensor{"s": encoded(graph.Float32, []float32{0.25}, 1)})["s"]
	w := &Weight{In: rows, Out: cols, Store: c, Scale: scale, Alpha: 1}
	checkWeight(t, w, want)
}

// constants returns the constants of a graph in text form.
func constants(t *testing.T, text string) func(name string) *graph.Const {
	t.Helper()
	m, err := graph.Parse("ir 8 opset 21 graph g { in x: float32[n]\n" + text + "\ny = Neg(x) out y }")
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) *graph.Const {
		v := m.Graph.Lookup(name)
		if v == nil {
			return nil
		}
		return v.Const()
	}
}

func TestWeightPartsRefused(t *testing.T) {
	c := constants(t, `
		const f = float32[3, 4] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		const line = float32[12] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		const q = int8[3, 4] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		const one = float32[] {1}
		const s = float32[3] {1, 2, 3}
		const words = string[3] {"a", "b", "c"}
		const word = string[1] {"a"}
		const packed = uint8[3, 4] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		const short = uint8[2] {1, 2}`)
	pairs := storedTensors(t, false, map[string]*graph.Tensor{"z": graph.Zeros(graph.Complex64, 3)})["z"]
	block := func(b Block) Weight { return Weight{In: 8, Out: 3, Transposed: true, Block: &b} }
	for _, test := range []struct {
		name, want string
		w          Weight
	}{
		{"a vector", "want a tensor [3 4], got [12]", Weight{In: 3, Out: 4, Store: c("line")}},
		{"scales of text", "scales: numbers of 0 bits in string", Weight{In: 3, Out: 4, Store: c("q"), Scale: c("words")}},
		{"zero points of text", "zero points: numbers of 0 bits in string", Weight{In: 3, Out: 4, Store: c("q"), Scale: c("s"), Zero: c("words")}},
		{"one zero point of text", "a tensor of string has no readable data", Weight{In: 3, Out: 4, Store: c("q"), Scale: c("s"), Zero: c("word")}},
		{"complex zero points", "complex64", Weight{In: 3, Out: 4, Store: c("q"), Scale: c("s"), Zero: pairs}},
		{"blocks without data", "blocks without data or without scales", block(Block{Bits: 4, Size: 8, Scales: c("s")})},
		{"blocks without scales", "blocks without data or without scales", block(Block{Bits: 4, Size: 8, Packed: c("packed")})},
		{"blocks of floats", "numbers of 4 bits in float32", block(Block{Bits: 4, Size: 8, Packed: c("f"), Scales: c("s")})},
		{"too few blocks", "want 3 rows of 8 numbers of 8 bits, got uint8[3 4]", block(Block{Bits: 8, Size: 8, Packed: c("packed"), Scales: c("s")})},
		{"too few packed zero points", "want 3 bytes of zero points, got uint8[2]", block(Block{Bits: 4, Size: 8, Packed: c("packed"), Scales: c("s"), Zeros: c("short")})},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.w.Alpha = 1
			for name, read := range readers {
				if err := read(&test.w); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: got %v, want %q", name, err, test.want)
				}
			}
		})
	}
}

// Zero points may have a wider integer type than the values.
func TestWeightWideZeroPoints(t *testing.T) {
	c := constants(t, `
		const q = int8[2, 3] {1, 2, 3, 4, 5, 6}
		const s = float32[2] {0.5, 2}
		const z = int32[2] {-1, 300}`)
	w := &Weight{In: 2, Out: 3, Store: c("q"), Scale: c("s"), Zero: c("z"), Alpha: 1}
	checkWeight(t, w, []float32{1, 1.5, 2, -592, -590, -588})
}

// An error names the operation that reads the matrix.
func TestWeightErrorNamesItsNode(t *testing.T) {
	m, err := graph.Parse("ir 8 opset 17 graph g { in x: float32[n, 3]\ny = MatMul(x, x) @/h.0/attn/c_attn\nout y }")
	if err != nil {
		t.Fatal(err)
	}
	_, err = (&Weight{In: 3, Out: 4, Alpha: 1, Node: m.Graph.Nodes()[0]}).Dense()
	if want := `read weights of MatMul "/h.0/attn/c_attn": no stored tensor`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A constant of a norm is on disk, too, when it is large.
func TestVectorInACutFile(t *testing.T) {
	m, err := graph.Parse("ir 8 opset 17 graph g { in x: float32[400]\nconst w = float32[400] {" + strings.TrimSuffix(strings.Repeat("0.5, ", 400), ", ") + "}\ny = Mul(x, w) out y }")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if _, err := graph.Save(t.Context(), m, path, graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	if m, err = graph.Load(path); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	w := m.Graph.Lookup("w")
	if x, err := Vector(w); err != nil || len(x) != 400 || x[399] != 0.5 {
		t.Fatalf("before the cut: %v, %v", x, err)
	}
	cut(t, w.Const())
	if x, err := Vector(w); err == nil || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("got %v, %v, want the end of the file", x, err)
	}
}
