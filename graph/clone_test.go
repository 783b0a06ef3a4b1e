package graph

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// disturb changes much of a model: names, edges, attributes, a constant, metadata, an output, a hole.
func disturb(t *testing.T, m *Model, mark string) {
	t.Helper()
	e, g := m.Edit(), m.Graph
	e.SetMeta("disturbed", mark)
	for g := range m.Graphs() {
		for _, n := range g.nodes {
			e.Relabel(n, n.name+mark)
			for _, v := range n.outs {
				if v != nil && !v.IsOutput() {
					e.Rename(v, fmt.Sprint(v.name, mark, v.id))
				}
			}
		}
	}
	for _, v := range g.inits {
		if c := v.init; len(c.Dims) == 2 && len(v.uses) > 0 && c.span != nil {
			e.Redirect(v.uses[0], e.Rows(g, "rows", c, int64(len(mark)), 1))
			break
		}
	}
	v := g.nodes[0].Out(0)
	e.SetAttr(g.nodes[0], "disturbed"+mark, 1)
	e.Output(g, e.Node(g, Spec{Op: "com.example.Disturb", Inputs: []*Value{v}}))
	e.ForgetTypes(g)
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	e = m.Edit()
	e.RemoveOutput(g, g.outputs[0])
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
}

// TestClone copies every fixture, as loaded and after an edit. It then edits the clone and after that the original. In each
// case the other model must not change, object by object.
func TestClone(t *testing.T) {
	for _, path := range fixtures(t) {
		for _, edited := range []bool{false, true} {
			t.Run(filepath.Base(path)+map[bool]string{true: "/edited"}[edited], func(t *testing.T) {
				m, err := Load(path)
				if err != nil {
					t.Fatal(err)
				}
				if edited {
					disturb(t, m, "'")
				}
				before := memory(m)
				c := m.Clone()
				if diff := cmp.Diff(Format(m), Format(c)); diff != "" {
					t.Error(diff)
				}
				if string(m.encode()) != string(c.encode()) {
					t.Error("the clone's bytes differ")
				}
				sameIDs(t, m, c)
				disturb(t, c, "''")
				if diff := cmp.Diff(before, memory(m)); diff != "" {
					t.Errorf("the original changes: %s", diff)
				}
				before = memory(c)
				disturb(t, m, "'''")
				if diff := cmp.Diff(before, memory(c)); diff != "" {
					t.Errorf("the clone changes: %s", diff)
				}
				for _, m := range []*Model{m, c} {
					if err := Check(m); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// byID returns the nodes and values of the model, indexed by their IDs. An entry is nil where an edit removed the object.
func (m *Model) byID() (nodes []*Node, values []*Value) {
	nodes, values = make([]*Node, m.nodes), make([]*Value, m.values)
	for g := range m.Graphs() {
		for _, n := range g.nodes {
			nodes[n.id] = n
		}
		for v := range g.values {
			values[v.id] = v
		}
	}
	return nodes, values
}

// sameIDs checks that each object of a clone has the ID of its original and is a different object.
func sameIDs(t *testing.T, m, c *Model) {
	t.Helper()
	nodes, values := c.byID()
	for g := range m.Graphs() {
		for _, n := range g.nodes {
			if d := nodes[n.ID()]; d == n || d == nil || d.String() != n.String() || d.graph.model != c {
				t.Fatalf("%v corresponds to %v", n, d)
			}
		}
		for v := range g.values {
			if w := values[v.ID()]; w == v || w == nil || w.name != v.name || len(w.uses) != len(v.uses) || w.graph.model != c {
				t.Fatalf("%v corresponds to %v", v, w)
			}
		}
	}
	if len(nodes) != m.NodeIDs() || len(values) != m.ValueIDs() {
		t.Errorf("%d nodes and %d values", len(nodes), len(values))
	}
}

func BenchmarkClone(b *testing.B) {
	m, err := Load(largeModel(b, 10_000))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Clone()
	}
}
