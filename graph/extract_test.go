package graph

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExtract(t *testing.T) {
	tests := []struct {
		name    string
		in, out []string
		want    string
	}{
		{"between values", []string{"h"}, []string{"a"}, `
			in h: float32[batch, 4]
			const w = float32[4] {1, 2, 3, 4}
			a: float32[batch, 4] = Add(h, w) @add
			out a
		`},
		{"from the original inputs", []string{"x"}, []string{"b"}, `
			in x: float32[batch, 4]
			const w = float32[4] {1, 2, 3, 4}
			h: float32[batch, 4] = Abs(x) @abs
			a: float32[batch, 4] = Add(h, w) @add
			b: float32[batch, 4] = Clip(h, _, a) @clip
			out b
		`},
		{"what a branch reads is needed", []string{"h", "c"}, []string{"r"}, `
			in h: float32[batch, 4]
			in c: bool[]
			const w = float32[4] {1, 2, 3, 4}
			a: float32[batch, 4] = Add(h, w) @add
			b: float32[batch, 4] = Clip(h, _, a) @clip
			r: float32[batch, 4] = If(c) {
			  then_branch: graph t {
			    p: float32[batch, 4] = Neg(h) @neg
			    out p
			  }
			  else_branch: graph e {
			    q = Mul(b, b) @mul
			    s = Sub(q, w) @sub
			    out s
			  }
			} @if
			out r
		`},
		{"an initializer as input", []string{"w", "h"}, []string{"a"}, `
			in w: float32[4]
			in h: float32[batch, 4]
			a: float32[batch, 4] = Add(h, w) @add
			out a
		`},
		{"several outputs, their order, an input that is not needed", []string{"h", "c"}, []string{"a", "h"}, `
			in h: float32[batch, 4]
			in c: bool[]
			const w = float32[4] {1, 2, 3, 4}
			a: float32[batch, 4] = Add(h, w) @add
			out a
			out h
		`},
		{"a constant alone", nil, []string{"w"}, `
			const w = float32[4] {1, 2, 3, 4}
			out w
		`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, site)
			before := state(m)
			part, err := Extract(m, values(t, m, tt.in), values(t, m, tt.out))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(trim(tt.want), body(part)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			saveAndLoad(t, part)
			e := part.Edit()
			e.ForgetTypes(part.Graph)
			e.SetMeta("part", "changed")
			if err := e.Commit(); err != nil {
				t.Fatal(err)
			}
			if state(m) != before {
				t.Error("the whole changes with its part")
			}
		})
	}
}

func values(t *testing.T, m *Model, names []string) []*Value {
	t.Helper()
	var out []*Value
	for _, name := range names {
		out = append(out, find(t, m, name))
	}
	return out
}

func TestExtractRefuses(t *testing.T) {
	m := parse(t, site+"\n")
	q := find(t, m, "q")
	x, c, h, b, r := find(t, m, "x"), find(t, m, "c"), find(t, m, "h"), find(t, m, "b"), find(t, m, "r")
	untyped := parse(t, "graph g { in x: float32[1] y = Neg(x) z = Neg(y) out z }")
	tests := []struct {
		name    string
		m       *Model
		in, out []*Value
		want    string
	}{
		{"cut off above the inputs", m, []*Value{h}, []*Value{r}, `the outputs depend on "c" besides`},
		{"two missing", m, []*Value{b}, []*Value{r}, `depend on "c", "x" besides`},
		{"no outputs", m, []*Value{x}, nil, "no outputs"},
		{"a value of a branch", m, []*Value{x, c}, []*Value{q}, `output "q" is no value of the main graph`},
		{"a value of another model", m, []*Value{find(t, untyped, "x")}, []*Value{r}, "is no value of the main graph"},
		{"nil", m, []*Value{nil}, []*Value{r}, "input 0 is missing"},
		{"twice", m, []*Value{x, x}, []*Value{h}, `input "x" is listed twice`},
		{"no type", untyped, []*Value{find(t, untyped, "y")}, untyped.Graph.Outputs(), `input "y" has no declared type`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Extract(tt.m, tt.in, tt.out)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestExtractSiblingOutput takes one output of a node as input while the other is computed.
func TestExtractSiblingOutput(t *testing.T) {
	m := parse(t, `graph g { in x: float32[4] l: float32[2], r = Split(x) y = Add(l, r) out y }`)
	part, err := Extract(m, values(t, m, []string{"x", "l"}), values(t, m, []string{"y"}))
	if err != nil {
		t.Fatal(err)
	}
	want := "in x: float32[4]\nin l: float32[2]\nl_before, r = Split(x)\ny = Add(l, r)\nout y\n"
	if diff := cmp.Diff(want, body(part)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestExtractFixtures cuts real models in the middle: the lower part ends where the upper one begins, and together they have
// every node that the outputs need, each once or, where both parts need it, twice.
func TestExtractFixtures(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			g := m.Graph
			var middle *Value
			for _, n := range g.nodes[len(g.nodes)/2:] {
				if v := n.Out(0); n.Is("Add", "MatMul", "If") && v.typ.DType != Undefined {
					middle = v
					break
				}
			}
			if middle == nil {
				middle = g.outputs[0] // a file without types inside
			}
			lower, err := Extract(m, g.Inputs(), []*Value{middle})
			if err != nil {
				t.Fatal(err)
			}
			upper, err := Extract(m, append(g.Inputs(), middle), g.Outputs())
			if err != nil {
				t.Fatal(err)
			}
			if got, least := len(lower.Graph.nodes)+len(upper.Graph.nodes), len(live(g, nil)); got < least {
				t.Errorf("%d nodes in both parts, want at least %d", got, least)
			}
			if got := lower.WeightBytes(); got > m.WeightBytes() {
				t.Errorf("%d bytes of weights in a part, %d in the whole", got, m.WeightBytes())
			}
			if err := errors.Join(Check(lower), Check(upper)); err != nil {
				t.Error(err)
			}
			sums := weightSums(t, m)
			for _, part := range []*Model{lower, upper} {
				for name, sum := range weightSums(t, part) {
					if strings.HasPrefix(name, "1 ") && sums[name] != sum {
						t.Errorf("tensor %s differs", name)
					}
				}
				saveAndLoad(t, part)
				if _, err := Save(t.Context(), part, path, Embed, false); err == nil || !strings.Contains(err.Error(), "the input itself") {
					t.Fatalf("a part may be written over the whole: %v", err)
				}
			}
		})
	}
}
