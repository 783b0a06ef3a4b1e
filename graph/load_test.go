package graph

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func fixtures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../models/testdata/*.onnx")
	if err != nil || len(files) != 16 {
		t.Fatalf("want 16 fixtures, got %d (%v)", len(files), err)
	}
	return files
}

func TestLoadFixtures(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := Check(m); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSaveUnchanged(t *testing.T) {
	for _, path := range fixtures(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out.onnx")
			if _, err := Save(t.Context(), m, out, Embed, false); err != nil {
				t.Fatal(err)
			}
			a, _ := os.ReadFile(path)
			b, _ := os.ReadFile(out)
			if !bytes.Equal(a, b) {
				t.Errorf("the saved copy differs: %d bytes, want %d", len(b), len(a))
			}
		})
	}
}
