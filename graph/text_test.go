package graph

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTextOfFixtures prints real models and parses the text. The text and the saved model must be unchanged.
func TestTextOfFixtures(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			text := Format(m)
			read, err := ParseIn(filepath.Dir(path), text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text, Format(read)); diff != "" {
				t.Fatalf("-printed +printed again\n%s", diff)
			}
			again := saveAndLoad(t, read)
			if diff := cmp.Diff(weightSums(t, m), weightSums(t, again)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if again.IRVersion() != m.IRVersion() || !cmp.Equal(again.opsets, m.opsets) {
				t.Errorf("IR %d, opsets %v", again.IRVersion(), again.opsets)
			}
		})
	}
}

// TestText parses text in forms that people may write, and prints it in the canonical form.
func TestText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"types", `graph g { in b: float32 in c: int64[] in d: float16[batch, 4, ?, "4", "a b"] out b }`, `
			in b: float32
			in c: int64[]
			in d: float16[batch, 4, ?, "4", "a b"]
			out b
		`},
		{"constants", `graph g {
			const a = float32[2, 2] {1 2.5, -0 1e-45}
			const b = float32[] {inf}
			const c = float32[0] {}
			const d = int8[2] {-128, 127} const e = uint64[1] {18446744073709551615}
			const f = bool[2] {1, 0} const g = string[2] {"a\n", "\xff"}
			const h = float16[3] {0.1, 65504, 6e-8} const i = bfloat16[2] {0.1, -3e38}
			const j = float64[1] {0.1} const k = int4[3] base64 "IQM=" const l = float32[1] base64 "AQCAfw=="
			in m: float32[1] = float32[1] {5} out a }`, `
			in m: float32[1] = float32[1] {5}
			const a = float32[2, 2] {1, 2.5, -0, 1e-45}
			const b = float32[] {+Inf}
			const c = float32[0] {}
			const d = int8[2] {-128, 127}
			const e = uint64[1] {18446744073709551615}
			const f = bool[2] {1, 0}
			const g = string[2] {"a\n", "\xff"}
			const h = float16[3] {0.099975586, 65504, 5.9604645e-08}
			const i = bfloat16[2] {0.100097656, -3.0040553e+38}
			const j = float64[1] {0.1}
			const k = int4[3] base64 "IQM="
			const l = float32[1] base64 "AQCAfw=="
			out a
		`},
		{"nodes", `graph g { in x: float32[4]
			_ , a: float32[4] , b = my.domain.Op ( x , _ , x ) @ "label one"   # a comment
			c = Op: v2(a) d = "Od.d"(b) e = "do main" "o p"(c) f = Nothing() out d out e }`, `
			in x: float32[4]
			_, a: float32[4], b = my.domain.Op(x, _, x) @"label one"
			c = Op: v2(a)
			d = "Od.d"(b)
			e = "do main" "o p"(c)
			f = Nothing()
			out d
			out e
		`},
		{"attributes", `graph g { in x: float32[4]
			y = Op(x) {i: -3, f: 1.0 g: 3e8, n: nan, inf: -inf, s: "a\tb", is: [1, -2], fs: [1.5, 2], ss: ["a", ""], e1: ints[], e2: floats[], e3: strings[],
			  t: float32[2] {1, 2}, "odd name": 1, gs: graphs[graph a { p = Neg(x) out p }, graph b { out x }], none: graphs[]} out y }`, `
			in x: float32[4]
			y = Op(x) {
			  i: -3
			  f: 1.0
			  g: 3e+08
			  n: NaN
			  inf: -Inf
			  s: "a\tb"
			  is: [1, -2]
			  fs: [1.5, 2.0]
			  ss: ["a", ""]
			  e1: ints[]
			  e2: floats[]
			  e3: strings[]
			  t: float32[2] {1, 2}
			  "odd name": 1
			  gs: graphs[graph a {
			    p = Neg(x)
			    out p
			  }, graph b {
			    out x
			  }]
			  none: graphs[]
			}
			out y
		`},
		{"branches read outer values", `graph g { in c: bool[] in x: float32[4] k = Abs(x) y = If(c) {
			then_branch: graph t { const w = float32[1] {2} a = Add(k, w) b = If(c) {then_branch: graph tt { d = Add(a, x) out d }} out b }
			else_branch: graph e { out k } } out y }`, `
			in c: bool[]
			in x: float32[4]
			k = Abs(x)
			y = If(c) {
			  then_branch: graph t {
			    const w = float32[1] {2}
			    a = Add(k, w)
			    b = If(c) {
			      then_branch: graph tt {
			        d = Add(a, x)
			        out d
			      }
			    }
			    out b
			  }
			  else_branch: graph e {
			    out k
			  }
			}
			out y
		`},
		{"names", `graph g { in "in": float32[1] in onnx::Add_3: float32[1] in /h.0/x+y: float32[1] in "a:b": float32[1] in 17: float32[1]
			"out" = Add("in", onnx::Add_3) y = Add(17, "a:b") out "out" out y }`, `
			in "in": float32[1]
			in onnx::Add_3: float32[1]
			in /h.0/x+y: float32[1]
			in "a:b": float32[1]
			in 17: float32[1]
			"out" = Add("in", onnx::Add_3)
			y = Add(17, "a:b")
			out "out"
			out y
		`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(trim(tt.want), body(m)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			again, err := Parse(Format(m))
			if err != nil {
				t.Fatalf("%v\n%s", err, Format(m))
			}
			if diff := cmp.Diff(Format(m), Format(again)); diff != "" {
				t.Errorf("-printed +printed again\n%s", diff)
			}
			saveAndLoad(t, m)
		})
	}
}

func TestTextHeader(t *testing.T) {
	in := "ir 8 opset 17 opset com.microsoft 1 opset \"17\" 2 producer \"p\\n\" \"1.0\" meta \"k\" \"a\\\"b\" graph g { in x out x }"
	m, err := Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	want := "ir 8\nopset 17\nopset 17 2\nopset com.microsoft 1\nproducer \"p\\n\" \"1.0\"\nmeta \"k\" \"a\\\"b\"\n\ngraph g {\n  in x\n  out x\n}\n"
	want = strings.Replace(want, "opset 17 2", "opset \"17\" 2", 1)
	if diff := cmp.Diff(want, Format(m)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestTextKeepsOtherAttributes prints attributes of kinds that the package does not read. Their bytes must be preserved.
func TestTextKeepsOtherAttributes(t *testing.T) {
	big := make([]byte, 4096)
	big[7] = 9
	tensor := func(name string) []byte { return cat(num(1, 1024), num(2, 1), str(8, name), sub(9, big)) }
	attrs := [][]byte{
		cat(str(1, "list"), num(20, 9), sub(10, tensor("a")), sub(10, tensor("b"))),
		cat(str(1, "type"), num(20, 13), sub(14, sub(1, num(1, 1)))),
		cat(str(1, "ref"), num(20, 2), str(21, "outer")),
		cat(str(1, "sparse"), num(20, 11), sub(22, sub(1, num(1, 1), num(2, 1), sub(9, big[:4])))),
	}
	node := cat(str(1, "x"), str(2, "y"), str(4, "Op"))
	for _, a := range attrs {
		node = cat(node, sub(5, a))
	}
	m, err := Load(write(t, cat(head, sub(7, sub(1, node), inX, outY))))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(Format(m))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range again.Graph.Nodes()[0].attrs {
		if string(a.raw) != string(attrs[i]) {
			t.Errorf("attribute %q has changed", a.Name)
		}
	}
	saveAndLoad(t, m)
}

func TestTextRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", "has no graph"},
		{"second graph", "graph a { in x out x }\ngraph b { in x out x }", "parse line 2: a second main graph"},
		{"unknown word", "graph g { in x out x }\nnonsense", `parse line 2: want ir, opset, producer, meta, function or graph, got "nonsense"`},
		{"no end", "graph g {\n in x\n", `parse line 3: want a name, got the end of the text`},
		{"no parenthesis", "graph g {\n x = Neg y }", `parse line 2: want "(", got "y"`},
		{"open string", "graph g {\n in \"x }", "parse line 2: a string without a closing quote"},
		{"odd sign", "graph g {\n in x; }", "parse line 2: unexpected ';'"},
		{"unknown value", "graph g { y = Neg(x) out y }", `reads "x", which nothing produces`},
		{"unknown type", "graph g { in x: float31 out x }", `want an element type such as float32, got "float31"`},
		{"value of another type", "graph g { const x = int8[1] {300} out x }", `want a value of int8, got "300"`},
		{"too few values", "graph g { const x = int8[2] {3} out x }", "takes 2 bytes, the file has 1"},
		{"negative dimension", "graph g { const x = int8[-1] {} out x }", "negative dimension"},
		{"numbers and strings", `graph g { in x y = Op(x) {a: [1, "b"]} out y }`, "a list that mixes strings and numbers"},
		{"no value", `graph g { in x y = Op(x) {a: } out y }`, "want an attribute value"},
		{"broken base64", `graph g { const x = int8[1] base64 "???" out x }`, "broken base64"},
		{"missing file", `graph g { const x = int8[1] file "none.bin" 0 1 out x }`, "none.bin is missing"},
		{"file elsewhere", `graph g { const x = int8[1] file "../x" 0 1 out x }`, "is not under"},
		{"past the end", `graph g { const x = int8[100] file "testdata/functions.onnx" 5500 100 out x }`, "past the end"},
		{"another size", `graph g { const x = int8[100] file "testdata/functions.onnx" 0 99 out x }`, "takes 100 bytes, the file has 99"},
		{"negative range", `graph g { const x = int8[1] file "testdata/functions.onnx" -1 1 out x }`, "past the end"},
		{"no such packing", `graph g { const x = int8[1] file "testdata/functions.onnx" 0 1 as raw out x }`, `"raw" is not a packed field`},
		{"smuggled hole", `graph g { in x y = Op(x) {a: proto "` + base64.StdEncoding.EncodeToString(cat(str(1, "a"), sub(5, num(holeField, 0)))) + `"} out y }`, "the bytes do not encode an attribute of this name"},
		{"another attribute", `graph g { in x y = Op(x) {a: proto "CgFi"} out y }`, "the bytes do not encode an attribute of this name"},
		{"far too deep", "graph g { y = If() " + strings.Repeat("{b: graph g { y = If() ", 120), "nested deeper than 100"},
		{"cycle", "graph g { a = Neg(b) b = Neg(a) out a }", "depends on itself"},
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

// TestHalf widens and narrows every 16-bit float, and checks that values between two of them round to even.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		f := float16to32(uint16(h))
		if got := float32to16(f); got != uint16(h) && f == f {
			t.Fatalf("%#04x becomes %v, then %#04x", h, f, got)
		}
	}
	for _, tt := range []struct {
		f    float32
		want uint16
	}{{65519, 0x7bff}, {65520, 0x7c00}, {1e10, 0x7c00}, {-1e10, 0xfc00}, {2.9802322e-08, 0}, {2.9802326e-08, 1}, {1e-10, 0}, {1.00048828125, 0x3c00}, {1.00146484375, 0x3c02}, {6.1006e-05, 0x0400}} {
		if got := float32to16(tt.f); got != tt.want {
			t.Errorf("%v becomes %#04x, want %#04x", tt.f, got, tt.want)
		}
	}
}

// WriteShort leaves out long values and nothing else, and what it writes in place of one cannot be read back.
func TestWriteShort(t *testing.T) {
	long := strings.Repeat("x", longText)
	m, err := Parse(`ir 8 opset 17
meta "short" "a" meta "long" "` + long + `"
graph main {
  in x: float32[4]
  const b = float32[4] {1, 2, 3, 4}
  const w = float32[64] base64 "` + base64.StdEncoding.EncodeToString(make([]byte, 256)) + `"
  y: float32[4] = Op(x, b, w) {few: [1, 2], many: [` + strings.TrimSuffix(strings.Repeat("7, ", longText), ", ") + `], text: "` + long + `"}
  out y
}`)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	left, err := WriteShort(&b, m)
	want := `ir 8
opset 17
meta "short" "a"
meta "long" …

graph main {
  in x: float32[4]
  const b = float32[4] {1, 2, 3, 4}
  const w = float32[64] …
  y: float32[4] = Op(x, b, w) {few: [1, 2], many: …, text: …}
  out y
}
`
	if err != nil || left != 4 || b.String() != want {
		t.Errorf("left %d, %v, got\n%s", left, err, b.String())
	}
	if _, err := Parse(b.String()); err == nil {
		t.Error("a text without its long values was read")
	}
	whole := Format(m)
	if again, err := Parse(whole); err != nil || Format(again) != whole || strings.Contains(whole, "…") {
		t.Errorf("the whole text: %v\n%s", err, whole)
	}
}
