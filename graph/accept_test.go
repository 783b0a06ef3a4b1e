package graph

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nested returns a model of If nodes nested depth deep, with one Neg in the innermost branch.
func nested(depth int) string {
	text := "i0 = Neg(x) out i0"
	for i := range depth {
		text = fmt.Sprintf("i%d = If(c) { then_branch: graph t%d { %s } } out i%d", i+1, i, text, i+1)
	}
	return "ir 8 opset 17 graph main { in x: float32[4] in c: bool[] " + text + " }"
}

// chain returns a model of n nodes.
func chain(n int) []byte {
	nodes := []byte{}
	last := "x"
	for i := range n {
		next := fmt.Sprintf("v%d", i)
		nodes = append(nodes, sub(1, str(1, last), str(2, next), str(4, "Neg"))...)
		last = next
	}
	return cat(head, sub(7, nodes, inX, sub(12, str(1, last), typeX)))
}

// TestAccept loads unusual but valid files and checks that saving them gives the same bytes.
func TestAccept(t *testing.T) {
	f := float32Bytes(1, 2, 3, 4)
	sparse := sub(15, sub(1, str(8, "s"), num(1, 1), num(2, 1), sub(9, f[:4])), sub(2, num(1, 1), num(2, 7), num(7, 0)), num(3, 4))
	var tiny []byte // one tensor of each element type, 4 elements
	for d := range dtypes {
		if size, err := ByteSize(d, []int64{4}); err == nil {
			tiny = append(tiny, sub(5, num(1, 4), num(2, int64(d)), str(8, d.String()), sub(9, make([]byte, size)))...)
		}
	}
	tests := []struct {
		name  string
		data  []byte
		check func(t *testing.T, m *Model)
	}{
		{"simple", simple, nil},
		{"packed and unpacked dims", initializer(num(1, 2), sub(1, []byte{2, 1}), num(2, 1), sub(9, f)), func(t *testing.T, m *Model) {
			if got := m.Graph.Lookup("w").Initializer().Dims; !cmp.Equal(got, []int64{2, 2, 1}) {
				t.Errorf("dims %v", got)
			}
		}},
		{"20,000 nodes", chain(20_000), func(t *testing.T, m *Model) {
			if w := m.Warnings(); len(w) != 1 || !strings.Contains(w[0], "20000 nodes") {
				t.Errorf("warnings %q", w)
			}
		}},
		{"19,999 nodes", chain(19_999), func(t *testing.T, m *Model) {
			if w := m.Warnings(); len(w) != 0 {
				t.Errorf("warnings %q", w)
			}
		}},
		{"50,000 nodes", chain(50_000), nil},
		{"a dimension of zero", initializer(num(1, 0), num(1, 1<<62), num(2, 1), sub(9)), func(t *testing.T, m *Model) {
			x, err := m.Graph.Lookup("w").Initializer().Load()
			if err != nil || x.Len() != 0 || len(x.Data) != 0 {
				t.Errorf("%v %v", x, err)
			}
		}},
		{"rank 64", initializer(bytes.Repeat(num(1, 1), 64), num(2, 1), sub(9, f[:4])), nil},
		{"strings of 10 MB", initializer(num(1, 1), num(2, 8), str(6, strings.Repeat("s", 10<<20))), nil},
		{"every element type", cat(head, sub(7, neg, inX, outY, tiny)), func(t *testing.T, m *Model) {
			if got, want := len(m.Graph.Initializers()), len(dtypes)-1; got != want {
				t.Errorf("%d tensors, want %d", got, want)
			}
		}},
		{"sparse initializers that nothing reads", cat(head, sub(7, neg, inX, outY, sparse)), nil},
		{"an input that is an initializer", cat(head, sub(7, neg, inX, outY, sub(5, str(8, "x"), num(1, 4), num(2, 1), sub(9, f)))), func(t *testing.T, m *Model) {
			if x := m.Graph.Lookup("x"); x.IsInput() || !x.Overridable() || len(m.Graph.Inputs()) != 0 {
				t.Error("an overridable initializer counts as an input")
			}
		}},
		{"an initializer before its input and its reader", cat(head, sub(7, sub(5, str(8, "x"), num(1, 4), num(2, 1), sub(9, f)), neg, inX, outY)), nil},
		{"a branch that shadows a value", cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "If"),
			sub(5, str(1, "then_branch"), num(20, 5), sub(6, sub(1, str(1, "x"), str(2, "a"), str(4, "Abs")), sub(1, str(1, "a"), str(2, "y"), str(4, "Neg")), sub(12, str(1, "y"))))))), func(t *testing.T, m *Model) {
			outer := m.Graph.Lookup("y")
			branch := outer.Producer().Branches()[0]
			if inner := branch.Outputs()[0]; inner == outer || inner.Graph() != branch || len(outer.Uses()) != 0 {
				t.Error("the branch's value is confused with the outer one")
			}
		}},
		{"nodes out of order", cat(head, sub(7, sub(1, str(1, "a"), str(2, "y"), str(4, "Neg")), sub(1, str(1, "x"), str(2, "a"), str(4, "Abs")), inX, outY)), func(t *testing.T, m *Model) {
			if got := m.Graph.Ordered()[0].op; got != "Abs" {
				t.Errorf("first %s, want Abs", got)
			}
		}},
		{"a type that is overwritten", cat(head, sub(7, neg, sub(11, str(1, "x"), sub(2, sub(1, num(1, 1)), sub(4, sub(1, sub(1, num(1, 7)))), sub(1, num(1, 10)))), outY)), func(t *testing.T, m *Model) {
			if got := m.Graph.Lookup("x").Type().String(); got != "float16" {
				t.Errorf("type %s, want float16", got)
			}
		}},
		{"omitted inputs and outputs", cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(1, ""), str(1, "x"), str(2, "y"), str(2, ""), str(4, "Clip")))), func(t *testing.T, m *Model) {
			if n := m.Graph.Nodes()[0]; n.In(1) != nil || n.In(2) == nil || n.Out(1) != nil || n.In(-1) != nil || n.In(7) != nil {
				t.Error("edges are in the wrong slots")
			}
		}},
		{"opset 999, IR 999, unknown domain", cat(num(1, 999), sub(8, num(2, 999)), sub(8, str(1, "who.knows"), num(2, 1)), sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "What"), str(7, "who.knows")))), func(t *testing.T, m *Model) {
			if m.Opset("") != 999 || m.IRVersion() != 999 || !m.Graph.Nodes()[0].Is("who.knows.What") {
				t.Error("misread")
			}
		}},
		{"opset -1", cat(sub(8, num(2, -1)), sub(7, neg, inX, outY)), func(t *testing.T, m *Model) {
			if m.Opset("") != -1 {
				t.Errorf("opset %d", m.Opset(""))
			}
		}},
		{"no opset", sub(7, neg, inX, outY), func(t *testing.T, m *Model) {
			if m.Opset("") != 0 {
				t.Errorf("opset %d", m.Opset(""))
			}
		}},
		{"training info, metadata of 10 MB, unknown fields everywhere", cat(head, str(6, "doc"), sub(20, sub(1, neg)), sub(14, str(1, "k"), str(2, strings.Repeat("m", 10<<20))), num(500, 7),
			sub(7, str(10, "doc"), sub(1, str(1, "x"), str(2, "y"), str(4, "Neg"), str(6, "doc"), num(600, 1), sub(5, str(1, "a"), num(3, 4), num(20, 2), str(13, "doc"), num(700, 1))), inX, outY,
				sub(5, str(8, "w"), num(1, 4), num(2, 1), sub(9, f), str(12, "doc"), num(800, 1)), num(900, 1), sub(13, str(1, "nobody"), typeX))), func(t *testing.T, m *Model) {
			if w := m.Warnings(); len(w) != 1 || !strings.Contains(w[0], "training information") {
				t.Errorf("warnings %q", w)
			}
		}},
		{"fields in odd order, large ones among them", cat(sub(7, outY, sub(5, sub(9, make([]byte, 4096)), str(8, "w"), num(2, 1), num(1, 1024)), neg, sub(13, str(1, "w"), typeX), inX, sub(5, sub(4, make([]byte, 4096)), num(1, 1024), num(2, 1), str(8, "v")), str(2, "g")), head), nil},
		{"data_location of zero", initializer(num(14, 0), num(1, 4), num(2, 1), sub(9, f)), nil},
		{"unknown messages 30,000 deep", cat(simple, deep(30_000)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.data)
			m, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if tt.check != nil {
				tt.check(t, m)
			}
			out := filepath.Join(t.TempDir(), "out.onnx")
			if _, err := Save(t.Context(), m, out, Embed, false); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, tt.data) {
				t.Errorf("the saved copy differs: %d bytes, want %d", len(got), len(tt.data))
			}
		})
	}
}

// deep returns n nested unknown messages.
func deep(n int) []byte {
	var b []byte
	for range n {
		b = sub(999, b)
	}
	return b
}

// TestOverlongNumbers reads lengths and values written with more bytes than needed. Only the values count.
func TestOverlongNumbers(t *testing.T) {
	data := cat([]byte{0x08, 0x88, 0x80, 0x00}, simple[2:]) // ir_version 8 in three bytes
	m, err := Load(write(t, data))
	if err != nil {
		t.Fatal(err)
	}
	if m.IRVersion() != 8 {
		t.Errorf("IR version %d, want 8", m.IRVersion())
	}
	saveAndLoad(t, m)
}

// TestNesting reads branches as deep as ONNX Runtime does, and no deeper.
func TestNesting(t *testing.T) {
	for _, tt := range []struct {
		depth int
		ok    bool
	}{{5, true}, {30, true}, {32, true}, {33, false}, {34, false}} {
		m, err := Parse(nested(tt.depth))
		if err != nil {
			t.Fatal(err) // the text form has a separate, looser limit
		}
		data, _, err := Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Load(write(t, data))
		if (err == nil) != tt.ok {
			t.Errorf("If nodes %d deep: %v, want success: %v", tt.depth, err, tt.ok)
		}
		if err != nil && !strings.Contains(err.Error(), "nested deeper than 100") {
			t.Errorf("If nodes %d deep: %v", tt.depth, err)
		}
	}
	// Much deeper, encoded by hand: must be refused before the stack grows.
	g := cat(neg, outY)
	for range 2_000 {
		g = sub(1, str(2, "y"), str(4, "If"), sub(5, str(1, "b"), sub(6, g)))
	}
	if _, err := Load(write(t, cat(head, sub(7, g)))); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("got %v", err)
	}
}

// TestA16OddNames prints names that could harm a terminal. They must be escaped.
func TestA16OddNames(t *testing.T) {
	for _, name := range []string{"a\nb", "\x1b[31mred", "../../x", "nul\x00", "\u202eright to left", "\xff\xfe not UTF-8", "in", "_", "x y", `q"q`, "12", "a:b", "onnx::Add", "", "é"} {
		if name == "" {
			continue
		}
		data := cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, name), str(3, name), str(4, "Neg"), str(7, name)), sub(12, str(1, name), typeX)))
		m, err := Load(write(t, data))
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		text := Format(m)
		for _, r := range text {
			if r != '\n' && (r < ' ' || r > '~') && r != 'é' {
				t.Errorf("%q: the text holds %q", name, r)
			}
		}
		if s := m.Graph.Nodes()[0].String(); strings.ContainsAny(s, "\x1b\n\x00\u202e") {
			t.Errorf("%q: the node calls itself %q", name, s)
		}
		saveAndLoad(t, m)
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v\n%s", name, err, text)
		}
		if got := again.Graph.Outputs()[0].Name(); got != name {
			t.Errorf("%q comes back as %q", name, got)
		}
	}
}
