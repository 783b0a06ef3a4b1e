package graphtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Hostile is a file that somebody made to do harm, or that looks as if it were. Row is its row in the test matrix:
//
//	A01 not a model             A06 functions          A11 two values in one tensor
//	A03 broken fields           A07 many nodes         A12 sparse tensors
//	A04 fields that repeat      A08 many of anything   A13 one name for two values
//	A05 deep nesting            A09 shapes             A14 cycles and missing edges
//	                            A10 element types      A18 parts that are kept unread
type Hostile struct {
	Row  string
	Name string
	Data []byte
	Want string // part of the reason for which it is refused; "" if it is read
}

// These functions encode messages, field by field: sub encodes a message or string, num a number, and cat joins them.
func sub(n protowire.Number, body ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), cat(body...))
}
func str(n protowire.Number, s string) []byte { return sub(n, []byte(s)) }
func num(n protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), uint64(v))
}
func cat(parts ...[]byte) []byte     { return bytes.Join(parts, nil) }
func many(n int, b []byte) []byte    { return bytes.Repeat(b, n) }
func node(in, op, out string) []byte { return sub(1, str(1, in), str(2, out), str(4, op)) }
func floats(n int) []byte            { return make([]byte, 4*n) }
func attr(name string, typ int64, body ...[]byte) []byte {
	return sub(5, str(1, name), num(20, typ), cat(body...))
}

// Parts of a small valid model: y = Neg(x).
var (
	opset  = cat(num(1, 8), sub(8, str(1, ""), num(2, 17)))
	vector = sub(2, sub(1, num(1, 1), sub(2, sub(1, num(1, 4)))))
	inX    = sub(11, str(1, "x"), vector)
	outY   = sub(12, str(1, "y"), vector)
)

// model makes a file of more parts of the main graph.
func model(parts ...[]byte) []byte {
	return cat(opset, sub(7, str(2, "g"), node("x", "Neg", "y"), inX, outY, cat(parts...)))
}

// without makes a file of exactly these parts of the main graph.
func without(parts ...[]byte) []byte { return cat(opset, sub(7, str(2, "g"), cat(parts...))) }

// weight makes a file with one more initializer.
func weight(records ...[]byte) []byte { return model(sub(5, str(8, "w"), cat(records...))) }

// Hostiles returns the files of the matrix. They are the same at each call. Some have tens of megabytes, so they are made
// one row at a time.
func Hostiles(row string) []Hostile {
	var out []Hostile
	for _, h := range rows[row]() {
		h.Row = row
		out = append(out, h)
	}
	return out
}

// HostileRows lists the rows that [Hostiles] has files for.
func HostileRows() []string {
	var out []string
	for row := range rows {
		out = append(out, row)
	}
	slices.Sort(out)
	return out
}

var rows = map[string]func() []Hostile{
	"A01": func() []Hostile {
		noise := make([]byte, 4096)
		r := rand.NewChaCha8([32]byte{1})
		_, _ = r.Read(noise) // cannot fail
		return []Hostile{
			{Name: "empty", Want: "the file is empty"},
			{Name: "one byte", Data: []byte{0x12}, Want: "not an ONNX model"},
			{Name: "noise", Data: noise, Want: "not an ONNX model"},
			{Name: "png", Data: append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), noise[:500]...), Want: "not an ONNX model"},
			{Name: "text", Data: []byte("# A model\n\nThis is no model.\n"), Want: "not an ONNX model"},
			{Name: "no graph", Data: opset, Want: "has no graph"},
		}
	},
	"A03": func() []Hostile {
		overlong := cat([]byte{0x08, 0x88, 0x80, 0x00}, model()[2:])
		return []Hostile{
			{Name: "number of 11 bytes", Data: cat([]byte{8}, many(10, []byte{0xff}), []byte{1}), Want: "a broken number at byte 1"},
			{Name: "length past the end", Data: []byte{0x3a, 0x7f, 1, 2}, Want: "longer than the rest of the file"},
			{Name: "length with the top bit set", Data: cat([]byte{0x3a}, protowire.AppendVarint(nil, 1<<63)), Want: "longer than the rest"},
			{Name: "inner length past the end", Data: without([]byte{0x0a, 0x7f}), Want: "longer than the rest"},
			{Name: "field number 0", Data: []byte{0x02, 0x00}, Want: "an impossible field number"},
			{Name: "start of a group", Data: []byte{0xfb, 0x06, 0xfc, 0x06}, Want: "a group"},
			{Name: "end of a group", Data: []byte{0xfc, 0x06}, Want: "a group"},
			{Name: "wire type 6", Data: []byte{0x16, 0x00}, Want: "an unknown wire type"},
			{Name: "wire type 7", Data: []byte{0x17, 0x00}, Want: "an unknown wire type"},
			{Name: "graph as a number", Data: num(7, 1), Want: "wrong wire type"},
			{Name: "element type as bytes", Data: weight(sub(2, []byte{1})), Want: "wrong wire type"},
			{Name: "over-long number", Data: overlong},
		}
	},
	"A04": func() []Hostile {
		return []Hostile{
			{Name: "graph twice", Data: cat(model(), sub(7, inX)), Want: "field graph appears twice"},
			{Name: "raw_data twice", Data: weight(num(1, 4), num(2, 1), sub(9, floats(4)), sub(9, floats(4))), Want: "field raw_data appears twice"},
			{Name: "data_location twice", Data: weight(num(1, 4), num(2, 1), num(14, 0), num(14, 0), sub(9, floats(4))), Want: "data_location appears twice"},
			{Name: "data_type twice", Data: weight(num(1, 4), num(2, 1), num(2, 1), sub(9, floats(4))), Want: "data_type appears twice"},
			{Name: "op_type twice", Data: model(sub(1, str(1, "x"), str(2, "z"), str(4, "Neg"), str(4, "Abs"))), Want: "op_type appears twice"},
			{Name: "attribute twice", Data: model(sub(1, str(1, "x"), str(2, "z"), str(4, "Softmax"), attr("axis", 2, num(3, 0)), attr("axis", 2, num(3, 1)))), Want: `attribute "axis" appears twice`},
			{Name: "packed and single dims", Data: weight(num(1, 2), sub(1, []byte{2, 1}), num(2, 1), sub(9, floats(4)))},
		}
	},
	"A05": func() []Hostile {
		var out []Hostile
		for _, depth := range []int{5, 30, 32, 33, 100} {
			h := Hostile{Name: fmt.Sprintf("If nodes %d deep", depth), Data: ifs(depth)}
			if depth > 32 { // ONNX Runtime refuses it, too
				h.Want = "nested deeper than 100"
			}
			out = append(out, h)
		}
		for _, depth := range []int{60, 3_000, 30_000} {
			g := nested(depth, node("x", "Neg", "y"), 6, 5, 1) // the graph of an attribute of a node
			out = append(out, Hostile{Name: fmt.Sprintf("raw graphs %d deep", depth), Data: without(g, inX), Want: "nested deeper than 100"})
		}
		return append(out,
			Hostile{Name: "unknown messages 30,000 deep", Data: cat(model(), nested(30_000, nil, 999))},
			Hostile{Name: "types 40 deep", Data: model(sub(13, sequences(40)))},
			Hostile{Name: "types 200 deep", Data: model(sub(13, sequences(200))), Want: "nested deeper than 100"},
			Hostile{Name: "types 30,000 deep", Data: model(sub(13, sequences(30_000))), Want: "nested deeper than 100"})
	},
	"A06": functionRows,
	"A07": func() []Hostile {
		return []Hostile{
			{Name: "20,000 nodes", Data: chain(20_000)},
			{Name: "50,000 nodes", Data: chain(50_000)},
			{Name: "50,001 nodes", Data: chain(50_001), Want: "more than 50000 nodes: found 50001"},
			{Name: "a million empty nodes", Data: without(many(1_000_000, sub(1))), Want: "more than 50000 nodes"},
		}
	},
	"A08": floodRows,
	"A09": func() []Hostile {
		huge := func(dims ...int64) []byte {
			var b []byte
			for _, d := range dims {
				b = append(b, num(1, d)...)
			}
			return weight(b, num(2, 1))
		}
		return []Hostile{
			{Name: "negative dimension", Data: huge(-1), Want: "negative dimension"},
			{Name: "dimension of zero", Data: weight(num(1, 0), num(1, 1<<62), num(2, 1), sub(9))},
			{Name: "2^40 x 2^40", Data: huge(1<<40, 1<<40), Want: "overflows"},
			{Name: "a product that wraps to 4", Data: huge(4194305, 4194305, 211106198978564), Want: "overflows"},
			{Name: "rank 65", Data: weight(many(65, num(1, 1)), num(2, 1), sub(9, floats(1))), Want: "more than 64 dimensions"},
			{Name: "60 bytes for 64", Data: weight(num(1, 16), num(2, 1), sub(9, floats(15))), Want: "takes 64 bytes, the file has 60"},
			{Name: "68 bytes for 64", Data: weight(num(1, 16), num(2, 1), sub(9, floats(17))), Want: "takes 64 bytes, the file has 68"},
			{Name: "2048 bytes for 2^40", Data: weight(num(1, 1<<38), num(2, 1), sub(9, floats(512))), Want: "the file has 2048"},
		}
	},
	"A10": func() []Hostile {
		var all []byte
		for d, bits := range map[int64]int{10: 16, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4} {
			all = append(all, sub(5, str(8, fmt.Sprint("t", d)), num(1, 4), num(2, d), sub(9, make([]byte, bits/2)))...)
		}
		return []Hostile{
			{Name: "type 0", Data: weight(num(1, 4), sub(9, floats(4))), Want: "element type 0"},
			{Name: "type 99", Data: weight(num(1, 4), num(2, 99), sub(9, floats(4))), Want: "element type 99"},
			{Name: "type 99 of a value", Data: model(sub(13, str(1, "y"), sub(2, sub(1, num(1, 99))))), Want: "element type 99"},
			{Name: "strings in raw_data", Data: weight(num(1, 4), num(2, 8), sub(9, floats(4))), Want: "strings cannot be stored in raw_data"},
			{Name: "strings of 10 MB", Data: weight(num(1, 1), num(2, 8), str(6, strings.Repeat("s", 10<<20)))},
			{Name: "float16, bfloat16, int4, float8", Data: model(all)},
		}
	},
	"A11": func() []Hostile {
		both := cat(num(1, 4), num(2, 1), sub(9, floats(4)), sub(4, floats(4)))
		constant := func(in protowire.Number) []byte {
			return sub(in, str(2, "c"), str(4, "Constant"), attr("value", 4, sub(5, both)))
		}
		const want = "two value fields in one tensor"
		return []Hostile{
			{Name: "initializer", Data: weight(both), Want: want},
			{Name: "Constant", Data: model(constant(1)), Want: want},
			{Name: "attribute", Data: model(sub(1, str(2, "c"), str(4, "Op"), attr("ts", 9, sub(10, both)))), Want: want},
			{Name: "function", Data: cat(model(), sub(25, str(1, "F"), str(10, "p"), constant(7))), Want: want},
			{Name: "attribute of a function", Data: cat(model(), sub(25, str(1, "F"), str(10, "p"), sub(11, str(1, "a"), num(20, 4), sub(5, both)))), Want: want},
			{Name: "branch", Data: model(sub(1, str(1, "x"), str(2, "z"), str(4, "If"), attr("then_branch", 5, sub(6, sub(5, str(8, "w"), both))))), Want: want},
			{Name: "large", Data: weight(num(1, 1024), num(2, 1), sub(9, floats(1024)), sub(4, floats(1024))), Want: want},
		}
	},
	"A12": func() []Hostile {
		sparse := func(name string, indices ...[]byte) []byte {
			return sub(15, sub(1, str(8, name), num(1, 1), num(2, 1), sub(9, floats(1))), sub(2, num(1, 1), num(2, 7), cat(indices...)), num(3, 4))
		}
		dense := sub(5, str(8, "s"), num(1, 4), num(2, 1), sub(9, floats(4)))
		return []Hostile{
			{Name: "empty", Data: model(sub(15)), Want: "a sparse initializer is named"},
			{Name: "unread", Data: model(sparse("s", num(7, 0)))},
			{Name: "read", Data: model(node("s", "Neg", "z"), sparse("s", num(7, 0))), Want: "a sparse initializer"},
			{Name: "with the name of a dense one", Data: model(dense, sparse("s", num(7, 0))), Want: "names both a sparse initializer and another value"},
			{Name: "two of one name", Data: model(sparse("s", num(7, 0)), sparse("s", num(7, 1))), Want: "a sparse initializer is named"},
			{Name: "external indices outside", Data: model(sparse("s", sub(13, str(1, "location"), str(2, "../x")), num(14, 1))), Want: "not under the model's folder"},
			{Name: "two values in it", Data: model(sparse("s", num(7, 0), sub(9, make([]byte, 8)))), Want: "two value fields"},
		}
	},
	"A13": func() []Hostile {
		w := sub(5, str(8, "w"), num(2, 1), sub(9, floats(1)))
		return []Hostile{
			{Name: "two initializers", Data: model(w, w), Want: `value "w" is defined twice`},
			{Name: "40,000 initializers and one again", Data: model(numbered(40_000, func(name string) []byte { return sub(5, str(8, name), num(1, 0), num(2, 1)) }), sub(5, str(8, "v0"), num(1, 0), num(2, 1))), Want: `value "v0" is defined twice`},
			{Name: "two outputs", Data: model(node("x", "Abs", "y")), Want: `value "y" is defined twice`},
			{Name: "initializer and output", Data: model(sub(5, str(8, "y"), num(2, 1), sub(9, floats(1)))), Want: `value "y" is defined twice`},
			{Name: "input and output", Data: model(sub(11, str(1, "y"), vector)), Want: `value "y" is defined twice`},
			{Name: "two inputs", Data: model(inX), Want: `value "x" is defined twice`},
			{Name: "two nodes", Data: model(sub(1, str(1, "x"), str(2, "a"), str(3, "n"), str(4, "Abs")), sub(1, str(1, "x"), str(2, "b"), str(3, "n"), str(4, "Abs"))), Want: "two nodes of one graph"},
			{Name: "shadowing", Data: without(inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "If"), attr("then_branch", 5, sub(6, str(2, "t"), node("x", "Abs", "a"), node("a", "Neg", "y"), sub(12, str(1, "y"))))))},
		}
	},
	"A14": func() []Hostile {
		return []Hostile{
			{Name: "cycle of two", Data: model(node("b", "Neg", "a"), node("a", "Neg", "b")), Want: "depends on itself"},
			{Name: "self loop", Data: model(node("a", "Neg", "a")), Want: "depends on itself"},
			{Name: "missing producer", Data: model(node("nobody", "Neg", "a")), Want: `reads "nobody", which nothing produces`},
			{Name: "output without producer", Data: model(sub(12, str(1, "z"), vector)), Want: `graph output "z" has no producer`},
			{Name: "node without outputs", Data: model(sub(1, str(1, "x"), str(4, "Neg"))), Want: "has no output"},
			{Name: "a cycle of 25,000", Data: without(inX, numbered(24_999, func(name string) []byte { return node(name, "Neg", name[:1]+fmt.Sprint(index(name)+1)) }), node("v24999", "Neg", "v0")), Want: "depends on itself"},
			{Name: "25,000 nodes and a missing producer", Data: without(inX, numbered(25_000, func(name string) []byte { return node("x", "Neg", name) }), node("nobody", "Neg", "z")), Want: "which nothing produces"},
			{Name: "omitted input", Data: without(inX, outY, sub(1, str(1, "x"), str(1, ""), str(1, "x"), str(2, "y"), str(4, "Clip")))},
		}
	},
	"A18": func() []Hostile {
		return []Hostile{
			{Name: "training information", Data: cat(model(), sub(20, sub(1, node("x", "Neg", "y"))))},
			{Name: "metadata of 10 MB", Data: cat(model(), sub(14, str(1, "k"), str(2, strings.Repeat("m", 10<<20))))},
			{Name: "unknown fields", Data: cat(model(num(900, 1), sub(901, []byte("text"))), num(500, 7), sub(501, []byte("text")))},
			{Name: "a million unknown fields", Data: cat(model(), many(1<<20, num(500, 7))), Want: "types, metadata and other entries"},
		}
	},
}

// ifs returns a model of If nodes nested depth deep.
func ifs(depth int) []byte {
	g := node("x", "Neg", "i0")
	for i := range depth {
		last := fmt.Sprint("i", i)
		g = sub(1, str(1, "c"), str(2, fmt.Sprint("i", i+1)), str(4, "If"), attr("then_branch", 5, sub(6, str(2, "t"), g, sub(12, str(1, last)))))
	}
	c := sub(11, str(1, "c"), sub(2, sub(1, num(1, 9), sub(2))))
	return without(inX, c, g, sub(12, str(1, fmt.Sprint("i", depth)), vector))
}

// sequences returns a value whose type is nested depth deep.
func sequences(depth int) []byte {
	return cat(str(1, "v"), sub(2, nested(depth, sub(1, num(1, 1)), 1, 4)))
}

// nested wraps a message in messages of these numbers, the first innermost, n times.
func nested(n int, inner []byte, nums ...protowire.Number) []byte {
	var heads [][]byte
	size := len(inner)
	for range n {
		for _, num := range nums {
			head := protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.BytesType), uint64(size))
			heads, size = append(heads, head), size+len(head)
		}
	}
	slices.Reverse(heads)
	return cat(cat(heads...), inner)
}

// chain returns a model of n nodes, each of which reads the one before.
func chain(n int) []byte {
	var nodes []byte
	last := "x"
	for i := range n {
		next := fmt.Sprint("v", i)
		nodes = append(nodes, node(last, "Neg", next)...)
		last = next
	}
	return without(nodes, inX, sub(12, str(1, last), vector))
}

// calls returns a model whose main graph calls p.F, with these functions.
func calls(functions ...[]byte) []byte {
	call := sub(1, str(1, "x"), str(2, "y"), str(4, "F"), str(7, "p"))
	return cat(opset, sub(8, str(1, "p"), num(2, 1)), sub(7, str(2, "g"), call, inX, outY), cat(functions...))
}

// function defines a function p.name from "a" to "b".
func function(name string, nodes ...[]byte) []byte {
	return sub(25, str(1, name), str(10, "p"), str(4, "a"), str(5, "b"), cat(nodes...), sub(9, num(2, 17)), sub(9, str(1, "p"), num(2, 1)))
}

// step is a node of a function.
func step(in, op, out, domain string, more ...[]byte) []byte {
	return sub(7, str(1, in), str(2, out), str(4, op), str(7, domain), cat(more...))
}

// doubling returns functions F, f0, f1 and so on, each of which calls the next twice.
func doubling(n int, body ...[]byte) []byte {
	out := function("F", step("a", "f0", "m", "p"), step("m", "f0", "b", "p"))
	for i := range n {
		next := fmt.Sprint("f", i+1)
		out = append(out, function(fmt.Sprint("f", i), step("a", next, "m", "p"), step("m", next, "b", "p"))...)
	}
	return append(out, function(fmt.Sprint("f", n), cat(body...), step("a", "Neg", "b", ""))...)
}

func functionRows() []Hostile {
	links := function("F63", step("a", "Neg", "b", ""))
	for i := range 63 {
		name := fmt.Sprint("F", i)
		if i == 0 {
			name = "F"
		}
		links = append(links, function(name, step("a", fmt.Sprint("F", i+1), "b", "p"))...)
	}
	big := func(bytes int) []byte {
		return step("", "Constant", "k", "", attr("value", 4, sub(5, num(1, int64(bytes)), num(2, 2), sub(9, make([]byte, bytes)))))
	}
	var wide []byte // a body with many names
	for i := range 400 {
		wide = append(wide, step("a", "Neg", fmt.Sprintf("%s%d", strings.Repeat("n", 4000), i), "")...)
	}
	shared := func(domain, name string) []byte {
		return sub(25, str(1, name), str(10, domain), str(4, "a"), str(5, "b"), step("a", "Abs", "b", ""), sub(9, num(2, 17)))
	}
	unread := function("F", str(4, "u"), step("a", "Neg", "b", ""))
	call := func(out string, in ...string) []byte {
		var ins []byte
		for _, name := range in {
			ins = append(ins, str(1, name)...)
		}
		return sub(1, ins, str(2, out), str(4, "F"), str(7, "p"))
	}
	return []Hostile{
		{Name: "calls itself", Data: calls(function("F", step("a", "F", "b", "p"))), Want: "calls itself"},
		{Name: "two call each other", Data: calls(function("F", step("a", "G", "b", "p")), function("G", step("a", "F", "b", "p"))), Want: "calls itself"},
		{Name: "chain of 64", Data: calls(links)},
		{Name: "twice", Data: calls(function("F", step("a", "Neg", "b", "")), function("F", step("a", "Abs", "b", ""))), Want: "is defined twice"},
		{Name: "named as an operator", Data: cat(model(), shared("", "Neg")), Want: "a host would run its own operator"},
		{Name: "named as an operator of ai.onnx", Data: cat(model(), shared("ai.onnx", "Neg")), Want: "a host would run its own operator"},
		{Name: "named Constant", Data: cat(without(inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Constant"), str(7, "p"))), shared("p", "Constant")), Want: "a host would run its own operator"},
		{Name: "an output that nothing produces", Data: calls(function("F", step("a", "Neg", "c", ""))), Want: `produces its output "b"`},
		{Name: "a cycle through an input that the body does not read", Data: cat(without(inX, outY, call("y", "x", "z"), node("y", "Neg", "z")), unread), Want: `the node that computes "y" depends on itself`},
		{Name: "a cycle of 25,000 calls", Data: cat(without(inX, numbered(24_999, func(name string) []byte { return call(name, "x", name[:1]+fmt.Sprint(index(name)+1)) }), call("v24999", "x", "v0")), unread), Want: "depends on itself"},
		{Name: "a branch that defines an input", Data: calls(function("F", str(4, "c"), str(4, "u"), step("c", "If", "b", "",
			attr("then_branch", 5, sub(6, node("a", "Abs", "u"), node("u", "Neg", "q"), sub(12, str(1, "q"))))))), Want: `a branch defines "u", which is also an input`},
		{Name: "2^30 nodes", Data: calls(doubling(30)), Want: "more than 50000 nodes"},
		{Name: "2^12 constants of 500 bytes", Data: calls(doubling(11, big(500)))},
		{Name: "2^14 constants of 1000 bytes, 0.7 MB of names", Data: cat(calls(doubling(14, big(1000))), str(6, strings.Repeat("d", 700_000))), Want: "more than 50000 nodes"},
		{Name: "2^9 times 100 kB of attributes", Data: calls(doubling(9, step("a", "Op", "k", "com.x", attr("s", 3, sub(4, make([]byte, 100_000)))))), Want: "more than 33554432 bytes of nodes that calls of functions become"},
		{Name: "2^5 times 1.7 MB of names", Data: calls(doubling(5, wide)), Want: "more than "},
		{Name: "2^5 times 20,000 uses", Data: calls(doubling(5, sub(7, many(20_000, str(1, "a")), str(2, "k"), str(4, "Sum")))), Want: "more than 262144 inputs of nodes"},
		{Name: "2^5 times 10,000 attributes", Data: calls(doubling(5, step("a", "Op", "k", "com.x", numbered(10_000, func(name string) []byte { return attr(name, 2) })))), Want: "more than 131072 attributes"},
		{Name: "an attribute handed to many nodes", Data: handed(1_000_000, 1000), Want: "more than 33554432 bytes of nodes that calls of functions become"},
	}
}

// handed returns a model that hands an attribute of size bytes to n nodes of a function.
func handed(size, n int) []byte {
	ref := sub(5, str(1, "s"), num(20, 3), str(21, "s"))
	body := numbered(n, func(name string) []byte { return step("a", "Op", name, "com.x", ref) })
	call := sub(1, str(1, "x"), str(2, "y"), str(4, "F"), str(7, "p"), attr("s", 3, sub(4, make([]byte, size))))
	return cat(opset, sub(8, str(1, "p"), num(2, 1)), sub(7, str(2, "g"), call, inX, outY), function("F", body, step("a", "Neg", "b", "")))
}

// index is the number in a name of numbered.
func index(name string) int {
	i, _ := strconv.Atoi(name[1:])
	return i
}

// numbered returns n fields that hold short names, each with another name.
func numbered(n int, field func(name string) []byte) []byte {
	var out []byte
	for i := range n {
		out = append(out, field(fmt.Sprint("v", i))...)
	}
	return out
}

func floodRows() []Hostile {
	dims := func(n int) []byte { return sub(2, sub(1, num(1, 1), sub(2, many(n, sub(1))))) }
	op := func(parts ...[]byte) []byte {
		return without(inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), cat(parts...)))
	}
	external := func(parts ...[]byte) []byte { return weight(num(1, 4), num(2, 1), num(14, 1), cat(parts...)) }
	entry := sub(13, str(1, "location"), str(2, "w.bin"))
	varints := binary.AppendUvarint(nil, 1<<62)
	return []Hostile{
		{Name: "empty inputs", Data: without(many(10_000_000, sub(11))), Want: "more than 16384 graph inputs and outputs"},
		{Name: "empty tensors", Data: without(many(10_000_000, sub(5))), Want: "more than 100000 initializers"},
		{Name: "empty attributes", Data: op(many(10_000_000, sub(5))), Want: "more than 131072 attributes"},
		{Name: "empty inputs of a node", Data: op(many(10_000_000, sub(1))), Want: "more than 262144 inputs of nodes"},
		{Name: "empty outputs of a node", Data: op(many(10_000_000, sub(2))), Want: "more than 131072 outputs of nodes"},
		{Name: "empty functions", Data: cat(model(), many(10_000_000, cat(protowire.AppendTag(nil, 25, protowire.BytesType), []byte{0}))), Want: "more than 10000 functions"},
		{Name: "empty metadata", Data: cat(model(), many(10_000_000, sub(14))), Want: "more than 262144 types, metadata and other entries"},
		{Name: "empty fields of a node", Data: op(many(10_000_000, num(100, 1))), Want: "more than 4194304 fields"},
		{Name: "a value of a million dimensions", Data: model(sub(13, str(1, "y"), dims(13_000_000))), Want: "more than 64 dimensions in a type"},
		{Name: "an input of a million dimensions", Data: without(node("x", "Neg", "y"), sub(11, str(1, "x"), dims(1_000_000)), outY), Want: "more than 64 dimensions in a type"},
		{Name: "a tensor of a million dimensions", Data: weight(many(1_000_000, num(1, 1)), num(2, 1)), Want: "more than 64 dimensions in a tensor"},
		{Name: "a tensor of a million packed dimensions", Data: weight(sub(1, many(1_000_000, []byte{1})), num(2, 1)), Want: "more than 64 dimensions in a tensor"},
		{Name: "values of 64 dimensions", Data: model(many(20_000, sub(13, str(1, "y"), dims(64)))), Want: "more than 524288 dimensions in all types"},
		{Name: "an output listed 900,000 times", Data: model(many(900_000, outY)), Want: "more than 16384 graph inputs and outputs"},
		{Name: "3 million uses of one value", Data: without(inX, outY, sub(1, many(3_000_000, str(1, "x")), str(2, "y"), str(4, "Sum"))), Want: "more than 262144 inputs of nodes"},
		{Name: "external data entries", Data: external(many(2_000_000, entry)), Want: "more than 5 external_data entries"},
		{Name: "an external data entry of 20 MB", Data: external(sub(13, str(1, "location"), str(2, strings.Repeat("w", 20<<20)))), Want: "an external_data entry of"},
		{Name: "25 MB of packed integers", Data: op(attr("a", 7, sub(8, make([]byte, 25<<20)))), Want: "more than 1048576 elements"},
		{Name: "20 MB of long packed integers", Data: op(attr("a", 7, sub(8, many(2_000_000, varints)))), Want: "more than 1048576 elements"},
		{Name: "20 MB of packed floats", Data: op(attr("a", 6, sub(7, make([]byte, 20<<20)))), Want: "more than 1048576 elements"},
		{Name: "2 million strings", Data: op(attr("a", 8, many(2_000_000, sub(9)))), Want: "more than 1048576 elements"},
		{Name: "2 million types", Data: op(attr("a", 14, many(2_000_000, sub(15)))), Want: "more than 1048576 elements"},
		{Name: "2 million single numbers of a tensor", Data: weight(num(1, 2_000_000), num(2, 7), many(2_000_000, num(7, 1))), Want: "more than 1048576 elements"},
		{Name: "2 million strings of a tensor", Data: weight(num(1, 2_000_000), num(2, 8), many(2_000_000, sub(6))), Want: "more than 1048576 elements"},
		{Name: "an input name of 20 MB", Data: model(sub(11, str(1, strings.Repeat("n", 20<<20)), vector)), Want: "name of 20971520 bytes"},
		{Name: "a dimension name of 20 MB", Data: model(sub(13, str(1, "y"), sub(2, sub(1, num(1, 1), sub(2, sub(1, str(2, strings.Repeat("n", 20<<20)))))))), Want: "dim_param of 20971520 bytes"},
		{Name: "a dimension of 20 MB of packed bytes that do not end", Data: weight(sub(1, many(20<<20, []byte{0x80})), num(2, 1)), Want: "more than 64 dimensions in a tensor"},
	}
}
