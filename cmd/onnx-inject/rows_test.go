package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/onnx-inject/onnx-inject/graph"
)

// The tests below are the rows of the matrix of reliability that a script can describe; testdata/rows holds one script for each.

// A data file that shrinks, grows or is replaced between rewrite and run is refused.
func TestB07DataFileChanges(t *testing.T) { row(t) }

// The output is never the input or its data file, whatever the name: device and inode are compared.
func TestC01OutputIsInput(t *testing.T) { row(t) }

// An existing output is kept without --force.
func TestC02OutputExists(t *testing.T) { row(t) }

// A full disk is exit code 5, with the path and the bytes that are needed. Nothing half written is left.
func TestC04DiskFull(t *testing.T) { row(t) }

// Folders that cannot be written to, or do not exist.
func TestC06NoPermission(t *testing.T) { row(t) }

// The same rewrite gives the same bytes, anywhere.
func TestC07Deterministic(t *testing.T) { row(t) }

// Another model, tokenizer, data file, list of taus or flag does not continue a folder.
func TestD06AnotherEvaluation(t *testing.T) { row(t) }

// Times, time zones and locales have no effect on rows.
func TestD09TimeAndLocale(t *testing.T) { row(t) }

// A model whose weights are in a data file of more than 4 GB, at offsets that 32 bits do not hold: it is inspected, run, rewritten by
// reference and copied, and verified, with the numbers of the original.
func TestB08LargeDataFile(t *testing.T) {
	const far = 5 << 30
	w := world(t)
	big := filepath.Join(w, "big.onnx")
	ok := func(args ...string) string {
		t.Helper()
		code, out, errs := program(t, "onnx-inject", args...)
		if code != 0 {
			t.Fatalf("%v: exit code %d\n%s", args, code, errs)
		}
		return out
	}
	m, err := graph.Load(filepath.Join(w, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := graph.Save(t.Context(), m, big, graph.Copy, false); err != nil {
		t.Fatal(err)
	}
	prompt := []string{"--prompt", "People in the land of Machu Picchu speak", "--json"}
	want := ok(append([]string{"run", big}, prompt...)...)

	data := readOr(big + ".data")
	f, err := os.Create(big + ".data")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, far); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	moved := 0
	model := eachField(readOr(big), []protowire.Number{7, 5, 13}, func(entry []byte) []byte { // graph, initializer, external_data
		if !bytes.HasPrefix(entry, append([]byte{1<<3 | 2, 6}, "offset"...)) {
			return entry
		}
		moved++
		return eachField(entry, []protowire.Number{2}, func(value []byte) []byte {
			at, err := strconv.ParseInt(string(value), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return strconv.AppendInt(nil, at+far, 10)
		})
	})
	if moved < 20 {
		t.Fatalf("%d offsets were moved", moved)
	}
	if err := os.WriteFile(big, model, 0o666); err != nil {
		t.Fatal(err)
	}

	ok("inspect", big)
	if got := ok(append([]string{"run", big}, prompt...)...); got != want {
		t.Errorf("run: got %s, want %s", got, want)
	}
	for _, weights := range []string{"ref", "copy"} {
		out := filepath.Join(w, weights+".onnx")
		ok("rewrite", big, "-o", out, "--inject", "all", "--weights", weights)
		if got := ok(append([]string{"run", out}, prompt...)...); got != want {
			t.Errorf("run, weights %s: got %s, want %s", weights, got, want)
		}
		if got := ok("verify", out, "--against", big); strings.Contains(got, "FAILED") {
			t.Errorf("verify, weights %s: %s", weights, got)
		}
	}
}

// eachField replaces the values of a field of nested messages.
func eachField(message []byte, path []protowire.Number, f func([]byte) []byte) []byte {
	var out []byte
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeField(message)
		field := message[:n]
		if num == path[0] && typ == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(field)
			value, _ := protowire.ConsumeBytes(field[tag:])
			if len(path) == 1 {
				value = f(value)
			} else {
				value = eachField(value, path[1:], f)
			}
			field = protowire.AppendBytes(protowire.AppendTag(nil, num, typ), value)
		}
		out = append(out, field...)
		message = message[n:]
	}
	return out
}
