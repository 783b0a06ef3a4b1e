package graph_test

import (
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
)

// TestViewsAgree compares what package graph sees in every fixture with what protobuf's own decoder sees: inputs, outputs,
// tensors with their bytes, and nodes. Package runtime/ort compares it with ONNX Runtime.
func TestViewsAgree(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../models/testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".onnx" {
			return err
		}
		files++
		m, err := graph.Load(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		defer m.Close()
		if diff := viewsDiffer(t, m, path); diff != "" {
			t.Errorf("%s: -protobuf +graph\n%s", path, diff)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 40 {
		t.Errorf("only %d files", files)
	}
}

// TestMutantViewsAgree does the same for random changes of the seeds that load and define no functions.
func TestMutantViewsAgree(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	seeds := fuzzSeeds(t)
	names := slices.Sorted(maps.Keys(seeds))
	r := rand.New(rand.NewPCG(*fieldSeed, 0x76696577))
	compared, unreadable := 0, 0
	for i := range *fieldRuns / 4 {
		data := seeds[names[i%len(names)]].Mutate(r, 1+r.IntN(3))
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := graph.Load(path)
		if err != nil {
			continue
		}
		if functions, err := graphtest.Functions(data); err != nil || len(functions) == 0 {
			compared++
			if _, err := graphtest.ViewOf(m); err != nil { // a large packed field is counted when it is read
				if !strings.Contains(err.Error(), "the file has") {
					t.Fatal(err)
				}
				unreadable++
			} else if diff := viewsDiffer(t, m, path); diff != "" {
				kept := filepath.Join(os.TempDir(), "view-mutant.onnx")
				_ = os.WriteFile(kept, data, 0o644)
				t.Fatalf("%s, from %s: -protobuf +graph\n%s", kept, names[i%len(names)], diff)
			}
		}
		m.Close()
	}
	if compared < *fieldRuns/20 {
		t.Errorf("only %d mutants compared", compared)
	}
	t.Logf("%d mutants compared, %d of them with tensors that cannot be read", compared-unreadable, unreadable)
}

func viewsDiffer(t *testing.T, m *graph.Model, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := graphtest.ParseView(data, filepath.Dir(path))
	if err != nil {
		return err.Error()
	}
	got, err := graphtest.ViewOf(m)
	if err != nil {
		return err.Error()
	}
	return cmp.Diff(want, got)
}
