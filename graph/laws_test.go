package graph

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// randomEdit adds several arbitrary changes to an edit. Many of them contradict each other; then Commit must return an
// error.
func randomEdit(t *rapid.T, m *Model, e *Edit) {
	graphs := slices.Collect(m.Graphs())
	var values []*Value
	var nodes []*Node
	for _, g := range graphs {
		values = slices.AppendSeq(values, g.values)
		nodes = append(nodes, g.nodes...)
	}
	value := func(what string) *Value { return rapid.SampledFrom(values).Draw(t, what) }
	node := func(what string) *Node { return rapid.SampledFrom(nodes).Draw(t, what) }
	scope := func() *Graph { return rapid.SampledFrom(graphs).Draw(t, "graph") }
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		kind := rapid.IntRange(0, 13).Draw(t, "kind")
		if len(nodes) == 0 && (kind >= 3 && kind <= 5 || kind == 11) {
			continue // earlier edits pruned every node: there is none to change
		}
		switch kind {
		case 0, 1, 2:
			g := scope()
			if rapid.Bool().Draw(t, "same scope") {
				g = value("where").graph
			}
			ins := []*Value{value("a"), value("b"), nil}[:rapid.IntRange(0, 3).Draw(t, "inputs")]
			values = append(values, e.Node(g, Spec{Op: "Op", Inputs: ins, Type: TensorType(Float32, 4), Attrs: Attrs{"i": 1}}))
		case 3, 4, 5:
			if n := node("reader"); len(n.ins) > 0 {
				e.Redirect(Use{n, rapid.IntRange(0, len(n.ins)-1).Draw(t, "slot")}, value("new"))
			}
		case 6:
			values = append(values, e.Const(scope(), "c", NewInt64([]int64{1, 2}, 2)))
		case 7:
			e.Output(m.Graph, value("output"))
		case 8:
			if len(m.Graph.outputs) > 0 {
				e.ReplaceOutput(rapid.SampledFrom(m.Graph.outputs).Draw(t, "old"), value("by"))
			}
		case 9:
			if len(m.Graph.outputs) > 1 {
				e.RemoveOutput(m.Graph, rapid.SampledFrom(m.Graph.outputs).Draw(t, "gone"))
			}
		case 10:
			e.Rename(value("renamed"), rapid.StringMatching(`[a-z ]{1,3}`).Draw(t, "name"))
		case 11:
			e.SetAttr(node("owner"), "attr", "text")
		case 12:
			e.Retype(value("typed"), TensorType(Float16, "n"))
		case 13:
			e.Prune()
		}
	}
}

// TestRandomEdits makes arbitrary edits. Each must either give a model that satisfies Check and is unchanged by saving and
// loading, or leave everything as it was.
func TestRandomEdits(t *testing.T) {
	dir := t.TempDir()
	committed, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m, err := Parse(site)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			before := state(m)
			e := m.Edit()
			randomEdit(t, m, e)
			if err := e.Commit(); err != nil {
				refused++
				if diff := cmp.Diff(before, state(m)); diff != "" {
					t.Fatalf("%v: -before +after\n%s", err, diff)
				}
				continue
			}
			committed++
			if err := Check(m); err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(dir, "out.onnx")
			if _, err := Save(t.Context(), m, out, Embed, true); err != nil {
				t.Fatal(err)
			}
			again, err := Load(out)
			if err != nil {
				t.Fatal(err)
			}
			again.Close()
			if diff := cmp.Diff(Format(m), Format(again)); diff != "" {
				t.Fatalf("the saved copy differs: -want +got\n%s", diff)
			}
		}
	})
	if committed == 0 || refused == 0 {
		t.Errorf("%d edits committed, %d refused: too one-sided to show anything", committed, refused)
	}
}

// TestNoEdit commits an edit without changes to every fixture, and to a file whose nodes are out of order, which is sorted.
func TestNoEdit(t *testing.T) {
	for _, path := range fixtures(t) {
		m, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		before := state(m)
		if err := m.Edit().Commit(); err != nil {
			t.Fatal(err)
		}
		if state(m) != before {
			t.Errorf("%s changes", filepath.Base(path))
		}
	}
	m := parse(t, "graph g { in x: float32[1] c = Neg(b) a = Neg(x) b = Neg(a) d = Neg(a) out c out d }")
	if err := m.Edit().Commit(); err != nil {
		t.Fatal(err)
	}
	if want := "in x: float32[1]\na = Neg(x)\nb = Neg(a)\nc = Neg(b)\nd = Neg(a)\nout c\nout d\n"; body(m) != want {
		t.Errorf("sorted to\n%s", body(m))
	}
}
