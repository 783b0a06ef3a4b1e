package graph

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// These functions encode messages for tests, field by field: sub encodes a message or string, num a number, and cat joins
// them.
func sub(n protowire.Number, body ...[]byte) []byte { return appendMessage(nil, n, cat(body...)) }
func str(n protowire.Number, s string) []byte       { return appendStrings(nil, n, []string{s}) }
func num(n protowire.Number, v int64) []byte        { return varintField(nil, n, uint64(v)) }
func cat(parts ...[]byte) []byte                    { return bytes.Join(parts, nil) }

// Parts of a small valid model: y = Neg(x).
var (
	head   = cat(num(1, 8), sub(8, str(1, ""), num(2, 17)))
	typeX  = sub(2, sub(1, num(1, 1), sub(2, sub(1, num(1, 4)))))
	inX    = sub(11, str(1, "x"), typeX)
	outY   = sub(12, str(1, "y"), typeX)
	neg    = sub(1, str(1, "x"), str(2, "y"), str(4, "Neg"))
	simple = cat(head, sub(7, neg, inX, outY))
)

// initializer makes field 5 of a graph: a tensor of the given records, named w.
func initializer(records ...[]byte) []byte {
	return cat(head, sub(7, neg, inX, outY, sub(5, str(8, "w"), cat(records...))))
}

// write puts bytes into a file and returns its path.
func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// manyAttrs returns n integer attributes of a node.
func manyAttrs(n int) []byte {
	var out []byte
	for i := range n {
		out = append(out, sub(5, str(1, fmt.Sprint("a", i)), num(3, 1), num(20, 2))...)
	}
	return out
}

// TestRefuse loads files that must be refused, and checks the reason in the error.
func TestRefuse(t *testing.T) {
	f := float32Bytes(1, 2, 3, 4)
	huge := func(dims ...int64) []byte {
		var b []byte
		for _, d := range dims {
			b = append(b, num(1, d)...)
		}
		return initializer(b, num(2, 1))
	}
	twoValues := cat(num(1, 4), num(2, 1), sub(9, f), sub(4, f))
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "the file is empty"},
		{"one byte", []byte{0x12}, "byte 1"},
		{"png", append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), randomBytes(500)...), "not an ONNX model"},
		{"no graph", head, "has no graph"},
		{"number of 11 bytes", cat([]byte{8}, bytes.Repeat([]byte{0xff}, 10), []byte{1}), "a broken number at byte 1"},
		{"length past the end", []byte{0x3a, 0x7f, 1, 2}, "longer than the rest of the file at byte 0"},
		{"length with the top bit set", cat([]byte{0x3a}, protowire.AppendVarint(nil, 1<<63)), "longer than the rest"},
		{"field number 0", []byte{0x02, 0x00}, "an impossible field number at byte 0"},
		{"group", []byte{0x3b, 0x3c}, "wrong wire type"},
		{"unknown group", []byte{0xfb, 0x06, 0xfc, 0x06}, "a group"},
		{"wire type 6", []byte{0x16, 0x00}, "a group or an unknown wire type"},
		{"graph as a number", num(7, 1), "field graph of the wrong wire type"},
		{"fixed32 past the end", []byte{0x15, 1, 2}, "longer than the rest"},
		{"graph twice", cat(simple, sub(7, neg, inX, outY)), "field graph appears twice"},
		{"raw_data twice", initializer(num(1, 4), num(2, 1), sub(9, f), sub(9, f)), "field raw_data appears twice"},
		{"data_type twice", initializer(num(1, 4), num(2, 1), num(2, 1), sub(9, f)), "field data_type appears twice"},
		{"data_location twice", initializer(num(1, 4), num(2, 1), num(14, 0), num(14, 0), sub(9, f)), "field data_location appears twice"},
		{"large float_data in two parts", initializer(num(1, 512), num(2, 1), sub(4, make([]byte, 1024)), sub(4, make([]byte, 1024))), "in several parts"},
		{"50,001 nodes", cat(head, sub(7, bytes.Repeat(sub(1), 50_001))), "more than 50000 nodes"},
		{"a million empty nodes", cat(head, sub(7, bytes.Repeat(sub(1), 1_000_000))), "more than 50000 nodes"},
		{"a flood of empty inputs", cat(head, sub(7, bytes.Repeat(sub(11), 2<<20))), "more than 16384 graph inputs and outputs: found 16385 up to byte 32781"},
		{"a flood in a tensor", initializer(bytes.Repeat(num(1, 1), 100)), "more than 64 dimensions"},
		{"a flood in a node", cat(head, sub(7, sub(1, bytes.Repeat(sub(1), 5<<20)))), "more than 262144 inputs of nodes"},
		{"negative dimension", huge(-1), "negative dimension"},
		{"2^40 x 2^40", huge(1<<40, 1<<40), "overflows"},
		{"a product that wraps to 4", huge(4194305, 4194305, 211106198978564), "overflows"},
		{"rank 65", initializer(bytes.Repeat(num(1, 1), 65), num(2, 1)), "more than 64 dimensions"},
		{"60 bytes for 64", initializer(num(1, 16), num(2, 1), sub(9, make([]byte, 60))), "takes 64 bytes, the file has 60"},
		{"68 bytes for 64", initializer(num(1, 16), num(2, 1), sub(9, make([]byte, 68))), "takes 64 bytes, the file has 68"},
		{"2048 bytes for 2052", initializer(num(1, 513), num(2, 1), sub(9, make([]byte, 2048))), "takes 2052 bytes, the file has 2048"},
		{"2^30 elements in 1 kB of packed numbers", initializer(num(1, 1<<30), num(2, 6), sub(5, make([]byte, 1024))), "has 1073741824 elements, which do not fit the 1024 bytes of int32_data"},
		{"1 element in 1 kB of packed numbers", initializer(num(1, 1), num(2, 6), sub(5, make([]byte, 1024))), "has 1 elements, which do not fit the 1024 bytes of int32_data"},
		{"type 0", initializer(num(1, 4), sub(9, f)), "element type 0"},
		{"type 99", initializer(num(1, 4), num(2, 99), sub(9, f)), "element type 99"},
		{"strings in raw_data", initializer(num(1, 4), num(2, 8), sub(9, f)), "strings cannot be stored in raw_data"},
		{"strings in a large raw_data", initializer(num(1, 4), num(2, 8), sub(9, make([]byte, 4096))), "strings cannot be stored in raw_data"},
		{"too few strings", initializer(num(1, 2), num(2, 8), str(6, "a")), "2 elements, the file has 1 strings"},
		{"floats in int64_data", initializer(num(1, 1), num(2, 1), num(7, 1)), "int64_data in a tensor of float32"},
		{"ints in a large float_data", initializer(num(1, 512), num(2, 7), sub(4, make([]byte, 4096))), "float_data in a tensor of int64"},
		{"two value fields: initializer", initializer(twoValues), "two value fields in one tensor, raw_data and float_data"},
		{"two value fields: Constant", cat(head, sub(7, neg, inX, outY, sub(1, str(2, "c"), str(4, "Constant"), sub(5, str(1, "value"), num(20, 4), sub(5, twoValues))))), "two value fields"},
		{"two value fields: tensor list", cat(head, sub(7, neg, inX, outY, sub(1, str(2, "c"), str(4, "Op"), sub(5, str(1, "ts"), num(20, 9), sub(10, twoValues))))), "two value fields"},
		{"two value fields: function attribute", cat(simple, sub(25, str(1, "F"), sub(11, str(1, "a"), num(20, 4), sub(5, twoValues)))), "two value fields"},
		{"two value fields: branch", cat(head, sub(7, neg, inX, outY, sub(1, str(1, "x"), str(2, "z"), str(4, "If"), sub(5, str(1, "then_branch"), num(20, 5), sub(6, sub(5, str(8, "w"), twoValues)))))), "two value fields"},
		{"raw_data and a large float_data", initializer(num(1, 512), num(2, 1), sub(9, f), sub(4, make([]byte, 2048))), "two value fields"},
		{"the field that we use for holes", initializer(num(holeField, 0)), "reserved field 19999"},
		{"a sparse initializer with the name of a dense one", cat(head, sub(7, neg, inX, outY, sub(5, str(8, "s"), num(1, 4), num(2, 1), sub(9, f)),
			sub(15, sub(1, str(8, "s"), num(1, 1), num(2, 1), sub(9, f[:4])), sub(2, num(1, 1), num(2, 7), num(7, 0)), num(3, 4)))), "names both a sparse initializer and another value"},
		{"a function with the name of an operator", cat(head, sub(7, neg, inX, outY), sub(25, str(1, "Neg"), str(4, "a"), str(5, "b"),
			sub(7, str(1, "a"), str(2, "b"), str(4, "Abs")))), "the file defines Neg as a function, and a host would run its own operator of that name"},
		{"a function with the name of ONNX Runtime's operator", cat(num(1, 8), sub(8, str(1, ""), num(2, 17)), sub(8, str(1, "com.microsoft"), num(2, 1)),
			sub(7, sub(1, str(1, "x"), str(2, "y"), str(4, "Gelu"), str(7, "com.microsoft")), inX, outY), sub(25, str(1, "Gelu"), str(4, "a"), str(5, "b"), str(10, "com.microsoft"),
				sub(7, str(1, "a"), str(2, "b"), str(4, "Abs")))), "the file defines com.microsoft.Gelu as a function"},
		{"a sparse initializer that is read", cat(head, sub(7, neg, inX, outY, sub(1, str(1, "s"), str(2, "z"), str(4, "Neg")),
			sub(15, sub(1, str(8, "s"), num(1, 1), num(2, 1), sub(9, f[:4])), sub(2, num(1, 1), num(2, 7), num(7, 0)), num(3, 4)))), "a sparse initializer"},
		{"an empty sparse initializer", cat(head, sub(7, neg, inX, outY, sub(15))), "a sparse initializer is named \"\""},
		{"two nodes of one name", cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "a"), str(3, "n"), str(4, "Abs")), sub(1, str(1, "a"), str(2, "y"), str(3, "n"), str(4, "Neg")))), `two nodes of one graph are named "n"`},
		{"two calls of one name", cat(head, sub(8, str(1, "p"), num(2, 1)), sub(7, inX, outY, sub(1, str(1, "x"), str(2, "a"), str(3, "n"), str(4, "F"), str(7, "p")), sub(1, str(1, "a"), str(2, "y"), str(3, "n"), str(4, "F"), str(7, "p"))),
			sub(25, str(1, "F"), str(10, "p"), str(4, "v"), str(5, "r"), sub(7, str(1, "v"), str(2, "r"), str(4, "Abs")))), `two nodes of one graph are named "n"`},
		{"an input without a type", cat(head, sub(7, neg, sub(11, str(1, "x"), sub(2)), outY)), `input "x" has no type`},
		{"an input and an initializer of two types", cat(head, sub(7, neg, inX, outY, sub(5, str(8, "x"), num(1, 5), num(2, 1), sub(9, make([]byte, 20))))), `"x" is an input of type float32[4] and an initializer of type float32[5]`},
		{"a sequence of nothing", cat(head, sub(7, neg, inX, outY, sub(13, str(1, "v"), sub(2, sub(4))))), "a type without an element type"},
		{"a map to nothing", cat(head, sub(7, neg, inX, outY, sub(13, str(1, "v"), sub(2, sub(5, num(1, 7), sub(2)))))), "a type without an element type"},
		{"a map from nothing", cat(head, sub(7, neg, inX, outY, sub(13, str(1, "v"), sub(2, sub(5, sub(2, sub(1, num(1, 1)))))))), "a map type without a key type"},
		{"a map from nothing, with an unknown field", cat(head, sub(7, neg, inX, outY, sub(13, str(1, "v"), sub(2, sub(5, num(21, 1), sub(2, sub(1, num(1, 1)))))))), "a map type without a key type"},
		{"a sparse tensor of type 0", cat(head, sub(7, neg, inX, outY, sub(13, str(1, "v"), sub(2, sub(8))))), "element type 0"},
		{"packed floats that are cut off", cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), sub(5, str(1, "a"), num(20, 6), sub(7, make([]byte, 7)))))), "numbers of 4 bytes in floats of 7 bytes"},
		{"packed integers that are cut off", cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), sub(5, str(1, "a"), num(20, 7), sub(8, []byte{1, 0x80}))))), "a broken number in ints"},
		{"a packed integer of 11 bytes", cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), sub(5, str(1, "a"), num(20, 7), sub(8, cat(bytes.Repeat([]byte{0x80}, 10), []byte{1})))))), "a broken number in ints"},
		{"packed floats of an uncalled function that are cut off", cat(simple, sub(25, str(1, "F"), str(10, "p"), sub(11, str(1, "a"), num(20, 4), sub(5, sub(4, make([]byte, 5)))))), "numbers of 4 bytes in float_data of 5 bytes"},
		{"a value of type 0", cat(head, sub(7, neg, inX, outY, sub(13, str(1, "y"), sub(2, sub(1, num(1, 0)))))), "element type 0"},
		{"an unread initializer of IR version 3", cat(num(1, 3), sub(8, num(2, 9)), sub(7, neg, inX, outY, sub(5, str(8, "w"), num(1, 1), num(2, 1), sub(9, f[:4])))), `initializer "w" is not an input, which IR version 3 requires`},
		{"a Constant of another domain", cat(head, sub(7, inX, outY, sub(1, str(2, "y"), str(4, "Constant"), str(7, "pkg"), sub(5, str(1, "value_int"), num(3, 1), num(20, 2))))), "ONNX Runtime reads a Constant of any domain as ONNX's own"},
		{"a Constant of two values", cat(head, sub(7, inX, outY, sub(1, str(2, "y"), str(4, "Constant"), sub(5, str(1, "value_int"), num(3, 1), num(20, 2)), sub(5, str(1, "value_float"), num(20, 1))))), "1 outputs and 2 attributes"},
		{"a Constant whose attribute has another type", cat(head, sub(7, inX, outY, sub(1, str(2, "y"), str(4, "Constant"), sub(5, str(1, "value_int"), num(3, 1), num(20, 1))))), `its attribute is "value_int" of type 1`},
		{"a Constant of an unknown attribute", cat(head, sub(7, inX, outY, sub(1, str(2, "y"), str(4, "Constant"), sub(5, str(1, "valu"), num(3, 1), num(20, 2))))), `its attribute is "valu" of type 2`},
		{"a broken message that only some readers decode", cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Neg"), str(10, "d")))), "not an ONNX model"},
		{"two initializers of one name", cat(head, sub(7, neg, inX, outY, bytes.Repeat(sub(5, str(8, "w"), num(2, 1), sub(9, f[:4])), 2))), `value "w" is defined twice`},
		{"two outputs of one name", cat(head, sub(7, neg, neg, inX, outY)), `value "y" is defined twice`},
		{"an initializer and an output", cat(head, sub(7, neg, inX, outY, sub(5, str(8, "y"), num(2, 1), sub(9, f[:4])))), `value "y" is defined twice`},
		{"an input and an output", cat(head, sub(7, neg, inX, sub(11, str(1, "y"), typeX), outY)), `value "y" is defined twice`},
		{"two inputs of one name", cat(head, sub(7, inX, neg, inX, outY)), `value "x" is defined twice`},
		{"an input without a name", cat(head, sub(7, neg, inX, sub(11, typeX), outY)), "an input has no name"},
		{"an initializer without a name", cat(head, sub(7, neg, inX, outY, sub(5, num(2, 1), sub(9, f[:4])))), "an initializer has no name"},
		{"cycle of two", cat(head, sub(7, sub(1, str(1, "b"), str(2, "a"), str(4, "Neg")), sub(1, str(1, "a"), str(2, "b"), str(4, "Neg")), sub(12, str(1, "a")))), "depends on itself"},
		{"self loop", cat(head, sub(7, sub(1, str(1, "a"), str(2, "a"), str(4, "Neg")), sub(12, str(1, "a")))), "depends on itself"},
		{"missing producer", cat(head, sub(7, sub(1, str(1, "nobody"), str(2, "a"), str(4, "Neg")), sub(12, str(1, "a")))), `reads "nobody", which nothing produces`},
		{"output without producer", cat(head, sub(7, neg, inX, outY, sub(12, str(1, "z")))), `graph output "z" has no producer`},
		{"node without outputs", cat(head, sub(7, neg, inX, outY, sub(1, str(1, "x"), str(4, "Neg")))), "has no output"},
		{"node without op", cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, "y")), outY)), "has no op"},
		{"an attribute twice", cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), sub(5, str(1, "a"), num(3, 1), num(20, 2)), sub(5, str(1, "a"), num(3, 2), num(20, 2))), outY)), `attribute "a" appears twice`},
		{"one of many attributes twice", cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), manyAttrs(30), manyAttrs(1)), outY)), `attribute "a0" appears twice`},
		{"an attribute without a name", cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), sub(5, num(3, 1), num(20, 2))), outY)), "an attribute has no name"},
		{"a label of 1 MB", cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, "y"), str(3, strings.Repeat("n", 1<<20)), str(4, "Neg")), outY)), "name of 1048576 bytes"},
		{"an output name of 1 MB", cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, strings.Repeat("n", 1<<20)), str(4, "Neg")))), "output of 1048576 bytes"},
		{"an input name of 1 MB", cat(head, sub(7, neg, inX, outY, sub(11, str(1, strings.Repeat("n", 1<<20))))), "name of 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.data)
			start := time.Now()
			_, err := Load(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "read "+path+": ") {
				t.Errorf("the error does not name the file: %v", err)
			}
			if strings.ContainsAny(err.Error(), "\x1b\x00") {
				t.Errorf("raw bytes in the error: %q", err)
			}
			if d := time.Since(start); d > 5*time.Second { // far above the target, because machines under load are slow
				t.Errorf("refused after %v", d)
			}
		})
	}
}

// TestA01NotAFile loads what is no regular file.
func TestA01NotAFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	makeFIFO(t, fifo)
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"folder", dir, "is a folder"},
		{"pipe", fifo, "not a regular file"},
		{"missing", filepath.Join(dir, "nothing"), "no such file"},
		{"dangling link", dangling, "no such file"},
	}
	if runtime.GOOS == "linux" {
		tests = append(tests, struct{ name, path, want string }{"device", "/dev/zero", "not a regular file"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() {
				_, err := Load(tt.path)
				done <- err
			}()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			case <-time.After(10 * time.Second):
				t.Error("hangs")
			}
		})
	}
}

// TestA02CutAnywhere cuts two small models at every byte. Each prefix must be refused or be a complete model.
func TestA02CutAnywhere(t *testing.T) {
	m, err := Parse(`ir 8 opset 17
		graph main {
		  in x: float32[batch, 4]
		  const w = float32[4] {1, 2, 3, 4}
		  c: float32[batch, 4] = Add(x, w) @add
		  k = Constant() {value: int64[2] {3, 4}}
		  y = If(x) {then_branch: graph t { p = Neg(c) out p }, else_branch: graph e { out c }}
		  z, _ = com.example.Op(y, _, k) {a: 1, b: [1.5], s: "text"}
		  out z
		}
		opset com.example 1
		meta "k" "v"`)
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := os.ReadFile("testdata/functions.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want int // prefixes that load: fields after the graph can be cut off as whole fields
	}{
		{"branches", data, 2},       // metadata and opsets
		{"functions", functions, 9}, // a call without its function is an operator that the reader does not know
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.data)
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			loaded := 0
			for n := range len(tt.data) {
				if m, err := LoadOpen(f, path, int64(n)); err == nil {
					loaded++
					saveAndLoad(t, m)
				}
			}
			if loaded != tt.want {
				t.Errorf("%d of %d prefixes load, want %d", loaded, len(tt.data), tt.want)
			}
		})
	}
}

// TestRandomBytes loads noise, and a model with every byte changed in turn.
func TestRandomBytes(t *testing.T) {
	for range 200 {
		if _, err := Load(write(t, randomBytes(4096))); err == nil {
			t.Error("noise loads")
		}
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	for i := range simple {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			data := bytes.Clone(simple)
			data[i] ^= flip
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			if m, err := Load(path); err == nil {
				saveAndLoad(t, m)
			}
		}
	}
}

func float32Bytes(fs ...float32) []byte {
	t := NewFloat32(fs, int64(len(fs)))
	return bytes.Clone(t.Data)
}
