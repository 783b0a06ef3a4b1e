package rewrite

import (
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/weights"
)

// The element type of a value determines whether ports and memories are cast. A wrong type makes a file that no host loads.
func TestDType(t *testing.T) {
	m, err := graph.Parse(`
ir 8
opset 17
opset com.microsoft 1
graph main {
  in x: float16[b, 4]
  in n: float32[b, 4]
  const shape = int64[2] {-1, 4}
  const scale = float16[1] {1}
  const packed = uint8[1] {1}
  unknown = com.example.Op(n)
  moved = Reshape(unknown, shape)
  half = Reshape(x, shape)
  single = Cast(half) {to: 1}
  sum = Add(unknown, half)
  product = com.microsoft.MatMulNBits(unknown, packed, scale)
  bnb = com.microsoft.MatMulBnb4(unknown, packed, scale)
  size = Shape(unknown)
  out moved
  out single
  out sum
  out product
  out bnb
  out size
}`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]graph.DType{
		"unknown": graph.Undefined, "moved": graph.Undefined, "half": graph.Float16, "single": graph.Float32,
		"sum": graph.Float16, "product": graph.Float16, "bnb": graph.Float16, "size": graph.Int64,
	}
	p := newPatch(m.Edit(), m, &models.Layout{}, &models.Body{Graph: m.Graph})
	for _, n := range m.Graph.Nodes() {
		v := n.Out(0)
		if got := p.dtype(v); got != want[v.Name()] {
			t.Errorf("%v is %v, want %v", v, got, want[v.Name()])
		}
	}
}

// The replacement for W_O must not contain b_O, which some operators take as an input.
func TestUnpackLeavesBiasBehind(t *testing.T) {
	m, err := graph.Parse(`
ir 8
opset 17
opset com.microsoft 1
graph main {
  in x: float32[b, 32]
  const packed = uint8[1] {1}
  const scale = float32[1] {1}
  const bias = float32[1] {1}
  y = com.microsoft.MatMulNBits(x, packed, scale, _, _, bias) {K: 32, N: 1, bits: 4, block_size: 32}
  out y
}`)
	if err != nil {
		t.Fatal(err)
	}
	n := m.Graph.Nodes()[0]
	p := newPatch(m.Edit(), m, &models.Layout{}, &models.Body{Graph: m.Graph})
	w := p.matrix("w", &weights.Weight{In: 32, Out: 1, Alpha: 1, Node: n}).Producer()
	if !w.Is(n.FullOp()) || w.In(1) != n.In(1) || w.In(2) != n.In(2) || w.In(5) != nil {
		t.Errorf("W_O is %v of %v", w.FullOp(), w.Inputs())
	}
}

// The identity matrix that packed weights are multiplied by must have the type of their scales, or of the other operand.
// Without such a type, unpacking must fail.
func TestUnpackNeedsAType(t *testing.T) {
	for scales, want := range map[string]string{
		"Abs(single)":          "",
		"com.example.Op(x)":    "",
		"com.example.Op(y)":    `w: com.microsoft.MatMulBnb4 "-> z": want scales of a float type`,
		"Cast(single) {to: 7}": `w: com.microsoft.MatMulBnb4 "-> z": want scales of a float type`,
	} {
		operand := "x"
		if want != "" {
			operand = "y"
		}
		m, err := graph.Parse(`
ir 8
opset 17
opset com.microsoft 1
graph main {
  in x: float16[b, 32]
  in some: int64[b, 32]
  const packed = uint8[16] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
  const single = float32[1] {1}
  y = com.example.Op(some)
  scales = ` + scales + `
  z = com.microsoft.MatMulBnb4(` + operand + `, packed, scales) {K: 32, N: 1, block_size: 32, quant_type: 1}
  out z
}`)
		if err != nil {
			t.Fatal(err)
		}
		e := m.Edit()
		nodes := m.Graph.Nodes()
		newPatch(e, m, &models.Layout{}, &models.Body{Graph: m.Graph}).matrix("w", &weights.Weight{In: 32, Out: 1, Alpha: 1, Node: nodes[len(nodes)-1]})
		got := ""
		if err := e.Commit(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", scales, got, want)
		}
	}
}

// A memory is float32. If the type of the block is unknown, the host must convert; files older than CastLike are float32.
func TestMemoryOfUnknownType(t *testing.T) {
	for opset, want := range map[string]string{"14": "", "15": "CastLike"} {
		m, err := graph.Parse(`
ir 8
opset ` + opset + `
graph main {
  in n: float32[b, 4]
  unknown = com.example.Op(n)
  out unknown
}`)
		if err != nil {
			t.Fatal(err)
		}
		p := newPatch(m.Edit(), m, &models.Layout{}, &models.Body{Graph: m.Graph})
		memory, unknown := m.Graph.Inputs()[0], m.Graph.Nodes()[0].Out(0)
		v := p.like("memory", memory, p.dtype(unknown), unknown)
		if got := v.Producer(); want == "" && v != memory || want != "" && !got.Is(want) {
			t.Errorf("opset %s: %v, want %q", opset, got, want)
		}
	}
}
