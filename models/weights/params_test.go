package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// storedTensors makes constants of a model from tensors: in memory as after an edit, or on disk as after a load.
func storedTensors(t testing.TB, onDisk bool, tensors map[string]*graph.Tensor) map[string]*graph.Const {
	t.Helper()
	m, err := graph.Load("../testdata/nanogpt-torchscript.onnx") // any file: it only carries the constants
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	for name, x := range tensors {
		e.Const(m.Graph, "test."+name, x)
	}
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if onDisk {
		path := filepath.Join(t.TempDir(), "m.onnx")
		if _, err := graph.Save(t.Context(), m, path, graph.Embed, false); err != nil {
			t.Fatal(err)
		}
		if m, err = graph.Load(path); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]*graph.Const{}
	for name, x := range tensors {
		c := m.Graph.Lookup("test." + name).Const()
		if _, disk := c.Span(); disk != (onDisk && len(x.Data) >= 1024) {
			t.Fatalf("%s: on disk %v", name, disk)
		}
		out[name] = c
	}
	return out
}

// halfBits returns the float16 of x, a multiple of 1/16 with |x| below 64.
func halfBits(x float32) uint16 {
	if x == 0 {
		return 0
	}
	b := math.Float32bits(x)
	return uint16(b>>16&0x8000) | uint16((b>>23&0xff)-112)<<10 | uint16(b>>13&0x3ff)
}

// encoded stores numbers, multiples of 1/16 below 8 in size, as a tensor of the given type. All types represent them
// exactly.
func encoded(d graph.DType, x []float32, dims ...int64) *graph.Tensor {
	t := graph.Zeros(d, dims...)
	for i, v := range x {
		switch d {
		case graph.Float32:
			binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(v))
		case graph.Float16:
			binary.LittleEndian.PutUint16(t.Data[2*i:], halfBits(v))
		case graph.BFloat16:
			binary.LittleEndian.PutUint16(t.Data[2*i:], uint16(math.Float32bits(v)>>16))
		case graph.Float64:
			binary.LittleEndian.PutUint64(t.Data[8*i:], math.Float64bits(float64(v)))
		default:
			t.Data[i] = byte(int(v))
		}
	}
	return t
}

// weightForm writes a matrix in one of the stored forms, and returns the numbers that the file then holds.
type weightForm struct {
	name  string
	build func(t testing.TB, rng *rand.Rand, onDisk bool, in, out int64) (w *Weight, want []float32)
}

func floatForm(d graph.DType, transposed bool) weightForm {
	return weightForm{fmt.Sprintf("%v transposed=%v", d, transposed), func(t testing.TB, rng *rand.Rand, onDisk bool, in, out int64) (*Weight, []float32) {
		want, data, dims := make([]float32, in*out), make([]float32, in*out), []int64{in, out}
		if transposed {
			dims = []int64{out, in}
		}
		for i := range in {
			for j := range out {
				v := float32(rng.IntN(127)-63) / 16
				want[i*out+j] = v
				if transposed {
					data[j*in+i] = v
				} else {
					data[i*out+j] = v
				}
			}
		}
		c := storedTensors(t, onDisk, map[string]*graph.Tensor{"w": encoded(d, data, dims...)})
		return &Weight{In: in, Out: out, Store: c["w"], Transposed: transposed, Alpha: 1}, want
	}}
}

// quantForm makes scales along stored axis 0 or 1, or one scale for axis -1.
func quantForm(d graph.DType, transposed bool, axis int, zero bool) weightForm {
	name := fmt.Sprintf("%v transposed=%v axis=%d zero=%v", d, transposed, axis, zero)
	return weightForm{name, func(t testing.TB, rng *rand.Rand, onDisk bool, in, out int64) (*Weight, []float32) {
		dims := []int64{in, out}
		if transposed {
			dims = []int64{out, in}
		}
		n := int64(1)
		if axis >= 0 {
			n = dims[axis]
		}
		scales, zeros, q := make([]float32, n), make([]float32, n), make([]float32, in*out)
		low := 0
		if d == graph.Int8 {
			low = -128
		}
		for k := range scales {
			scales[k] = float32(rng.IntN(15)+1) / 32
			if zero {
				zeros[k] = float32(rng.IntN(256) + low)
			}
		}
		want := make([]float32, in*out)
		for r := range dims[0] {
			for c := range dims[1] {
				k := []int64{0, r, c}[axis+1]
				v := float32(rng.IntN(256) + low)
				q[r*dims[1]+c] = v
				i, j := r, c
				if transposed {
					i, j = c, r
				}
				want[i*out+j] = (v - zeros[k]) * scales[k]
			}
		}
		scaleDims := []int64{n}
		if axis < 0 {
			scaleDims = nil
		}
		tensors := map[string]*graph.Tensor{"w": encoded(d, q, dims...), "s": encoded(graph.Float32, scales, scaleDims...)}
		if zero {
			tensors["z"] = encoded(d, zeros, scaleDims...)
		}
		c := storedTensors(t, onDisk, tensors)
		return &Weight{In: in, Out: out, Store: c["w"], Transposed: transposed, Scale: c["s"], Zero: c["z"], Axis: max(axis, 0), Alpha: 1}, want
	}}
}

// blockForm makes blocks with zero points: zeros is "" for none, "packed" or "float".
func blockForm(bits, size int64, zeros string) weightForm {
	return weightForm{fmt.Sprintf("%d bits blocks of %d zeros=%q", bits, size, zeros), func(t testing.TB, rng *rand.Rand, onDisk bool, in, out int64) (*Weight, []float32) {
		per := (in + size - 1) / size
		packed := make([]byte, out*per*size*bits/8)
		stride := (per*bits + 7) / 8
		packedZeros, floatZeros, scales := make([]byte, out*stride), make([]float32, out*per), make([]float32, out*per)
		want := make([]float32, in*out)
		put := func(b []byte, k int64, v int) { b[k*bits/8] |= byte(v << (k * bits % 8)) }
		for j := range out {
			for b := range per {
				zero := rng.IntN(1 << bits)
				put(packedZeros[j*stride:], b, zero)
				z := float32(zero)
				switch zeros {
				case "":
					z = float32(int(1) << (bits - 1))
				case "float":
					z += 0.5
				}
				floatZeros[j*per+b] = z
				scales[j*per+b] = float32(rng.IntN(15)+1) / 32
				for k := range size {
					v := rng.IntN(1 << bits)
					put(packed[(j*per+b)*size*bits/8:], k, v)
					if i := b*size + k; i < in {
						want[i*out+j] = (float32(v) - z) * scales[j*per+b]
					}
				}
			}
		}
		tensors := map[string]*graph.Tensor{
			"q": {DType: graph.Uint8, Dims: []int64{out, per, size * bits / 8}, Data: packed},
			"s": encoded(graph.Float32, scales, out*per),
		}
		switch zeros {
		case "packed":
			tensors["z"] = &graph.Tensor{DType: graph.Uint8, Dims: []int64{out * stride}, Data: packedZeros}
		case "float":
			tensors["z"] = encoded(graph.Float32, floatZeros, out, per)
		}
		c := storedTensors(t, onDisk, tensors)
		return &Weight{In: in, Out: out, Transposed: true, Block: &Block{Bits: bits, Size: size, Packed: c["q"], Scales: c["s"], Zeros: c["z"]}, Alpha: 1}, want
	}}
}

// cells is a matrix of integers in cells that share a scale and a zero point, the form of
// com.microsoft.GatherBlockQuantized and of DequantizeLinear in opset 21.
type cells struct {
	dtype      graph.DType
	bits       int64 // bits of a value; a byte may hold several values
	axis, size int64 // a cell is size values along the axis
	zero       bool
	block      bool // a [Block]
	whole      bool // the rows are padded to whole blocks
}

// pack writes rows of values, low bits first, each row padded to a number of bits.
func pack(bits, stride int64, rows [][]int) []byte {
	out := make([]byte, (stride*int64(len(rows))+7)/8)
	for r, row := range rows {
		for c, v := range row {
			at := int64(r)*stride + int64(c)*bits
			out[at/8] |= byte(v&(1<<bits-1)) << (at % 8)
		}
	}
	return out
}

func (f cells) form(transposed bool) weightForm {
	return weightForm{fmt.Sprintf("%+v transposed=%v", f, transposed), func(t testing.TB, rng *rand.Rand, onDisk bool, in, out int64) (*Weight, []float32) {
		rows, cols := in, out
		if transposed {
			rows, cols = out, in
		}
		cell := [2]int64{1, 1}
		cell[f.axis] = f.size
		down, across := (rows+cell[0]-1)/cell[0], (cols+cell[1]-1)/cell[1]
		low, middle := 0, 0
		switch {
		case f.dtype == graph.Int4 || f.dtype == graph.Int8:
			low = -1 << (f.bits - 1)
		case f.dtype == graph.Uint8 && f.block:
			middle = 1 << (f.bits - 1)
		}
		value := func() int { return rng.IntN(1<<f.bits) + low }
		table := func(rows, cols int64) [][]int {
			x := make([][]int, rows)
			for r := range x {
				for range cols {
					x[r] = append(x[r], value())
				}
			}
			return x
		}
		q, zeros, scales := table(rows, cols), table(down, across), make([]float32, down*across)
		for k := range scales {
			scales[k] = float32(rng.IntN(15)+1) / 32
		}
		want := make([]float32, in*out)
		for r := range rows {
			for c := range cols {
				k, zero := r/cell[0]*across+c/cell[1], middle
				if f.zero {
					zero = zeros[r/cell[0]][c/cell[1]]
				}
				at := r*cols + c
				if transposed {
					at = c*rows + r
				}
				want[at] = float32(q[r][c]-zero) * scales[k]
			}
		}
		tensor := func(rows [][]int, cols, padded int64) *graph.Tensor {
			if f.dtype.Bits() == f.bits {
				return &graph.Tensor{DType: f.dtype, Dims: []int64{int64(len(rows)), cols}, Data: pack(f.bits, cols*f.bits, rows)}
			}
			stride := (padded*f.bits + 7) / 8
			return &graph.Tensor{DType: f.dtype, Dims: []int64{int64(len(rows)), stride}, Data: pack(f.bits, 8*stride, rows)}
		}
		padded := cols
		if f.whole {
			padded = across * f.size
		}
		tensors := map[string]*graph.Tensor{"q": tensor(q, cols, padded), "s": encoded(graph.Float32, scales, down, across)}
		if f.zero {
			tensors["z"] = tensor(zeros, across, across)
		}
		c := storedTensors(t, onDisk, tensors)
		w := &Weight{In: in, Out: out, Transposed: transposed, Alpha: 1}
		if f.block {
			w.Block = &Block{Bits: f.bits, Size: f.size, Packed: c["q"], Scales: c["s"], Zeros: c["z"]}
		} else {
			w.Store, w.Scale, w.Zero, w.Axis, w.ScaleBlock = c["q"], c["s"], c["z"], int(f.axis), f.size
		}
		return w, want
	}}
}

func weightForms() []weightForm {
	var forms []weightForm
	for _, transposed := range []bool{false, true} {
		for _, d := range []graph.DType{graph.Float32, graph.Float16, graph.BFloat16, graph.Float64} {
			forms = append(forms, floatForm(d, transposed))
		}
		for axis := -1; axis <= 1; axis++ {
			for _, zero := range []bool{false, true} {
				forms = append(forms, quantForm(graph.Int8, transposed, axis, zero), quantForm(graph.Uint8, transposed, axis, zero))
			}
		}
	}
	for _, bits := range []int64{4, 8} {
		for _, zeros := range []string{"", "packed", "float"} {
			forms = append(forms, blockForm(bits, 16, zeros), blockForm(bits, 32, zeros))
		}
	}
	for _, zero := range []bool{false, true} {
		for _, size := range []int64{16, 32, 128} {
			for _, whole := range []bool{false, true} {
				forms = append(forms, cells{graph.Uint8, 4, 1, size, zero, true, whole}.form(false), cells{graph.Uint8, 8, 1, size, zero, true, whole}.form(false))
			}
			forms = append(forms, cells{graph.Int4, 4, 1, size, zero, true, false}.form(false), cells{graph.Uint4, 4, 1, size, zero, true, false}.form(false))
		}
		for _, d := range []graph.DType{graph.Int4, graph.Uint4, graph.Int8, graph.Uint8} {
			for _, transposed := range []bool{false, true} {
				for axis := range int64(2) {
					forms = append(forms, cells{d, d.Bits(), axis, 16, zero, false, false}.form(transposed))
				}
			}
		}
	}
	return forms
}

// Every accessor of every form must return the numbers that the file represents.
func TestWeight(t *testing.T) {
	cases := []struct {
		in, out int64
		onDisk  bool
		alpha   float64
	}{
		{37, 29, false, 1},
		{37, 29, true, 1},
		{37, 29, true, -0.5},
		{3, 4100, true, 1},  // rows longer than a page
		{700, 300, true, 1}, // several blocks
	}
	for _, f := range weightForms() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range cases {
				t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
					rng := rand.New(rand.NewPCG(1, uint64(c.in)))
					w, want := f.build(t, rng, c.onDisk, c.in, c.out)
					w.Alpha = c.alpha
					for i := range want {
						want[i] *= float32(c.alpha)
					}
					checkWeight(t, w, want)
				})
			}
		})
	}
}

func checkWeight(t *testing.T, w *Weight, want []float32) {
	t.Helper()
	same := func(what string, got []float32, err error, want func(k int64) float32) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for k, x := range got {
			if x != want(int64(k)) {
				t.Fatalf("%s[%d] = %g, want %g", what, k, x, want(int64(k)))
			}
		}
	}
	dense, err := w.Dense()
	if len(dense) != len(want) {
		t.Fatalf("Dense has %d numbers, want %d", len(dense), len(want))
	}
	same("Dense", dense, err, func(k int64) float32 { return want[k] })
	for _, i := range []int64{0, w.In / 2, w.In - 1} {
		x, err := w.Row(i)
		if len(x) != int(w.Out) {
			t.Fatalf("Row(%d) has %d numbers, want %d", i, len(x), w.Out)
		}
		same("Row", x, err, func(k int64) float32 { return want[i*w.Out+k] })
	}
	for _, j := range []int64{0, w.Out / 2, w.Out - 1} {
		x, err := w.Col(j)
		if len(x) != int(w.In) {
			t.Fatalf("Col(%d) has %d numbers, want %d", j, len(x), w.In)
		}
		same("Col", x, err, func(k int64) float32 { return want[k*w.Out+j] })
	}
	meanRow, meanCol := make([]float64, w.Out), make([]float64, w.In)
	for k, x := range want {
		meanRow[int64(k)%w.Out] += float64(x) / float64(w.In)
		meanCol[int64(k)/w.Out] += float64(x) / float64(w.Out)
	}
	near := func(what string, got []float64, err error, want []float64) {
		t.Helper()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s: %d numbers, %v; want %d", what, len(got), err, len(want))
		}
		for k := range want {
			if math.Abs(got[k]-want[k]) > 1e-10 {
				t.Fatalf("%s[%d] = %g, want %g", what, k, got[k], want[k])
			}
		}
	}
	got, err := w.MeanRow()
	near("MeanRow", got, err, meanRow)
	got, err = w.MeanCol()
	near("MeanCol", got, err, meanCol)
}

// The slices that Row and Col return must belong to the caller.
func TestWeightRowIsACopy(t *testing.T) {
	w, want := floatForm(graph.Float32, false).build(t, rand.New(rand.NewPCG(2, 2)), false, 4, 4)
	x, err := w.Row(1)
	if err != nil {
		t.Fatal(err)
	}
	x[0] = 1e9
	checkWeight(t, w, want)
}

func TestWeightRefusals(t *testing.T) {
	c := storedTensors(t, false, map[string]*graph.Tensor{
		"f":  encoded(graph.Float32, make([]float32, 12), 3, 4),
		"q":  encoded(graph.Uint8, make([]float32, 12), 3, 4),
		"s":  encoded(graph.Float32, []float32{1, 2}, 2),
		"s4": encoded(graph.Float32, []float32{1, 2, 3, 4}, 4),
		"i":  graph.NewInt64(make([]int64, 12), 3, 4),
	})
	for _, test := range []struct {
		name, want string
		w          Weight
	}{
		{"wrong shape", "want a tensor [4 3], got [3 4]", Weight{In: 4, Out: 3, Store: c["f"]}},
		{"not transposed back", "want a tensor [4 3], got [3 4]", Weight{In: 3, Out: 4, Store: c["f"], Transposed: true}},
		{"nothing stored", "no stored tensor", Weight{In: 3, Out: 4}},
		{"empty", "shape [0 4]", Weight{In: 0, Out: 4, Store: c["f"]}},
		{"integers without scale", "got uint8 (scale false)", Weight{In: 3, Out: 4, Store: c["q"]}},
		{"wide integers", "got int64", Weight{In: 3, Out: 4, Store: c["i"], Scale: c["s4"]}},
		{"floats with scale", "got float32 (scale true)", Weight{In: 3, Out: 4, Store: c["f"], Scale: c["s4"]}},
		{"scales do not fit", "want 4 scales, got 2", Weight{In: 3, Out: 4, Store: c["q"], Scale: c["s"], Axis: 1}},
		{"zeros do not fit", "want 4 zero points, got 2", Weight{In: 3, Out: 4, Store: c["q"], Scale: c["s4"], Zero: c["s"], Axis: 1}},
		{"axis", "scale along axis 2", Weight{In: 3, Out: 4, Store: c["q"], Scale: c["s4"], Axis: 2}},
		{"block bits", "blocks of 32 values of 3 bits", Weight{In: 3, Out: 4, Transposed: true, Block: &Block{Bits: 3, Size: 32, Packed: c["q"], Scales: c["s4"]}}},
		{"block size", "want rows of 3 values, or of whole blocks of 4611686018427387904, got uint8[3 4]", Weight{In: 3, Out: 4, Transposed: true, Block: &Block{Bits: 4, Size: 1 << 62, Packed: c["q"], Scales: c["s4"]}}},
		{"scales of another shape", "want scales [3 2], got [4]", Weight{In: 3, Out: 4, Store: c["q"], Scale: c["s4"], Axis: 1, ScaleBlock: 2}},
		{"block bytes", "want rows of 3 values, or of whole blocks of 32, got uint8[3 4]", Weight{In: 3, Out: 4, Transposed: true, Block: &Block{Bits: 4, Size: 32, Packed: c["q"], Scales: c["s4"]}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.w.Alpha = 1
			_, err := test.w.Dense()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	w := Weight{In: 3, Out: 4, Store: c["f"], Alpha: 1}
	for _, k := range []int64{-1, 3} {
		if _, err := w.Row(k); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("row %d of 3", k)) {
			t.Errorf("Row(%d): %v", k, err)
		}
	}
	if _, err := w.Col(4); err == nil || !strings.Contains(err.Error(), "column 4 of 4") {
		t.Errorf("Col(4): %v", err)
	}
}

// Negative axes count from the end.
func TestWeightNegativeAxis(t *testing.T) {
	w, want := quantForm(graph.Int8, false, 1, true).build(t, rand.New(rand.NewPCG(3, 3)), true, 40, 30)
	w.Axis = -1
	checkWeight(t, w, want)
}

// bigTable writes a table as large as GPT-2 small's and returns it as a weight.
func bigTable(b *testing.B, transposed bool) *Weight {
	b.Helper()
	dims := []int64{50257, 768}
	x := graph.Zeros(graph.Float32, dims...)
	for i := range x.Data {
		x.Data[i] = byte(i % 61)
	}
	c := storedTensors(b, true, map[string]*graph.Tensor{"w": x})["w"]
	w := &Weight{In: dims[0], Out: dims[1], Store: c, Transposed: transposed, Alpha: 1}
	if transposed {
		w.In, w.Out = w.Out, w.In
	}
	return w
}

func BenchmarkMean(b *testing.B) {
	for _, transposed := range []bool{false, true} {
		w := bigTable(b, transposed)
		for name, f := range map[string]func() ([]float64, error){"row": w.MeanRow, "col": w.MeanCol} {
			b.Run(fmt.Sprintf("%s/transposed=%v", name, transposed), func(b *testing.B) {
				b.SetBytes(w.In * w.Out * 4)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A mean must be read in blocks, with much less memory than the matrix.
func TestMeanIsStreamed(t *testing.T) {
	const rows, cols = 8000, 768
	c := storedTensors(t, true, map[string]*graph.Tensor{"w": graph.Zeros(graph.Float32, rows, cols)})["w"]
	w := &Weight{In: rows, Out: cols, Store: c, Alpha: 1}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := w.MeanRow(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("the mean of a matrix of %d bytes allocated %d bytes", rows*cols*4, got)
	}
}

// BenchmarkLine reads the row of one token in a table as large as that of GPT-2 small, in each of the forms. It needs one
// line of the file and its scales.
func BenchmarkLine(b *testing.B) {
	const tokens, d, size = 50257, 768, 32
	c := storedTensors(b, true, map[string]*graph.Tensor{
		"float":  graph.Zeros(graph.Float32, tokens, d),
		"int8":   graph.Zeros(graph.Int8, tokens, d),
		"packed": graph.Zeros(graph.Uint8, tokens, d/size, size/2),
		"scales": graph.Zeros(graph.Float32, tokens*d/size),
		"zeros":  graph.Zeros(graph.Uint8, tokens*d/size/2),
		"each":   graph.Zeros(graph.Float32, tokens),
	})
	for name, w := range map[string]*Weight{
		"float32": {Store: c["float"]},
		"int8":    {Store: c["int8"], Scale: c["each"]},
		"4 bits":  {Block: &Block{Bits: 4, Size: size, Packed: c["packed"], Scales: c["scales"], Zeros: c["zeros"]}},
	} {
		w.In, w.Out, w.Transposed, w.Alpha = d, tokens, true, 1
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				if _, err := w.Col(i * 7919 % tokens); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
