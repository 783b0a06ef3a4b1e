package graph_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
)

// The tests of this file are rows of the matrix of hostile files: see graphtest.Hostile. TestA01NotAFile and TestA02 are in hostile_test.go, and
// the same files go through the commands in cmd/onnx-inject.

func TestA01NotAModel(t *testing.T)      { testRow(t, "A01") }
func TestA03BrokenFields(t *testing.T)   { testRow(t, "A03") }
func TestA04RepeatedFields(t *testing.T) { testRow(t, "A04") }
func TestA05Nesting(t *testing.T)        { testRow(t, "A05") }
func TestA06Functions(t *testing.T)      { testRow(t, "A06") }
func TestA07Nodes(t *testing.T)          { testRow(t, "A07") }
func TestA08Floods(t *testing.T)         { testRow(t, "A08") }
func TestA09Shapes(t *testing.T)         { testRow(t, "A09") }
func TestA10ElementTypes(t *testing.T)   { testRow(t, "A10") }
func TestA11TwoValues(t *testing.T)      { testRow(t, "A11") }
func TestA12Sparse(t *testing.T)         { testRow(t, "A12") }
func TestA13OneNameForTwo(t *testing.T)  { testRow(t, "A13") }
func TestA14CyclesAndEdges(t *testing.T) { testRow(t, "A14") }
func TestA18KeptUnread(t *testing.T)     { testRow(t, "A18") }

// testRow loads the files of a row. A file that is read must be the same bytes after it is saved, unless its functions were
// inlined, and must satisfy graph.Check.
func testRow(t *testing.T, row string) {
	for _, h := range graphtest.Hostiles(row) {
		t.Run(h.Name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "m.onnx")
			if err := os.WriteFile(path, h.Data, 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := graph.Load(path)
			if h.Want != "" {
				if err == nil || !strings.Contains(err.Error(), h.Want) {
					t.Fatalf("got %.300v, want %q", err, h.Want)
				}
				if len(err.Error()) > 1000+len(path) || strings.ContainsAny(err.Error(), "\n\x1b\x00") {
					t.Errorf("an error of %d bytes: %.300q", len(err.Error()), err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if err := graph.Check(m); err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(dir, "out.onnx")
			if _, err := graph.Save(context.Background(), m, out, graph.Embed, false); err != nil {
				t.Fatal(err)
			}
			saved, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if row != "A06" && h.Name != "over-long number" && !bytes.Equal(saved, h.Data) {
				t.Errorf("the saved copy differs: %d bytes, want %d", len(saved), len(h.Data))
			}
			again, err := graph.Load(out)
			if err != nil {
				t.Fatal(err)
			}
			again.Close()
		})
	}
}

// TestMatrixHasEveryRow lists the rows that this package tests.
func TestMatrixHasEveryRow(t *testing.T) {
	got := strings.Join(graphtest.HostileRows(), " ")
	if want := "A01 A03 A04 A05 A06 A07 A08 A09 A10 A11 A12 A13 A14 A18"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
}
