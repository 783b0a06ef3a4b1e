package graph

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// Rows must equal the tensor's bytes, in memory and on disk, and in every mode of writing weights.
func TestRows(t *testing.T) {
	for _, path := range fixtures(t) {
		m, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		table := widest(m)
		from, n := table.Dims[0]/3, table.Dims[0]/2
		want, err := table.Rows(from, n)
		if err != nil {
			t.Fatal(err)
		}
		size, nodes := m.WeightBytes(), m.Graph.Nodes()
		e := m.Edit()
		e.Rows(m.Graph, "rows", table, from, n)
		e.Redirect(Use{nodes[0], 0}, nodes[0].Out(0)) // a cycle
		if err := e.Commit(); err == nil || m.WeightBytes() != size {
			t.Errorf("%s: a refused edit: error %v, %d bytes of weights, want %d", filepath.Base(path), err, m.WeightBytes(), size)
		}
		e = m.Edit()
		v := e.Rows(m.Graph, "rows", table, from, n)
		e.Output(m.Graph, e.Node(m.Graph, Spec{Op: "Identity", Name: "out", Inputs: []*Value{v}, As: "rows_out"}))
		if err := e.Commit(); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, w := range []Weights{Embed, Copy} {
			out := filepath.Join(dir, string(w)+".onnx")
			if _, err := Save(t.Context(), m, out, w, false); err != nil {
				t.Fatal(err)
			}
			again, err := Load(out)
			if err != nil {
				t.Fatal(err)
			}
			got, err := find(t, again, v.Name()).Const().Load()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Data, want.Data) || got.DType != want.DType || got.Dims[0] != n || got.Dims[1] != want.Dims[1] {
				t.Errorf("%s, %s: %v%v, want %v%v, or other bytes", filepath.Base(path), w, got.DType, got.Dims, want.DType, want.Dims)
			}
		}
	}
}

// widest returns the largest tensor of two axes in bytes.
func widest(m *Model) (found *Const) {
	for _, v := range m.Graph.Initializers() {
		c := v.Const()
		if _, large := c.Span(); large && len(c.Dims) == 2 && c.DType.Bits() >= 8 && (found == nil || c.ByteSize() > found.ByteSize()) {
			found = c
		}
	}
	return found
}

func TestRowsOutside(t *testing.T) {
	m := parse(t, `graph g { const w = float32[3, 2] {1, 2, 3, 4, 5, 6} a = Identity(w) out a }`)
	w := find(t, m, "w").Const()
	for _, r := range [][2]int64{{-1, 2}, {2, 2}, {0, -1}, {4, 0}} {
		e := m.Edit()
		e.Rows(m.Graph, "rows", w, r[0], r[1])
		if err := e.Commit(); err == nil || !strings.Contains(err.Error(), `initializer "rows": rows`) {
			t.Errorf("rows %v: got %v, want an error", r, err)
		}
	}
	e := m.Edit()
	v := e.Rows(m.Graph, "rows", w, 1, 2) // in memory
	e.Output(m.Graph, e.Node(m.Graph, Spec{Op: "Identity", Inputs: []*Value{v}}))
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	got, err := v.Const().Load()
	if err != nil {
		t.Fatal(err)
	}
	if x, _ := got.Float32s(); len(x) != 4 || x[0] != 3 || x[3] != 6 {
		t.Errorf("rows are %v", x)
	}
}
