package steer

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/recognise"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// projector writes x · W + b in the form of one operator. w is [in, out] row by row.
type projector struct {
	*graph.Edit
	g       *graph.Graph
	x, b    *graph.Value
	w       []float32
	in, out int64
}

func (p *projector) op(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	return p.node(graph.Spec{Op: op, Inputs: in, Attrs: attrs})
}

func (p *projector) ms(op string, attrs graph.Attrs, in ...*graph.Value) *graph.Value {
	return p.node(graph.Spec{Op: op, Domain: "com.microsoft", Inputs: in, Attrs: attrs})
}

func (p *projector) node(s graph.Spec) *graph.Value {
	s.Name = p.Fresh("made/" + s.Op)
	return p.Node(p.g, s)
}

// floats is a constant of the type that the file computes in.
func (p *projector) floats(x []float32, dims ...int64) *graph.Value {
	if p.b.Const().DType == graph.Float16 {
		half := graph.Zeros(graph.Float16, dims...)
		for i, v := range x {
			if b := math.Float32bits(v); b&0x7fffffff >= 113<<23 { // cut off, not rounded; what is smaller than 2^-14 is 0
				binary.LittleEndian.PutUint16(half.Data[2*i:], uint16(b>>16&0x8000|((b>>23&0xff)-112)<<10|b>>13&0x3ff))
			}
		}
		return p.Const(p.g, p.Fresh("made/floats"), half)
	}
	return p.Const(p.g, p.Fresh("made/floats"), graph.NewFloat32(x, dims...))
}

func (p *projector) bytes(d graph.DType, x []byte, dims ...int64) *graph.Value {
	return p.Const(p.g, p.Fresh("made/bytes"), &graph.Tensor{DType: d, Dims: dims, Data: x})
}

func (p *projector) add(y *graph.Value) *graph.Value { return p.op("Add", nil, y, p.b) }

// matrix is W times a factor, [in, out], or [out, in] if transposed.
func (p *projector) matrix(factor float32, transposed bool) *graph.Value {
	x := make([]float32, len(p.w))
	for i := range p.in {
		for j := range p.out {
			at := i*p.out + j
			if transposed {
				at = j*p.in + i
			}
			x[at] = factor * p.w[i*p.out+j]
		}
	}
	if transposed {
		return p.floats(x, p.out, p.in)
	}
	return p.floats(x, p.in, p.out)
}

// columns rounds W to whole numbers from -100 to 100, a scale for each column.
func (p *projector) columns() (q, scales *graph.Value) {
	bytes, s := make([]byte, len(p.w)), make([]float32, p.out)
	for j := range p.out {
		for i := range p.in {
			s[j] = max(s[j], float32(math.Abs(float64(p.w[i*p.out+j])))/100)
		}
		for i := range p.in {
			bytes[i*p.out+j] = byte(int8(math.Round(float64(p.w[i*p.out+j] / s[j]))))
		}
	}
	return p.bytes(graph.Int8, bytes, p.in, p.out), p.floats(s, p.out)
}

// table rounds W to bytes around a zero point of 120, one scale for all.
func (p *projector) table() (q, scale, zero *graph.Value) {
	s := float32(0)
	for _, x := range p.w {
		s = max(s, float32(math.Abs(float64(x)))/100)
	}
	bytes := make([]byte, len(p.w))
	for i, x := range p.w {
		bytes[i] = byte(math.Round(float64(x/s)) + 120)
	}
	return p.bytes(graph.Uint8, bytes, p.in, p.out), p.floats([]float32{s}), p.bytes(graph.Uint8, []byte{120})
}

// rounded is x as bytes, with the scale and zero point that the host finds for it.
func (p *projector) rounded() []*graph.Value {
	return p.node(graph.Spec{Op: "DynamicQuantizeLinear", Inputs: []*graph.Value{p.x}, Outputs: 3}).Producer().Outputs()
}

// fourBits rounds W to 4 bits, 16 rows of a column to a scale, two to a byte, around a zero point or around 8.
func (p *projector) fourBits(zero byte) (packed, scales, zeros *graph.Value) {
	const size = 16
	blocks := p.in / size
	stride := (blocks + 1) / 2
	bytes, s, z := make([]byte, p.out*p.in/2), make([]float32, p.out*blocks), make([]byte, p.out*stride)
	for j := range p.out {
		for b := range blocks {
			k := j*blocks + b
			z[j*stride+b/2] |= zero << (4 * (b % 2))
			for i := b * size; i < (b+1)*size; i++ {
				s[k] = max(s[k], float32(math.Abs(float64(p.w[i*p.out+j])))/6)
			}
			for i := b * size; i < (b+1)*size; i++ {
				q := byte(math.Round(float64(p.w[i*p.out+j]/s[k]))) + zero
				bytes[(j*p.in+i)/2] |= q & 15 << (4 * (i % 2))
			}
		}
	}
	return p.bytes(graph.Uint8, bytes, p.out, blocks, size/2), p.floats(s, p.out*blocks), p.bytes(graph.Uint8, z, p.out*stride)
}

func (p *projector) nbits(zero byte, withZeros bool) *graph.Value {
	packed, scales, zeros := p.fourBits(zero)
	if !withZeros {
		zeros = nil
	}
	return p.ms("MatMulNBits", graph.Attrs{"K": p.in, "N": p.out, "bits": 4, "block_size": 16}, p.x, packed, scales, zeros, nil, p.b)
}

// Whatever operator holds W_O, the numbers that are read out of the file are those that the host multiplies with: what the heads
// write, computed from them, adds up to what the operator gives.
func TestProjections(t *testing.T) {
	const single, half = "torchscript-op17-mask", "fp16"
	tests := []struct {
		name  string
		file  string
		bound float64 // largest difference from the W_O that it was made of, in parts of its largest number; 0: its numbers are not read
		make  func(p *projector) *graph.Value
	}{
		{"MatMul", single, 1e-7, func(p *projector) *graph.Value { return p.add(p.op("MatMul", nil, p.x, p.matrix(1, false))) }},
		{"MatMul of a Transpose", single, 1e-7, func(p *projector) *graph.Value {
			return p.add(p.op("MatMul", nil, p.x, p.op("Transpose", graph.Attrs{"perm": []int64{1, 0}}, p.matrix(1, true))))
		}},
		{"Gemm, transposed, alpha", single, 1e-7, func(p *projector) *graph.Value {
			return p.op("Gemm", graph.Attrs{"transB": 1, "alpha": 4.0}, p.x, p.matrix(0.25, true), p.b)
		}},
		{"FusedMatMul, transposed", single, 1e-7, func(p *projector) *graph.Value {
			return p.add(p.ms("FusedMatMul", graph.Attrs{"transB": 1}, p.x, p.matrix(1, true)))
		}},
		{"DequantizeLinear", single, 0.01, func(p *projector) *graph.Value {
			q, scales := p.columns()
			return p.add(p.op("MatMul", nil, p.x, p.op("DequantizeLinear", graph.Attrs{"axis": 1}, q, scales)))
		}},
		{"MatMulInteger", single, 0.01, func(p *projector) *graph.Value {
			q, scales := p.columns()
			x := p.rounded()
			product := p.op("Cast", graph.Attrs{"to": int64(graph.Float32)}, p.op("MatMulInteger", nil, x[0], q, x[2]))
			return p.add(p.op("Mul", nil, product, p.op("Mul", nil, x[1], scales)))
		}},
		{"MatMulInteger of a Transpose", single, 0.01, func(p *projector) *graph.Value {
			q, scales := p.columns()
			bytes, err := q.Const().Load()
			if err != nil {
				panic(err)
			}
			turned := make([]byte, len(bytes.Data))
			for i := range p.in {
				for j := range p.out {
					turned[j*p.in+i] = bytes.Data[i*p.out+j]
				}
			}
			q = p.op("Transpose", graph.Attrs{"perm": []int64{1, 0}}, p.bytes(graph.Int8, turned, p.out, p.in))
			x := p.rounded()
			product := p.op("Cast", graph.Attrs{"to": int64(graph.Float32)}, p.op("MatMulInteger", nil, x[0], q, x[2]))
			return p.add(p.op("Mul", nil, product, p.op("Mul", nil, x[1], scales)))
		}},
		{"MatMulInteger, zero point", single, 0.01, func(p *projector) *graph.Value {
			q, scale, zero := p.table()
			x := p.rounded()
			product := p.op("Cast", graph.Attrs{"to": int64(graph.Float32)}, p.op("MatMulInteger", nil, x[0], q, x[2], zero))
			return p.add(p.op("Mul", nil, p.op("Mul", nil, scale, x[1]), product))
		}},
		{"MatMulIntegerToFloat", single, 0.01, func(p *projector) *graph.Value {
			q, scales := p.columns()
			x := p.rounded()
			return p.ms("MatMulIntegerToFloat", nil, x[0], q, x[1], scales, x[2], nil, p.b)
		}},
		{"DynamicQuantizeMatMul", single, 0.01, func(p *projector) *graph.Value {
			q, scale, zero := p.table()
			return p.ms("DynamicQuantizeMatMul", nil, p.x, q, scale, zero, p.b)
		}},
		{"DynamicQuantizeMatMul by column", single, 0.01, func(p *projector) *graph.Value {
			q, scales := p.columns()
			return p.add(p.ms("DynamicQuantizeMatMul", nil, p.x, q, scales))
		}},
		{"MatMulNBits", single, 0.1, func(p *projector) *graph.Value { return p.nbits(8, false) }},
		{"MatMulNBits, zero points", single, 0.1, func(p *projector) *graph.Value { return p.nbits(7, true) }},
		{"MatMul of float16", half, 1e-3, func(p *projector) *graph.Value { return p.add(p.op("MatMul", nil, p.x, p.matrix(1, false))) }},
		{"Gemm of float16, transposed, alpha", half, 1e-3, func(p *projector) *graph.Value {
			return p.op("Gemm", graph.Attrs{"transB": 1, "alpha": 4.0}, p.x, p.matrix(0.25, true), p.b)
		}},
		{"MatMulNBits of float16", half, 0.1, func(p *projector) *graph.Value { return p.nbits(7, true) }},
		{"MatMulBnb4", single, 0, func(p *projector) *graph.Value {
			packed, scales, _ := p.fourBits(8)
			flat := p.op("Reshape", nil, packed, p.Const(p.g, p.Fresh("made/flat"), graph.NewInt64([]int64{-1}, 1)))
			attrs := graph.Attrs{"K": p.in, "N": p.out, "block_size": 16, "quant_type": 1}
			return p.add(p.ms("MatMulBnb4", attrs, p.x, flat, scales))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkProjection(t, tt.file, tt.bound, tt.make) })
	}
}

// checkProjection gives a file W_O in another form. bound is how far its numbers may be from the old ones; 0: they are not read.
func checkProjection(t *testing.T, file string, bound float64, form func(p *projector) *graph.Value) {
	t.Helper()
	m, l, old := project(t, file, form)
	for i, layer := range l.Bodies[0].Layers {
		if bound == 0 {
			continue
		}
		got, err := layer.WO.Dense()
		if err != nil {
			t.Fatal(err)
		}
		for k := range got {
			if d := math.Abs(float64(got[k] - old[i][k])); !(d <= bound*largest(old[i])) {
				t.Fatalf("layer %d: number %d of W_O is %g, made of %g", i, k, got[k], old[i][k])
			}
		}
	}
	dir := t.TempDir()
	if _, err := graph.Save(t.Context(), m, filepath.Join(dir, "model.onnx"), graph.Embed, false); err != nil {
		t.Fatal(err)
	}
	m, err := graph.Load(filepath.Join(dir, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if l, err = recognise.Locate(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	man, _, err := rewrite.Apply(t.Context(), m, l, all(l))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "patched.onnx")
	if _, err := rewrite.Save(t.Context(), m, man, out, graph.Auto, false); err != nil {
		t.Fatal(err)
	}
	r, err := verified(t, orttest.Host(t), out, "", runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if !c.OK {
			t.Errorf("%s (layer %d): got %g, want %s (%s)", c.Name, c.Layer, c.Got, c.Want, c.Note)
		}
	}
	if len(r.Checks) != 1+l.Layers*(1+2*len(models.Sites()))+6 { // five laws of the whole model, and the weights
		t.Errorf("%d checks", len(r.Checks))
	}
}

// project replaces W_O of every layer of a fixture and returns the matrices it had.
func project(t *testing.T, file string, form func(p *projector) *graph.Value) (*graph.Model, *models.Layout, [][]float32) {
	t.Helper()
	m, err := graph.Load(filepath.Join(testdata, file+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := recognise.Locate(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := m.Edit()
	var old [][]float32
	for _, layer := range l.Bodies[0].Layers {
		w, n := layer.WO, layer.WO.Node
		if !n.Is("Gemm") {
			t.Fatalf("W_O is read by %s", n)
		}
		x, err := w.Dense()
		if err != nil {
			t.Fatal(err)
		}
		old = append(old, x)
		y := form(&projector{Edit: e, g: m.Graph, x: n.In(0), b: n.In(2), w: x, in: w.In, out: w.Out})
		for _, u := range n.Out(0).Uses() {
			e.Redirect(u, y)
		}
	}
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	if l, err = recognise.Locate(t.Context(), m, nil); err != nil {
		t.Fatal(err)
	}
	return m, l, old
}

func largest(x []float32) float64 { return float64(max(slices.Max(x), -slices.Min(x))) }
