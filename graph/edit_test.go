package graph

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// site is the model that the edits below work on: a value with three readers, one of them in a branch, a constant, an
// omitted input, and two outputs.
const site = `
	ir 8 opset 17
	graph main {
	  in x: float32[batch, 4]
	  in c: bool[]
	  const w = float32[4] {1, 2, 3, 4}
	  h: float32[batch, 4] = Abs(x) @abs
	  a: float32[batch, 4] = Add(h, w) @add
	  b: float32[batch, 4] = Clip(h, _, a) @clip
	  r: float32[batch, 4] = If(c) {
	    then_branch: graph t { p: float32[batch, 4] = Neg(h) @neg out p }
	    else_branch: graph e { q = Mul(b, b) @mul s = Sub(q, w) @sub out s }
	  } @if
	  out b
	  out r
	}`

func parse(t testing.TB, text string) *Model {
	t.Helper()
	m, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// find returns the value of that name in any scope.
func find(t testing.TB, m *Model, name string) *Value {
	t.Helper()
	for g := range m.Graphs() {
		if v := g.Lookup(name); v != nil {
			return v
		}
	}
	t.Fatalf("no value %q", name)
	return nil
}

// Nodes that were dead before a prune stay, and so do the nodes they read.
func TestPruneKeepsWhatTheDeadRead(t *testing.T) {
	m := parse(t, `
		ir 8 opset 17
		graph main {
		  in x: float32[4]
		  a = Abs(x) @abs
		  b = Neg(a) @neg
		  d = Exp(a) @dead
		  y = Add(b, b) @add
		  out y
		}`)
	e := m.Edit()
	e.ReplaceOutput(find(t, m, "y"), e.Node(m.Graph, Spec{Op: "Relu", Inputs: []*Value{find(t, m, "x")}}))
	e.Prune()
	if err := e.Commit(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range m.Graph.Ordered() {
		got = append(got, n.op)
	}
	if diff := cmp.Diff([]string{"Relu", "Abs", "Exp"}, got); diff != "" {
		t.Error(diff)
	}
}

// state returns everything of a model that an edit could change: its text, the order of uses, and its bytes.
func state(m *Model) string {
	var b strings.Builder
	b.WriteString(Format(m))
	for g := range m.Graphs() {
		for v := range g.values {
			fmt.Fprintln(&b, v.name, v.uses, v.retype)
		}
	}
	fmt.Fprintf(&b, "%x", m.encode())
	return b.String()
}

// memory returns every object of a model with all its fields, with pointers as numbers.
func memory(m *Model) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", m.content)
	for g := range m.Graphs() {
		fmt.Fprintf(&b, "%p %+v\n", g, *g)
		for _, n := range g.nodes {
			fmt.Fprintf(&b, "%p %+v\n", n, *n)
		}
		for v := range g.values {
			fmt.Fprintf(&b, "%p %+v\n", v, *v)
		}
	}
	return b.String()
}

// edits holds one case of every kind of change, each with the lines that it removes from the text and adds to it.
var edits = []struct {
	name    string
	do      func(t testing.TB, m *Model, e *Edit)
	without string
	with    string
}{
	{"node", func(t testing.TB, m *Model, e *Edit) {
		h := find(t, m, "h")
		y := e.Node(m.Graph, Spec{Op: "Mul", Name: "scale", Inputs: []*Value{h, e.Const(m.Graph, "two", NewFloat32([]float32{2}, 1))}, Type: h.typ})
		e.Redirect(Use{h.uses[0].Node, 0}, y)
	}, `
		  a: float32[batch, 4] = Add(h, w) @add
	`, `
		  const two = float32[1] {2}
		  scale_out: float32[batch, 4] = Mul(h, two) @scale
		  a: float32[batch, 4] = Add(scale_out, w) @add
	`},
	{"node of a new domain, exact name, attributes, omitted input, two outputs", func(t testing.TB, m *Model, e *Edit) {
		x := find(t, m, "x")
		e.Node(m.Graph, Spec{Op: "Op", Domain: "new.domain", Inputs: []*Value{x, nil, x}, Outputs: 2, As: "exact", Attrs: Attrs{
			"i": 1, "f": 0.5, "s": "text", "is": []int64{1, 2}, "fs": []float32{1}, "t": NewInt64([]int64{7}), "j": int64(2), "w": find(t, m, "w").Const()}})
	}, ``, `
		opset new.domain 1
		  exact, Op_out1 = new.domain.Op(x, _, x) {f: 0.5, fs: [1.0], i: 1, is: [1, 2], j: 2, s: "text", t: int64[] {7}, w: float32[4] {1, 2, 3, 4}} @Op
	`},
	{"nodes whose ops name their domains", func(t testing.TB, m *Model, e *Edit) {
		x := find(t, m, "x")
		e.Node(m.Graph, Spec{Op: "com.microsoft.FusedMatMul", Inputs: []*Value{x, x}})
		e.Node(m.Graph, Spec{Op: "ai.onnx.Neg", Inputs: []*Value{x}})
		e.Node(m.Graph, Spec{Op: "odd.Op", Domain: "new.domain", Inputs: []*Value{x}}) // the domain is given: nothing to split
	}, ``, `
		opset com.microsoft 1
		opset new.domain 1
		  FusedMatMul_out = com.microsoft.FusedMatMul(x, x) @FusedMatMul
		  Neg_out = Neg(x) @Neg
		  odd.Op_out = "new.domain" "odd.Op"(x) @odd.Op
	`},
	{"node in a branch", func(t testing.TB, m *Model, e *Edit) {
		p := find(t, m, "p")
		y := e.Node(p.graph, Spec{Op: "Neg", Inputs: []*Value{find(t, m, "a")}})
		e.ReplaceOutput(p, y)
	}, `
		      p: float32[batch, 4] = Neg(h) @neg
	`, `
		      p: float32[batch, 4] = Neg(a) @Neg
		      p_before: float32[batch, 4] = Neg(h) @neg
	`},
	{"input and output", func(t testing.TB, m *Model, e *Edit) {
		v := e.Input("memory", TensorType(Float32, 1, "pos", nil))
		e.Output(m.Graph, e.Node(m.Graph, Spec{Op: "Identity", Inputs: []*Value{v}, As: "port"}))
	}, ``, `
		  in memory: float32[1, pos, ?]
		  port = Identity(memory) @Identity
		  out port
	`},
	{"replace an output in its place", func(t testing.TB, m *Model, e *Edit) {
		b := find(t, m, "b")
		e.ReplaceOutput(b, e.Node(m.Graph, Spec{Op: "Neg", Inputs: []*Value{b}}))
	}, `
		  b: float32[batch, 4] = Clip(h, _, a) @clip
		      q = Mul(b, b) @mul
	`, `
		  b_before: float32[batch, 4] = Clip(h, _, a) @clip
		  b: float32[batch, 4] = Neg(b_before) @Neg
		      q = Mul(b_before, b_before) @mul
	`},
	{"omit an input", func(t testing.TB, m *Model, e *Edit) {
		e.Redirect(Use{find(t, m, "b").node, 2}, nil)
	}, `
		  b: float32[batch, 4] = Clip(h, _, a) @clip
	`, `
		  b: float32[batch, 4] = Clip(h, _, _) @clip
	`},
	{"attribute, new and again", func(t testing.TB, m *Model, e *Edit) {
		e.SetAttr(find(t, m, "h").node, "axis", 1)
		e.SetAttr(find(t, m, "h").node, "axis", 2)
	}, `
		  h: float32[batch, 4] = Abs(x) @abs
	`, `
		  h: float32[batch, 4] = Abs(x) {axis: 2} @abs
	`},
	{"one more output of an If", func(t testing.TB, m *Model, e *Edit) {
		n := find(t, m, "r").node
		v := e.NodeOutput(n, "r2", TensorType(Float32, 4))
		for _, b := range n.Branches() {
			e.Output(b, b.Outputs()[0])
		}
		e.Output(m.Graph, v)
	}, `
		  r: float32[batch, 4] = If(c) {
	`, `
		  r: float32[batch, 4], r2: float32[4] = If(c) {
		      out p
		      out s
		  out r2
	`},
	{"fill an omitted output", func(t testing.TB, m *Model, e *Edit) {
		e.SetOutput(find(t, m, "b").node, 2, "extra")
	}, `
		  b: float32[batch, 4] = Clip(h, _, a) @clip
	`, `
		  b: float32[batch, 4], _, extra = Clip(h, _, a) @clip
	`},
	{"retype and forget", func(t testing.TB, m *Model, e *Edit) {
		e.ForgetTypes(m.Graph)
		e.Retype(find(t, m, "h"), TensorType(Float16, 1, "n"))
	}, `
		  h: float32[batch, 4] = Abs(x) @abs
		  a: float32[batch, 4] = Add(h, w) @add
	`, `
		  h: float16[1, n] = Abs(x) @abs
		  a = Add(h, w) @add
	`},
	{"remove an input, an output, and what is dead then", func(t testing.TB, m *Model, e *Edit) {
		e.RemoveOutput(m.Graph, find(t, m, "r"))
		e.RemoveInput(find(t, m, "c"))
		e.Redirect(Use{find(t, m, "b").node, 2}, nil)
		e.Prune()
	}, `
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
	`, `
		  b: float32[batch, 4] = Clip(h, _, _) @clip
	`},
	{"prune inside a branch, and what only that read", func(t testing.TB, m *Model, e *Edit) {
		s := find(t, m, "s")
		v := e.Node(s.graph, Spec{Op: "Neg", Inputs: []*Value{find(t, m, "h")}})
		e.ReplaceOutput(s, v)
		e.RemoveOutput(m.Graph, find(t, m, "b"))
		e.Prune()
	}, `
		  const w = float32[4] {1, 2, 3, 4}
		  a: float32[batch, 4] = Add(h, w) @add
		  b: float32[batch, 4] = Clip(h, _, a) @clip
		      q = Mul(b, b) @mul
		      s = Sub(q, w) @sub
		  out b
	`, `
		      s = Neg(h) @Neg
	`},
	{"prune what the edit itself adds and nobody reads", func(t testing.TB, m *Model, e *Edit) {
		e.Node(m.Graph, Spec{Op: "Neg", Inputs: []*Value{find(t, m, "b")}})
		e.RemoveOutput(m.Graph, find(t, m, "b"))
		e.Prune()
	}, `
		  out b
	`, `
	`},
	{"metadata, new and again", func(t testing.TB, m *Model, e *Edit) {
		e.SetMeta("k", "1")
		e.SetMeta("k", "2")
		e.SetMeta("l", "3")
	}, ``, `
		meta "k" "2"
		meta "l" "3"
	`},
	{"rename, relabel", func(t testing.TB, m *Model, e *Edit) {
		for _, name := range []string{"x", "w", "h", "b", "q"} {
			e.Rename(find(t, m, name), name+"'")
		}
		e.Relabel(find(t, m, "h").node, "")
		e.Relabel(find(t, m, "a").node, "label")
	}, `
		  in x: float32[batch, 4]
		  const w = float32[4] {1, 2, 3, 4}
		  h: float32[batch, 4] = Abs(x) @abs
		  a: float32[batch, 4] = Add(h, w) @add
		  b: float32[batch, 4] = Clip(h, _, a) @clip
		      p: float32[batch, 4] = Neg(h) @neg
		      q = Mul(b, b) @mul
		      s = Sub(q, w) @sub
		  out b
	`, `
		  in "x'": float32[batch, 4]
		  const "w'" = float32[4] {1, 2, 3, 4}
		  "h'": float32[batch, 4] = Abs("x'")
		  a: float32[batch, 4] = Add("h'", "w'") @label
		  "b'": float32[batch, 4] = Clip("h'", _, a) @clip
		      p: float32[batch, 4] = Neg("h'") @neg
		      "q'" = Mul("b'", "b'") @mul
		      s = Sub("q'", "w'") @sub
		  out "b'"
	`},
	{"inline a branch", func(t testing.TB, m *Model, e *Edit) {
		e.InlineBranch(find(t, m, "p").graph)
		e.RemoveInput(find(t, m, "c"))
	}, `
		  in c: bool[]
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
	`, `
		  r: float32[batch, 4] = Neg(h) @neg
	`},
}

// TestEdits makes each change, checks its effect on the text, and saves and loads the result.
func TestEdits(t *testing.T) {
	for _, tt := range edits {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, site)
			before := Format(m)
			e := m.Edit()
			tt.do(t, m, e)
			if got := state(m); got != state(parse(t, site)) {
				t.Error("the model changes before the commit")
			}
			if err := e.Commit(); err != nil {
				t.Fatal(err)
			}
			without, with := difference(before, Format(m))
			if diff := cmp.Diff(strings.TrimSpace(trim(tt.without)), strings.TrimSpace(without)); diff != "" {
				t.Errorf("removed: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(strings.TrimSpace(trim(tt.with)), strings.TrimSpace(with)); diff != "" {
				t.Errorf("added: -want +got\n%s", diff)
			}
			if err := Check(m); err != nil {
				t.Error(err)
			}
			again := saveAndLoad(t, m)
			if got, want := len(again.Graph.Inputs()), len(m.Graph.Inputs()); got != want {
				t.Errorf("%d inputs, want %d", got, want)
			}
			if err := e.Commit(); err == nil {
				t.Error("an edit can be committed twice")
			}
		})
	}
}

// difference returns the lines that only one of two texts contains, in their order.
func difference(a, b string) (onlyA, onlyB string) {
	x, y := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	// Longest common subsequence, in the simplest way: the texts are short.
	n := make([][]int, len(x)+1)
	for i := range n {
		n[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				n[i][j] = n[i+1][j+1] + 1
			} else {
				n[i][j] = max(n[i+1][j], n[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && n[i+1][j] >= n[i][j+1]:
			onlyA += x[i]
			i++
		default:
			onlyB += y[j]
			j++
		}
	}
	return onlyA, onlyB
}

// TestFailedEdits makes every change followed by one that fails. Afterwards the model must be as before, including the
// order of uses.
func TestFailedEdits(t *testing.T) {
	failures := []struct {
		name string
		do   func(t testing.TB, m *Model, e *Edit)
		want string
	}{
		{"cycle", func(t testing.TB, m *Model, e *Edit) {
			a := m.Graph.nodes[1].Out(0)
			e.Redirect(Use{m.Graph.nodes[0], 0}, e.Node(m.Graph, Spec{Op: "Neg", Inputs: []*Value{a}}))
		}, "depends on itself"},
		{"another scope", func(t testing.TB, m *Model, e *Edit) {
			for _, n := range m.Graph.nodes {
				if len(n.Branches()) > 0 {
					e.Node(m.Graph, Spec{Op: "Neg", Inputs: []*Value{n.Branches()[1].nodes[0].Out(0)}})
				}
			}
		}, "another scope"},
		{"an input that is read", func(t testing.TB, m *Model, e *Edit) { e.RemoveInput(m.Graph.inputs[0]) }, "which nothing produces"},
		{"no input", func(t testing.TB, m *Model, e *Edit) { e.RemoveInput(m.Graph.nodes[0].Out(0)) }, "is not a graph input"},
		{"no output", func(t testing.TB, m *Model, e *Edit) { e.RemoveOutput(m.Graph, m.Graph.nodes[0].Out(0)) }, "is not an output"},
		{"no output to replace", func(t testing.TB, m *Model, e *Edit) {
			e.ReplaceOutput(m.Graph.inputs[0], m.Graph.nodes[0].Out(0))
		}, "is not a graph output"},
		{"no such slot", func(t testing.TB, m *Model, e *Edit) {
			e.Redirect(Use{m.Graph.nodes[0], 5}, m.Graph.inputs[0])
		}, "has no input 5"},
		{"an output that exists", func(t testing.TB, m *Model, e *Edit) { e.SetOutput(m.Graph.nodes[0], 0, "z") }, "already has output 0"},
		{"a name taken by a value of a branch", func(t testing.TB, m *Model, e *Edit) {
			e.Node(m.Graph, Spec{Op: "Neg", As: "h", Inputs: []*Value{m.Graph.inputs[0]}})
		}, `the name "h" is taken`},
		{"an input's name taken", func(t testing.TB, m *Model, e *Edit) { e.Input("h", Type{}) }, `the name "h" is taken`},
		{"a name taken by this edit", func(t testing.TB, m *Model, e *Edit) {
			e.Rename(m.Graph.nodes[0].Out(0), "zz")
			e.Rename(m.Graph.nodes[1].Out(0), "zz")
		}, `the name "zz" is taken`},
		{"an attribute of no kind", func(t testing.TB, m *Model, e *Edit) { e.SetAttr(m.Graph.nodes[0], "a", struct{}{}) }, "of type struct"},
		{"half an order", func(t testing.TB, m *Model, e *Edit) { e.Order(m.Graph, m.Graph.nodes[:1]) }, "every node of the graph once"},
		{"an order with a stranger", func(t testing.TB, m *Model, e *Edit) {
			e.Order(m.Graph, append([]*Node{{}}, m.Graph.nodes[1:]...))
		}, "every node of the graph once"},
		{"the caller's own", func(t testing.TB, m *Model, e *Edit) { e.Fail(errors.New("no site")) }, "no site"},
	}
	for _, f := range failures {
		for _, change := range edits {
			t.Run(f.name+" after "+change.name, func(t *testing.T) {
				m := parse(t, site)
				before, objects := state(m), memory(m)
				e := m.Edit()
				change.do(t, m, e)
				f.do(t, m, e)
				err := e.Commit()
				if strings.Contains(change.name, "inline a branch") || strings.Contains(change.name, "that read") || strings.Contains(change.name, "dead") {
					if err == nil {
						t.Fatal("the edit succeeds") // these changes may fail in another way together with the second
					}
				} else if err == nil || !strings.Contains(err.Error(), f.want) {
					t.Fatalf("got %v, want %q", err, f.want)
				}
				if diff := cmp.Diff(before, state(m)); diff != "" {
					t.Errorf("-before +after\n%s", diff)
				}
				if diff := cmp.Diff(objects, memory(m)); diff != "" {
					t.Errorf("the objects: -before +after\n%s", diff)
				}
			})
		}
	}
}

// TestInlineBranch inlines branches whose names or outputs are difficult. No name may clash with one of a scope that can
// see it, and every output of the If must still be an output of the model.
func TestInlineBranch(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a name of another branch", `
			in c: bool[]
			in x: float32[4]
			y = If(c) {then_branch: graph t { a = Neg(x) b = Abs(a) out b }, else_branch: graph e { a = Abs(x) out a }}
			z = If(c) {then_branch: graph t2 { a = Neg(y) out a }, else_branch: graph e2 { out y }}
			out z
		`, `
			in c: bool[]
			in x: float32[4]
			a_1 = Neg(x)
			y = Abs(a_1)
			z = If(c) {
			  then_branch: graph t2 {
			    a = Neg(y)
			    out a
			  }
			  else_branch: graph e2 {
			    out y
			  }
			}
			out z
		`},
		{"an output's name within", `
			in c: bool[]
			in x: float32[4]
			y, z = If(c) {then_branch: graph t { z = Neg(x) y = Abs(z) out z out y }, else_branch: graph e { out x out x }}
			out y
			out z
		`, `
			in c: bool[]
			in x: float32[4]
			y = Neg(x)
			z = Abs(y)
			out y
			out z
		`},
		{"one value twice", `
			in c: bool[]
			in x: float32[4]
			y: float32[4], z: float32[n], _ = If(c) {then_branch: graph t { a = Neg(x) out a out a out a }, else_branch: graph e { out x out x out x }}
			w = Mul(z, y)
			out y
			out z
			out w
		`, `
			in c: bool[]
			in x: float32[4]
			y: float32[4] = Neg(x)
			z: float32[n] = Identity(y) @z_copy
			w = Mul(z, y)
			out y
			out z
			out w
		`},
		{"a value of the scope around", `
			in c: bool[]
			in x: float32[4]
			y: float32 = If(c) {then_branch: graph t { out x }, else_branch: graph e { a = Neg(x) out a }}
			out y
		`, `
			in c: bool[]
			in x: float32[4]
			y: float32 = Identity(x) @y_copy
			out y
		`},
		{"a shape that only the branch declares", `
			in c: bool[]
			in x: float32[4]
			y: float32 = If(c) {then_branch: graph t { a: float32[4] = Neg(x) out a }, else_branch: graph e { out x }}
			out y
		`, `
			in c: bool[]
			in x: float32[4]
			y: float32[4] = Neg(x)
			out y
		`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := parse(t, "graph g {"+tt.text+"}")
			inline := func() *Edit {
				e := m.Edit()
				for _, n := range m.Graph.nodes {
					if len(n.Branches()) > 0 {
						e.InlineBranch(n.Branches()[0])
						return e
					}
				}
				t.Fatal("no branch")
				return nil
			}
			before := memory(m)
			e := inline()
			e.RemoveInput(m.Graph.nodes[0].outs[0])
			if err := e.Commit(); err == nil || memory(m) != before {
				t.Fatalf("%v\nwant\n%sgot\n%s", err, before, memory(m))
			}
			if err := inline().Commit(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(trim(tt.want), trim(body(m))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			saveAndLoad(t, m)
		})
	}
}

// TestTryMany commits changes of many kinds, one after the other and some on the same objects, and undoes all of them at
// once.
func TestTryMany(t *testing.T) {
	m := parse(t, site)
	before, made := memory(m), 0
	failed := errors.New("no")
	err := m.Try(func() error {
		for _, change := range edits {
			for _, gone := range []string{"replace", "in a branch", "remove", "prune", "rename"} { // these change names that others look up
				if strings.Contains(change.name, gone) {
					change.do = nil
				}
			}
			if change.do == nil {
				continue
			}
			e := m.Edit()
			change.do(t, m, e)
			if err := e.Commit(); err != nil {
				t.Errorf("%s: %v", change.name, err)
			}
			made++
		}
		return failed
	})
	if !errors.Is(err, failed) || made < 9 {
		t.Errorf("%v after %d changes", err, made)
	}
	if diff := cmp.Diff(before, memory(m)); diff != "" {
		t.Errorf("-before +after\n%s", diff)
	}
}

// TestA15ReservedNames requests names that the file already uses.
func TestA15ReservedNames(t *testing.T) {
	m := parse(t, `graph g { in mem_3: float32[1] tau_3 = Neg(mem_3) @attn_out_3 mem_3_1 = Abs(tau_3) out mem_3_1 }`)
	e := m.Edit()
	for _, tt := range []struct{ base, want string }{{"mem_3", "mem_3_2"}, {"tau_3", "tau_3_1"}, {"attn_out_3", "attn_out_3_1"}, {"new", "new"}, {"new", "new_1"}} {
		if got := e.Fresh(tt.base); got != tt.want {
			t.Errorf("fresh %q is %q, want %q", tt.base, got, tt.want)
		}
	}
	if !e.Taken("mem_3") || e.Taken("other") {
		t.Error("taken is wrong")
	}
}

// TestManyEqualNames requests one name many times. Each number must be tried once, or this would take a minute.
func TestManyEqualNames(t *testing.T) {
	e := parse(t, `graph g { in x: float32[1] a = Neg(x) a_7 = Abs(a) out a_7 }`).Edit()
	number := 0
	for range 20_000 {
		if number++; number == 7 {
			number++
		}
		if got, want := e.Fresh("a"), fmt.Sprintf("a_%d", number); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

// Within Try, several edits count as one: if the last of them fails, all their changes are undone.
func TestTry(t *testing.T) {
	m := parse(t, `graph g { in x: float32[4] h = Neg(x) @neg y = Exp(h) @exp out y }`)
	before := memory(m)
	failed := errors.New("no")
	step := func() error {
		e := m.Edit()
		h := m.Graph.Lookup("h")
		e.Redirect(Use{m.Graph.Lookup("y").Producer(), 0}, e.Node(m.Graph, Spec{Op: "Abs", Inputs: []*Value{h}}))
		return e.Commit()
	}
	err := m.Try(func() error {
		if err := step(); err != nil {
			return err
		}
		if err := m.Try(step); err != nil {
			return err
		}
		if err := m.Try(func() error { return errors.Join(step(), failed) }); !errors.Is(err, failed) {
			t.Errorf("inner: %v", err)
		}
		if got := strings.Count(Format(m), " = Abs("); got != 2 {
			t.Errorf("%d nodes more, want 2", got)
		}
		return failed
	})
	if !errors.Is(err, failed) || memory(m) != before || Check(m) != nil {
		t.Errorf("%v\n%s", err, Format(m))
	}
	if err := m.Try(step); err != nil || memory(m) == before {
		t.Errorf("%v: nothing has changed", err)
	}
}
