package graph

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

var updateSeeds = flag.Bool("update-seeds", false, "write the seeds of FuzzLoad")

// seedFolder holds the seeds of FuzzLoad, which "go test" replays, and of the field-aware harness.
const seedFolder = "testdata/fuzz/FuzzLoad"

// repeated returns a field n times.
func repeated(n int, field []byte) []byte { return bytes.Repeat(field, n) }

// dims returns a type of n dimensions.
func dims(n int) []byte { return sub(2, sub(1, num(1, 1), sub(2, repeated(n, sub(1))))) }

// nestedType returns a value of a sequence type nested n deep.
func nestedType(n int) []byte {
	t := sub(1, num(1, 1))
	for range n {
		t = sub(4, sub(1, t))
	}
	return cat(str(1, "v"), sub(2, t))
}

// doubling returns a model whose functions call the one before twice: one call becomes 2^n nodes. body is the nodes of the
// first function.
func doubling(n int, body ...[]byte) []byte {
	opsets := cat(sub(9, num(2, 17)), sub(9, str(1, "p"), num(2, 1)))
	call := func(f, in, out string) []byte { return sub(7, str(1, in), str(2, out), str(4, f), str(7, "p")) }
	functions := sub(25, str(1, "f0"), str(10, "p"), str(4, "a"), str(5, "b"), sub(7, str(1, "a"), str(2, "b"), str(4, "Neg")), cat(body...), opsets)
	for i := range n {
		f := fmt.Sprint("f", i)
		functions = append(functions, sub(25, str(1, fmt.Sprint("f", i+1)), str(10, "p"), str(4, "a"), str(5, "b"), call(f, "a", "m"), call(f, "m", "b"), opsets)...)
	}
	top := sub(1, str(1, "x"), str(2, "y"), str(4, fmt.Sprint("f", n)), str(7, "p"))
	return cat(head, sub(8, str(1, "p"), num(2, 1)), sub(7, top, inX, outY), functions)
}

// fuzzSeeds are small files for the fuzzers: a model for each feature of the format, and each kind of file that once took
// too much memory or was read differently than ONNX Runtime reads it. All are smaller than 3 KB, because larger seeds slow
// fuzzing down to a halt.
func fuzzSeeds(t testing.TB) map[string][]byte {
	f := float32Bytes(1, 2, 3, 4)
	attr := func(body ...[]byte) []byte {
		return cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "Op"), sub(5, str(1, "a"), cat(body...)))))
	}
	sparse := func(name string) []byte {
		return sub(15, sub(1, str(8, name), num(1, 1), num(2, 1), sub(9, f[:4])), sub(2, num(1, 1), num(2, 7), num(7, 0)), num(3, 4))
	}
	function, err := os.ReadFile("testdata/functions.onnx")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{
		"simple":                 simple,
		"functions":              function[:2500],
		"external-data":          external(entry("location", "w.bin"), entry("offset", "4"), entry("length", "16")),
		"raw-data-in-the-file":   initializer(num(1, 512), num(2, 1), sub(9, make([]byte, 2048))),
		"packed-int32-data":      initializer(num(1, 1024), num(2, 6), sub(5, make([]byte, 1024))),
		"location-of-zero":       initializer(num(1, 2), num(2, 1), num(14, 0), sub(4, make([]byte, 8))),
		"packed-and-single-dims": initializer(num(1, 2), sub(1, []byte{2, 1}), num(2, 1), sub(9, f)),
		"strings":                initializer(num(1, 2), num(2, 8), str(6, "a"), str(6, "b")),
		"training":               cat(simple, sub(20, sub(1, neg))),
		"annotation":             cat(head, sub(7, neg, inX, outY, sub(14, str(1, "x"), sub(2, str(1, "SCALE_TENSOR"), str(2, "x"))))),
		"types":                  cat(head, sub(7, neg, inX, outY, sub(13, nestedType(3)), sub(13, str(1, "m"), sub(2, sub(5, num(1, 7), sub(2, sub(1, num(1, 1)))))))),

		"functions-that-multiply":            doubling(5),
		"functions-with-attributes":          doubling(3, sub(7, str(2, "k"), str(4, "Constant"), sub(5, str(1, "value_ints"), num(20, 7), repeated(20, num(8, 1))))),
		"function-named-as-an-operator":      cat(simple, sub(25, str(1, "Neg"), str(4, "a"), str(5, "b"), sub(7, str(1, "a"), str(2, "b"), str(4, "Abs")))),
		"dimensions-of-a-value":              cat(head, sub(7, neg, inX, outY, sub(13, str(1, "y"), dims(70)))),
		"dimensions-of-an-input":             cat(head, sub(7, neg, sub(11, str(1, "x"), dims(70)), outY)),
		"output-listed-often":                cat(head, sub(7, neg, inX, repeated(60, sub(12, str(1, "y"))))),
		"uses-of-one-value":                  cat(head, sub(7, inX, outY, sub(1, repeated(100, str(1, "x")), str(2, "y"), str(4, "Sum")))),
		"external-data-entries":              external(repeated(10, entry("location", "w.bin"))),
		"packed-numbers-in-an-attribute":     attr(str(1, "a"), num(20, 7), sub(8, make([]byte, 300))),
		"types-nested-deep":                  cat(head, sub(7, neg, inX, outY, sub(13, nestedType(40)))),
		"sparse-with-the-name-of-a-dense":    cat(head, sub(7, neg, inX, outY, sub(5, str(8, "s"), num(1, 4), num(2, 1), sub(9, f)), sparse("s"))),
		"sparse-that-nothing-reads":          cat(head, sub(7, neg, inX, outY, sparse("s"))),
		"graph-twice":                        cat(simple, sub(7, neg, inX, outY)),
		"two-value-fields":                   initializer(num(1, 4), num(2, 1), sub(9, f), sub(4, f)),
		"empty-nodes":                        cat(head, sub(7, repeated(100, sub(1)))),
		"dimensions-whose-product-wraps":     initializer(num(1, 4194305), num(1, 4194305), num(1, 211106198978564), num(2, 1)),
		"attribute-twice":                    attr(str(1, "a"), num(3, 1), num(20, 2), sub(5, str(1, "a"), num(3, 2), num(20, 2))),
		"cycle":                              cat(head, sub(7, sub(1, str(1, "b"), str(2, "a"), str(4, "Neg")), sub(1, str(1, "a"), str(2, "b"), str(4, "Neg")), sub(12, str(1, "a")))),
		"branch-that-shadows":                cat(head, sub(7, inX, outY, sub(1, str(1, "x"), str(2, "y"), str(4, "If"), sub(5, str(1, "then_branch"), num(20, 5), sub(6, sub(1, str(1, "x"), str(2, "y"), str(4, "Neg")), sub(12, str(1, "y"))))))),
		"location-with-a-newline":            external(entry("location", "x\nhint: run"), entry("offset", "0"), entry("length", "16")),
		"overlong-length":                    cat(head, []byte{0x3a}, protowire.AppendVarint(nil, 1<<63)),
		"initializer-that-is-also-an-output": cat(head, sub(7, neg, inX, outY, sub(5, str(8, "y"), num(2, 1), sub(9, f[:4])))),
	}
	for i, s := range seeds {
		m, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		if out[fmt.Sprint("text-", i)], _, err = Marshal(m); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestSeeds holds the files of the seeds to the code that makes them. "go test ./graph -run TestSeeds -update-seeds" writes
// them.
func TestSeeds(t *testing.T) {
	all := fuzzSeeds(t)
	for name, data := range all {
		path := filepath.Join(seedFolder, name)
		text := fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", data)
		if len(data) > 3000 {
			t.Errorf("%s has %d bytes", name, len(data))
		}
		if *updateSeeds {
			if err := os.MkdirAll(seedFolder, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s is not what the code makes (%v): run this test with -update-seeds", path, err)
		}
	}
	files, err := os.ReadDir(seedFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if all[f.Name()] == nil && !isFinding(f.Name()) {
			t.Errorf("%s is made by no code", f.Name())
		}
	}
}

// isFinding reports whether a file of the seed folder was written by "go test -fuzz": its name is a checksum.
func isFinding(name string) bool {
	for _, c := range name {
		if c < '0' || c > '9' && c < 'a' || c > 'f' {
			return false
		}
	}
	return true
}
