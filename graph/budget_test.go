package graph

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// numbered returns n fields that hold short names, each with another name.
func numbered(n int, field func(name string) []byte) []byte {
	var out []byte
	for i := range n {
		out = append(out, field(fmt.Sprint("v", i))...)
	}
	return out
}

// TestLimits loads, for every limit of a budget, a file that uses all of it, and one that uses one more.
func TestLimits(t *testing.T) {
	graphOf := func(parts ...[]byte) []byte { return cat(head, sub(7, neg, inX, outY, cat(parts...))) }
	listed := func(attr []byte) []byte {
		return cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), sub(5, str(1, "a"), attr))))
	}
	call := func(in, out string) []byte {
		return sub(1, str(1, in), str(2, out), str(4, "F"), str(7, "p"))
	}
	// calls makes a model that calls a function n times. The function's nodes are body, from "a" to "b".
	calls := func(n int, body []byte) []byte {
		nodes := cat(call("x", "y"), numbered(n-1, func(name string) []byte { return call("x", name) }))
		return cat(head, sub(8, str(1, "p"), num(2, 1)), sub(7, nodes, inX, outY), sub(25, str(1, "F"), str(10, "p"), str(4, "a"), str(5, "b"), body, sub(9, num(2, 17))))
	}
	inner := func(name string, attr ...[]byte) []byte {
		return cat(sub(7, str(1, "a"), str(2, name), str(4, "Neg"), cat(attr...)), sub(7, str(1, name), str(2, "b"), str(4, "Neg")))
	}
	tests := []struct {
		q    quantity
		name string
		file func(n int) []byte
		n    int // the number that reaches the limit
		near int // n is this close to it, because other parts of the file count, too
	}{
		{q: qElements, name: "single integers", file: func(n int) []byte { return listed(cat(num(20, 7), repeated(n, num(8, 1)))) }, n: 1 << 20},
		{q: qElements, name: "packed integers", file: func(n int) []byte { return listed(cat(num(20, 7), sub(8, make([]byte, n)))) }, n: 1 << 20},
		{q: qElements, name: "packed floats", file: func(n int) []byte { return listed(cat(num(20, 6), sub(7, make([]byte, 4*n)))) }, n: 1 << 20},
		{q: qElements, name: "strings", file: func(n int) []byte { return listed(cat(num(20, 8), repeated(n, sub(9)))) }, n: 1 << 20},
		{q: qElements, name: "strings of a tensor", file: func(n int) []byte { return initializer(num(1, int64(n)), num(2, 8), repeated(n, sub(6))) }, n: 1 << 20},
		{q: qElements, name: "single numbers of a tensor", file: func(n int) []byte { return initializer(num(1, int64(n)), num(2, 7), repeated(n, num(7, 1))) }, n: 1 << 20},
		{q: qRank, name: "dims", file: func(n int) []byte { return initializer(repeated(n, num(1, 1)), num(2, 1), sub(9, make([]byte, 4))) }, n: 64},
		{q: qRank, name: "packed dims", file: func(n int) []byte {
			return initializer(sub(1, repeated(n, []byte{1})), num(2, 1), sub(9, make([]byte, 4)))
		}, n: 64},
		{q: qTypeRank, name: "type of a value", file: func(n int) []byte { return graphOf(sub(13, str(1, "y"), dims(n))) }, n: 64},
		{q: qTypeRank, name: "type of an input", file: func(n int) []byte { return graphOf(sub(11, str(1, "v"), dims(n))) }, n: 64},
		{q: qNodes, file: func(n int) []byte { return chain(n) }, n: 50_000},
		{q: qInitializers, file: func(n int) []byte {
			return graphOf(numbered(n, func(name string) []byte { return sub(5, str(8, name), num(1, 0), num(2, 1)) }))
		}, n: 100_000},
		{q: qPorts, name: "an output listed often", file: func(n int) []byte { return graphOf(repeated(n-2, outY)) }, n: 16_384},
		{q: qPorts, name: "inputs", file: func(n int) []byte {
			return graphOf(numbered(n-2, func(name string) []byte { return sub(11, str(1, name), typeX) }))
		}, n: 16_384},
		{q: qEntries, name: "value_info", file: func(n int) []byte {
			return graphOf(numbered(n-3, func(name string) []byte { return sub(13, str(1, name)) }))
		}, n: 1 << 18},
		{q: qEntries, name: "unknown fields", file: func(n int) []byte { return graphOf(repeated(n-3, num(500, 1))) }, n: 1 << 18},
		{q: qFunctions, file: func(n int) []byte {
			return cat(simple, numbered(n, func(name string) []byte { return sub(25, str(1, name), str(10, "p")) }))
		}, n: 10_000},
		{q: qUses, file: func(n int) []byte {
			return cat(head, sub(7, inX, outY, sub(1, repeated(n, str(1, "x")), str(2, "y"), str(4, "Sum"))))
		}, n: 1 << 18},
		{q: qResults, file: func(n int) []byte {
			return graphOf(sub(1, numbered(n-1, func(name string) []byte { return str(2, name) }), str(4, "Op")))
		}, n: 1 << 17},
		{q: qAttributes, file: func(n int) []byte {
			return graphOf(sub(1, str(2, "v"), str(4, "Op"), numbered(n, func(name string) []byte { return sub(5, str(1, name)) })))
		}, n: 1 << 17},
		{q: qDims, file: func(n int) []byte {
			return graphOf(repeated(n/64-1, sub(13, str(1, "y"), dims(64))), sub(13, str(1, "y"), dims(64-2)), sub(13, str(1, "y"), dims(n%64)))
		}, n: 1 << 19},
		{q: qFields, file: func(n int) []byte { return graphOf(sub(1, str(2, "v"), str(4, "Op"), repeated(n, num(100, 1)))) }, n: 4<<20 - 50, near: 100},
		{q: qInlined, file: func(n int) []byte {
			return calls(n, inner("m", sub(5, str(1, "s"), num(20, 3), sub(4, make([]byte, 1<<20)))))
		}, n: 31},
		{q: qInlinedNames, file: func(n int) []byte {
			return calls(n, cat(sub(7, str(1, "a"), str(2, strings.Repeat("m", 4000)), str(4, "Neg")), sub(7, str(1, "a"), str(2, "b"), str(4, "Neg"))))
		}, n: 2075, near: 40},
		{q: qInlinedTries, file: func(n int) []byte {
			body := numbered(1022, func(name string) []byte { return sub(7, str(1, "a"), str(2, name), str(4, "Neg")) })
			last := cat(sub(7, str(1, "a"), str(2, "m"), str(4, "Neg")), sub(7, str(1, "m"), str(2, "b"), str(4, "Neg")))
			taken := sub(1, str(1, "x"), str(2, "F/m"), str(4, "Neg"))
			for i := range n {
				taken = append(taken, sub(1, str(1, "x"), str(2, fmt.Sprintf("F_%d/m", i+1)), str(4, "Neg"))...)
			}
			file := calls(1, cat(body, last))
			return append(file, sub(7, taken)...)
		}, n: 1022},
	}
	seen := map[quantity]bool{qNone: true, numOwn: true, qBytes: true, qExternal: true} // see the other tests
	for _, tt := range tests {
		seen[tt.q] = true
		t.Run(limits[tt.q].what+" "+tt.name, func(t *testing.T) {
			below, above := tt.file(tt.n), tt.file(tt.n+max(1, tt.near))
			if tt.q == qInlinedTries {
				below, above = mergeGraphs(below), mergeGraphs(above)
			}
			m, err := Load(write(t, below))
			if err != nil {
				t.Fatalf("%d: %v", tt.n, err)
			}
			m.Close()
			refuseAbove(t, write(t, above), fmt.Sprintf("more than %d %s: found ", limits[tt.q].max, limits[tt.q].what))
		})
	}
	for q := range numQuantities {
		if !seen[q] {
			t.Errorf("no test reaches the limit of %s", limits[q].what)
		}
	}
}

// refuseAbove checks that a file is refused with a reason and with advice.
func refuseAbove(t *testing.T, path, want string) {
	t.Helper()
	_, err := Load(path)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want %q", err, want)
	}
	if hint.Of(err) == "" {
		t.Errorf("%v: no advice", err)
	}
}

// mergeGraphs joins the graph fields of a file, as protobuf does.
func mergeGraphs(data []byte) []byte {
	var rest, graph []byte
	_ = fields(data, func(num protowire.Number, raw, body []byte) error {
		if num == 7 {
			graph = append(graph, body...)
		} else {
			rest = append(rest, raw...)
		}
		return nil
	})
	return cat(rest, sub(7, graph))
}

// TestLimitOfBytes reads sparse files just below and above the largest graph part.
func TestLimitOfBytes(t *testing.T) {
	file := func(size int64) string {
		path := filepath.Join(t.TempDir(), "m.onnx")
		text := protowire.AppendVarint(protowire.AppendTag(nil, 6, protowire.BytesType), uint64(size-int64(len(simple))-5))
		if err := os.WriteFile(path, cat(simple, text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	limit := limits[qBytes].max
	m, err := Load(file(limit))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	refuseAbove(t, file(limit+1), "more than 268435456 bytes of graph, without large tensors: found 268435457")
}

// TestLimitOfNames, TestLimitOfDepth and the next two test the limits of single things.
func TestLimitOfNames(t *testing.T) {
	file := func(n int) string {
		name := strings.Repeat("n", n)
		return write(t, cat(head, sub(7, inX, sub(1, str(1, "x"), str(2, name), str(3, name), str(4, "Neg")), sub(12, str(1, name), typeX))))
	}
	m, err := Load(file(maxName))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	refuseAbove(t, file(maxName+1), "output of 4097 bytes at byte")
}

func TestLimitOfDepth(t *testing.T) {
	// Graph, value and type are three messages; a sequence is two.
	file := func(n int) string { return write(t, cat(head, sub(7, neg, inX, outY, sub(13, nestedType(n))))) }
	m, err := Load(file(48))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	refuseAbove(t, file(49), "messages nested deeper than 100 at byte")
	refuseAbove(t, file(200), "messages nested deeper than 100 at byte")
}

func TestLimitOfExternalEntries(t *testing.T) {
	all := [][]byte{entry("location", "w.bin"), entry("offset", "0"), entry("length", "16"), entry("basepath", strings.Repeat("b", maxEntry-30))}
	dir := folder(t, map[string]string{
		"w.bin":   strings.Repeat("w", 64),
		"all":     string(external(all...)),
		"many":    string(external(append(all[:3:3], entry("a", ""), entry("b", ""), entry("c", ""))...)),
		"too-big": string(external(append(all[:3:3], entry("basepath", strings.Repeat("b", maxEntry)))...)),
	})
	m, err := Load(filepath.Join(dir, "all"))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	refuseAbove(t, filepath.Join(dir, "many"), "more than 5 external_data entries in a tensor: found 6")
	refuseAbove(t, filepath.Join(dir, "too-big"), "an external_data entry of 12301 bytes")
}

func TestLimitOfDataFiles(t *testing.T) {
	dir := t.TempDir()
	tensors := func(n int) []byte {
		var out []byte
		for i := range n {
			name := fmt.Sprint("w", i)
			out = append(out, sub(5, str(8, name), num(1, 1), num(2, 1), entry("location", name), num(14, 1))...)
		}
		return cat(head, sub(7, neg, inX, outY, out))
	}
	for i := range maxDataFiles + 1 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("w", i)), make([]byte, 4), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{maxDataFiles, maxDataFiles + 1} {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), tensors(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Load(filepath.Join(dir, fmt.Sprint(maxDataFiles)))
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	refuseAbove(t, filepath.Join(dir, fmt.Sprint(maxDataFiles+1)), `more than 1024 files, the next is "w1024"`)
}
