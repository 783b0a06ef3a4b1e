package graph

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// body returns the lines that Format prints between the braces of the main graph.
func body(m *Model) string {
	text := Format(m)
	text = text[strings.Index(text, "graph ")+1:]
	text = text[strings.Index(text, "{\n")+2:]
	var lines []string
	for line := range strings.Lines(strings.TrimSuffix(text, "}\n")) {
		lines = append(lines, strings.TrimPrefix(line, "  "))
	}
	return strings.Join(lines, "")
}

// trim removes the common indentation of a literal.
func trim(s string) string {
	var lines []string
	cut := -1
	for line := range strings.Lines(strings.TrimPrefix(s, "\n")) {
		text := strings.TrimLeft(line, "\t")
		if text == "" || text == "\n" {
			continue
		}
		if cut < 0 {
			cut = len(line) - len(text)
		}
		lines = append(lines, strings.TrimPrefix(line, strings.Repeat("\t", cut)))
	}
	return strings.Join(lines, "")
}

// inlined holds models with functions and their inlined forms.
var inlined = []struct{ name, in, want string }{
	{"names take the path of calls", `
		opset 17 opset pkg 1
		function pkg.Inner { opset 17 in v  s = Sqrt(v)  r = Mul(s, v) @mul  out r }
		function pkg.Outer { opset 17 opset pkg 1 in v  h = pkg.Inner(v) @first  r = pkg.Inner(h)  out r }
		graph main { in x: float32[4]  y = pkg.Outer(x) @/h.0  out y }`, `
		in x: float32[4]
		/h.0/first/s = Sqrt(x)
		/h.0/h = Mul(/h.0/first/s, x) @/h.0/first/mul
		/h.0/Inner/s = Sqrt(/h.0/h)
		y = Mul(/h.0/Inner/s, /h.0/h) @/h.0/Inner/mul
		out y
	`},
	{"two calls, one of them unnamed twice", `
		opset 17
		function pkg.F { opset 17 in v  s = Sqrt(v)  r = Neg(s)  out r }
		graph main { in x: float32[4]  a = pkg.F(x)  b = pkg.F(a)  out b }`, `
		in x: float32[4]
		F/s = Sqrt(x)
		a = Neg(F/s)
		F_1/s = Sqrt(a)
		b = Neg(F_1/s)
		out b
	`},
	{"a name in the way", `
		opset 17
		function pkg.F { opset 17 in v  s = Sqrt(v)  r = Neg(s)  out r }
		graph main { in x: float32[4]  in F/s: float32[4]  a = pkg.F(x)  out a }`, `
		in x: float32[4]
		in F/s: float32[4]
		F_1/s = Sqrt(x)
		a = Neg(F_1/s)
		out a
	`},
	{"attributes: given, by default, absent", `
		opset 17
		function pkg.F { opset 17 attr alpha attr axis: 1 attr gone in v
		  s = Softmax(v) {axis: $axis}  l = LeakyRelu(s) {alpha: $alpha}  r = Elu(l) {alpha: $gone}  out r }
		graph main { in x: float32[4, 4]  y = pkg.F(x) {alpha: 0.5} @f  z = pkg.F(y) {axis: 0, alpha: 2.0} @g  out z }`, `
		in x: float32[4, 4]
		f/s = Softmax(x) {axis: 1}
		f/l = LeakyRelu(f/s) {alpha: 0.5}
		y = Elu(f/l)
		g/s = Softmax(y) {axis: 0}
		g/l = LeakyRelu(g/s) {alpha: 2.0}
		z = Elu(g/l)
		out z
	`},
	{"an attribute handed down two calls", `
		opset 17 opset pkg 1
		function pkg.Inner { opset 17 attr axis in v  r = Softmax(v) {axis: $axis}  out r }
		function pkg.Outer { opset 17 opset pkg 1 attr dim: 3 in v  r = pkg.Inner(v) {axis: $dim}  out r }
		graph main { in x: float32[4]  y = pkg.Outer(x)  z = pkg.Outer(y) {dim: 2}  out z }`, `
		in x: float32[4]
		y = Softmax(x) {axis: 3}
		z = Softmax(y) {axis: 2}
		out z
	`},
	{"omitted inputs and outputs", `
		opset 17
		function pkg.F { opset 17 in v in lo in hi  c = Clip(v, lo, hi)  n = Neg(c)  out c out n }
		graph main { in x: float32[4]  in h: float32[]  _, a = pkg.F(x, _, h)  b = pkg.F(a)  out b }`, `
		in x: float32[4]
		in h: float32[]
		F/c = Clip(x, _, h)
		a = Neg(F/c)
		b = Clip(a, _, _)
		F_1/n = Neg(b)
		out b
	`},
	{"outputs that are inputs, or appear twice", `
		opset 17
		function pkg.F { opset 17 in v  n = Neg(v)  out n out n out v }
		graph main { in x: float32[4]  a, b, c = pkg.F(x)  d, _, _ = pkg.F(a)  out b out c out d }`, `
		in x: float32[4]
		a = Neg(x)
		b = Identity(a)
		c = Identity(x)
		d = Neg(a)
		out b
		out c
		out d
	`},
	{"overloads", `
		opset 17
		function pkg.F: a { opset 17 in v  r = Neg(v)  out r }
		function pkg.F: b { opset 17 in v  r = Abs(v)  out r }
		graph main { in x: float32[4]  y = pkg.F: b(x)  z = pkg.F: a(y)  w = pkg.F(z)  out w }`, `
		in x: float32[4]
		y = Abs(x)
		z = Neg(y)
		w = pkg.F(z)
		out w
	`},
	{"branches in a body: captures, inner definitions with names of results, a state with the name of an input", `
		opset 17 opset pkg 1
		function pkg.Inner { opset 17 in v  r = Abs(v)  out r }
		function pkg.F { opset 17 opset pkg 1 in v in c in n  k = Neg(v)  s = If(c) {
		    then_branch: graph t { const w = float32[1] {1}  a = Add(v, w)  b = Add(a, k)  out b }
		    else_branch: graph e { a = pkg.Inner(k) @i  s: float32[4] = Neg(a)  out s } }
		  r = Loop(n, c, s) {body: graph l { in i: int64[] in go: bool[] in v: float32[4]  stay = Identity(go)  u = Add(v, k)  out stay out u }}  out r }
		graph main { in x: float32[4]  in c: bool[]  in n: int64[]  y = pkg.F(x, c, n) @f  out y }`, `
		in x: float32[4]
		in c: bool[]
		in n: int64[]
		f/k = Neg(x)
		f/s = If(c) {
		  then_branch: graph t {
		    const f/w = float32[1] {1}
		    f/a = Add(x, f/w)
		    f/b = Add(f/a, f/k)
		    out f/b
		  }
		  else_branch: graph e {
		    f/a = Abs(f/k)
		    f/s: float32[4] = Neg(f/a)
		    out f/s
		  }
		}
		y = Loop(n, c, f/s) {
		  body: graph l {
		    in f/i: int64[]
		    in f/go: bool[]
		    in f/v: float32[4]
		    f/stay = Identity(f/go)
		    f/u = Add(f/v, f/k)
		    out f/stay
		    out f/u
		  }
		}
		out y
	`},
	{"calls in a branch of the main graph", `
		opset 17
		function pkg.F { opset 17 in v  s = Sqrt(v)  r = Neg(s)  out r }
		graph main { in x: float32[4]  in c: bool[]  y = If(c) {
		    then_branch: graph t { a = pkg.F(x)  out a }
		    else_branch: graph e { b = Neg(x)  out b } }  out y }`, `
		in x: float32[4]
		in c: bool[]
		y = If(c) {
		  then_branch: graph t {
		    F/s = Sqrt(x)
		    a = Neg(F/s)
		    out a
		  }
		  else_branch: graph e {
		    b = Neg(x)
		    out b
		  }
		}
		out y
	`},
	{"calls that are out of order", `
		opset 17
		function pkg.F { opset 17 in v in u  r = Neg(v)  out r }
		graph main { in x: float32[4]  in c: bool[]  y = pkg.F(b, a)  b = If(c) {
		    then_branch: graph t { p = pkg.F(q, x)  q = Neg(a)  out p }
		    else_branch: graph e { y = Abs(a)  out y } }  a = Abs(x)  out y }`, `
		in x: float32[4]
		in c: bool[]
		y = Neg(b)
		b = If(c) {
		  then_branch: graph t {
		    p = Neg(q)
		    q = Neg(a)
		    out p
		  }
		  else_branch: graph e {
		    y = Abs(a)
		    out y
		  }
		}
		a = Abs(x)
		out y
	`},
	{"types of a function called once stay, of one called twice go", `
		opset 17
		function pkg.One { opset 17 in v  s: float32[4] = Sqrt(v)  r: float32[9] = Neg(s)  out r }
		function pkg.Two { opset 17 in v  s: float32[4] = Sqrt(v)  r = Neg(s)  out r }
		graph main { in x: float32[4]  a = pkg.One(x)  b = pkg.Two(a)  c = pkg.Two(b)  out c }`, `
		in x: float32[4]
		One/s: float32[4] = Sqrt(x)
		a = Neg(One/s)
		Two/s = Sqrt(a)
		b = Neg(Two/s)
		Two_1/s = Sqrt(b)
		c = Neg(Two_1/s)
		out c
	`},
}

func TestInline(t *testing.T) {
	for _, tt := range inlined {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if !m.inlined {
				t.Error("the model does not record that functions were inlined")
			}
			if diff := cmp.Diff(trim(tt.want), body(m)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			saveAndLoad(t, m)
		})
	}
}

func TestInlineRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"self", `opset 17 function p.F { opset 17 in v  r = p.F(v)  out r }  graph g { in x: float32[]  y = p.F(x)  out y }`,
			"function p.F calls itself through p.F"},
		{"cycle of two, in a branch, not even called", `opset 17
			function p.F { opset 17 in v  r = If(v) {then_branch: graph t { a = p.G(v) out a }}  out r }
			function p.G { opset 17 in v  r = p.F(v)  out r }
			graph g { in x: float32[]  y = Neg(x)  out y }`, "calls itself through"},
		{"versions differ", `opset 17 function p.F { opset 13 in v  r = Neg(v)  out r }  graph g { in x: float32[]  y = p.F(x)  out y }`,
			"p.F: written for version 13 of ONNX, the model imports version 17"},
		{"too many inputs", `opset 17 function p.F { opset 17 in v  r = Neg(v)  out r }  graph g { in x: float32[]  y = p.F(x, x)  out y }`,
			"p.F: a call has 2 inputs and 1 outputs, the function has 1 and 1"},
		{"an unknown name", `opset 17 function p.F { opset 17 in v  r = Add(v, x)  out r }  graph g { in x: float32[]  y = p.F(x)  out y }`,
			`p.F: nothing in the function produces "x"`},
		{"twice", `opset 17 function p.F { in v out v } function p.F { in v out v } graph g { in x: float32[]  y = p.F(x)  out y }`,
			"function p.F is defined twice"},
		{"an output that nothing produces", `opset 17 function p.F { opset 17 in v  r = Neg(v)  out r out s }  graph g { in x: float32[]  y = p.F(x)  out y }`,
			`p.F: nothing in the function produces its output "s"`},
		{"an input that nothing produces, and the body does not read", `opset 17 function p.F { opset 17 in v in u  r = Neg(v)  out r }  graph g { in x: float32[]  y = p.F(x, z)  out y }`,
			`p.F: a call reads "z", which nothing produces`},
		{"a body that is out of order", `opset 17 function p.F { opset 17 in v  r = Neg(a)  a = Abs(v)  out r }  graph g { in x: float32[]  y = p.F(x)  out y }`,
			`p.F: a node reads "a" before another produces it`},
		{"a body whose branch reads what a later node produces", `opset 17 function p.F { opset 17 in v in c  r = If(c) {then_branch: graph t { q = Neg(k)  out q }}  k = Abs(v)  out r }
			graph g { in x: float32[] in c: bool[]  y = p.F(x, c)  out y }`, `p.F: a node reads "k" before another produces it`},
		{"a body with a branch that is out of order", `opset 17 function p.F { opset 17 in v in c  r = If(c) {then_branch: graph t { q = Neg(k)  k = Abs(v)  out q }}  out r }
			graph g { in x: float32[] in c: bool[]  y = p.F(x, c)  out y }`, `p.F: a node reads "k" before another produces it`},
		{"a cycle through an input that the body does not read", `opset 17 function p.F { opset 17 in v in u  r = Neg(v)  out r }
			graph g { in x: float32[]  a = p.F(x, y)  y = Abs(a)  out y }`, `depends on itself`},
		{"a cycle through an input of another result", `opset 17 function p.F { opset 17 in v in u  r = Neg(v)  s = Abs(u)  out r out s }
			graph g { in x: float32[]  y, z = p.F(x, y)  out z }`, `the node that computes "y" depends on itself: a call needs all of its inputs`},
		{"a cycle through a call in a branch", `opset 17 function p.F { opset 17 in v in u  r = Neg(v)  out r }
			graph g { in x: float32[] in c: bool[]  y = If(c) {then_branch: graph t { q = p.F(x, z)  out q }}  z = Neg(y)  out z }`, `depends on itself`},
		{"a cycle in a branch", `opset 17 function p.F { opset 17 in v in u  r = Neg(v)  out r }
			graph g { in x: float32[] in c: bool[]  y = If(c) {then_branch: graph t { q = p.F(x, z)  z = Neg(q)  out q }}  out y }`, `depends on itself`},
		{"a node defines an input", `opset 17 function p.F { opset 17 in v in u  u = Neg(v)  r = Abs(u)  out r }  graph g { in x: float32[]  y = p.F(x)  out y }`,
			`p.F: input "u" is also the result of a node`},
		{"a branch defines an input that the call omits", `opset 17 function p.F { opset 17 in v in c in u  r = If(c) {then_branch: graph t { u = Neg(v)  q = Abs(u)  out q }}  out r }
			graph g { in x: float32[] in c: bool[]  y = p.F(x, c)  out y }`, `p.F: a branch defines "u", which is also an input of the function`},
		{"a branch defines an input", `opset 17 function p.F { opset 17 in v in c  r = If(c) {then_branch: graph t { v = Abs(c)  out v }}  out r }
			graph g { in x: float32[] in c: bool[]  y = p.F(x, c)  out y }`, `p.F: a branch defines "v", which is also an input of the function`},
		{"a branch of a branch has an initializer of the name of an input that two calls omit", `opset 17 opset p 1
			function p.G { opset 17 opset p 1 in v in c in o  r = p.F(v, c, o)  out r }
			function p.F { opset 17 in v in c in u  r = If(c) {then_branch: graph t { q = If(c) {then_branch: graph tt { const u = float32[] {1}  k = Add(v, u)  out k }}  out q }}  out r }
			graph g { in x: float32[] in c: bool[]  y = p.G(x, c)  out y }`, `p.F: a branch defines "u", which is also an input of the function`},
		{"no value", `opset 17 function p.F { opset 17 in v  out v }  graph g { in x: float32[]  y = p.F()  out y }`,
			`p.F: output "v" has no value`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestInlineImportsOpsets(t *testing.T) {
	m, err := Parse(`opset 17 function p.F { opset 17 opset other 3 in v  r = other.Op(v)  out r }  graph g { in x: float32[]  y = p.F(x)  out y }`)
	if err != nil {
		t.Fatal(err)
	}
	if got := saveAndLoad(t, m).Opset("other"); got != 3 {
		t.Errorf("version %d of the function's domain, want 3", got)
	}
}

// TestInlineChain calls 64 functions through one another; TestInlineBomb doubles the calls at each of 60 steps.
func TestInlineChain(t *testing.T) {
	var b strings.Builder
	b.WriteString("opset 17 opset p 1 function p.F0 { opset 17 in v  r = Neg(v)  out r }\n")
	for i := range 63 {
		fmt.Fprintf(&b, "function p.F%d { opset p 1 in v  r = p.F%d(v)  out r }\n", i+1, i)
	}
	m, err := Parse(b.String() + "graph g { in x: float32[]  y = p.F63(x)  out y }")
	if err != nil {
		t.Fatal(err)
	}
	if want := "in x: float32[]\ny = Neg(x)\nout y\n"; body(m) != want {
		t.Errorf("got %s, want %s", body(m), want)
	}
}

func TestInlineBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("opset 17 opset p 1 function p.F0 { opset 17 in v  out v }\n")
	for i := range 60 {
		fmt.Fprintf(&b, "function p.F%d { opset p 1 in v  s = p.F%d(v)  r = p.F%d(s)  out r }\n", i+1, i, i)
	}
	_, err := Parse(b.String() + "graph g { in x: float32[]  y = p.F60(x)  out y }")
	if err == nil || !strings.Contains(err.Error(), "more than 50000 nodes") {
		t.Errorf("got %v", err)
	}
}

// TestInlineFile loads a file whose inlined form gives the same bits as the original in ONNX Runtime 1.30. It has nested
// calls, overloads, attribute references with and without defaults, branches, and a large Constant in a function that is
// called twice.
func TestInlineFile(t *testing.T) {
	m, err := Load("testdata/functions.onnx")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/functions.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), Format(m)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	saveAndLoad(t, m)
}

// saveAndLoad saves and loads the model, and checks that it is unchanged.
func saveAndLoad(t *testing.T, m *Model) *Model {
	t.Helper()
	again := resave(t, m)
	if diff := cmp.Diff(withoutFiles(Format(m)), withoutFiles(Format(again))); diff != "" {
		t.Errorf("the saved copy differs: -want +got\n%s", diff)
	}
	return again
}

// resave writes the model into one file and loads it.
func resave(t *testing.T, m *Model) *Model {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.onnx")
	if _, err := Save(t.Context(), m, out, Embed, false); err != nil {
		t.Fatal(err)
	}
	again, err := Load(out)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// withoutFiles removes the places of large tensors from a text.
func withoutFiles(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if i := strings.Index(line, ` file "`); i >= 0 {
			line = line[:i] + " file\n"
		}
		out = append(out, line)
	}
	return strings.Join(out, "")
}
