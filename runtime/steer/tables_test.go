package steer

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models/weights"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// quantisedTable is a table of embeddings in one of the forms that operators of ONNX Runtime read, with a random content.
type quantisedTable struct {
	op         string // GatherBlockQuantized or DequantizeLinear
	dtype      graph.DType
	bits, size int64
	axis       int64
	zero       bool
	cut        bool // rows are padded to whole blocks, and what is too much is cut off after the look-up
}

// Tables in blocks are read as ONNX Runtime reads them: packed in bytes or in a type of 4 bits, with zero points or around what the
// operator takes for one.
func TestTablesAreWhatRuns(t *testing.T) {
	var all []quantisedTable
	for _, zero := range []bool{false, true} {
		for _, size := range []int64{16, 32, 128} {
			for _, cut := range []bool{false, true} {
				all = append(all, quantisedTable{"GatherBlockQuantized", graph.Uint8, 4, size, 1, zero, cut}, quantisedTable{"GatherBlockQuantized", graph.Uint8, 8, size, 1, zero, cut})
			}
			all = append(all, quantisedTable{"GatherBlockQuantized", graph.Int4, 4, size, 1, zero, false}, quantisedTable{"GatherBlockQuantized", graph.Uint4, 4, size, 1, zero, false})
		}
		for _, d := range []graph.DType{graph.Int4, graph.Uint4, graph.Int8, graph.Uint8} {
			for axis := range int64(2) {
				all = append(all, quantisedTable{"DequantizeLinear", d, d.Bits(), 16, axis, zero, false})
			}
		}
	}
	for _, f := range all {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			const rows, width = 48, 200 // the last block of a row is not full
			f.check(t, rows, width)
		})
	}
}

func (f quantisedTable) check(t *testing.T, rows, width int64) {
	t.Helper()
	m, err := graph.Parse("ir 10\nopset 21\nopset com.microsoft 1\ngraph g {\nin ids: int64[n]\nend = Identity(ids)\nout end\n}")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, uint64(f.size)))
	noise := func(d graph.DType, dims ...int64) *graph.Tensor {
		x := graph.Zeros(d, dims...)
		for i := range x.Data {
			x.Data[i] = byte(rng.Uint32())
		}
		return x
	}
	across, down := (width+f.size-1)/f.size, rows
	if f.axis == 0 {
		across, down = width, (rows+f.size-1)/f.size
	}
	stored, perByte := width, int64(1)
	if f.cut {
		stored = across * f.size
	}
	if f.dtype == graph.Uint8 {
		perByte = 8 / f.bits
	}
	scales := make([]float32, down*across)
	for i := range scales {
		scales[i] = float32(rng.IntN(15)+1) / 32
	}
	e := m.Edit()
	in := []*graph.Value{e.Const(m.Graph, "q", noise(f.dtype, rows, stored/perByte)), e.Const(m.Graph, "s", graph.NewFloat32(scales, down, across))}
	if f.zero {
		in = append(in, e.Const(m.Graph, "z", noise(f.dtype, down, (across+perByte-1)/perByte)))
	}
	ids := m.Graph.Inputs()[0]
	var out *graph.Value
	w := &weights.Weight{In: rows, Out: width, Alpha: 1}
	if f.op == "DequantizeLinear" {
		matrix := e.Node(m.Graph, graph.Spec{Op: f.op, Name: "table", Inputs: in, Attrs: graph.Attrs{"axis": f.axis, "block_size": f.size}})
		out = e.Node(m.Graph, graph.Spec{Op: "Gather", Name: "look", Inputs: []*graph.Value{matrix, ids}})
		w.Store, w.Scale, w.Axis, w.ScaleBlock = in[0].Const(), in[1].Const(), int(f.axis), f.size
		if f.zero {
			w.Zero = in[2].Const()
		}
	} else {
		in = append([]*graph.Value{in[0], ids}, in[1:]...)
		out = e.Node(m.Graph, graph.Spec{Op: f.op, Domain: "com.microsoft", Name: "look", Inputs: in,
			Attrs: graph.Attrs{"bits": f.bits, "block_size": f.size, "gather_axis": int64(0), "quantize_axis": f.axis}})
		w.Block = &weights.Block{Bits: f.bits, Size: f.size, Packed: in[0].Const(), Scales: in[2].Const()}
		if f.zero {
			w.Block.Zeros = in[3].Const()
		}
	}
	e.ReplaceOutput(m.Graph.Outputs()[0], out)
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	s, err := runtime.OpenGraph(t.Context(), orttest.Host(t), m, runtime.Options{Threads: 1, Level: runtime.Unmodified})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tokens := []int64{0, 1, rows - 1, 17}
	got, err := s.Run(t.Context(), map[string]*graph.Tensor{ids.Name(): graph.NewInt64(tokens, int64(len(tokens)))})
	if err != nil {
		t.Fatal(err)
	}
	ran, err := got[m.Graph.Outputs()[0].Name()].Float32s()
	if err != nil {
		t.Fatal(err)
	}
	for k, id := range tokens {
		row, err := w.Row(id)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range row {
			if want := ran[k*len(ran)/len(tokens)+i]; x != want {
				t.Fatalf("row %d, column %d: read as %g, runs as %g", id, i, x, want)
			}
		}
	}
}
