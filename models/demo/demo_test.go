package demo

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// folder reads every file of dir.
func folder(t *testing.T, fsys fs.FS) map[string][]byte {
	t.Helper()
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, e := range entries {
		if out[e.Name()], err = fs.ReadFile(fsys, e.Name()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestWriteTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "demo")
	if err := WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	want := folder(t, Files())
	check := func(got map[string][]byte) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("got %d files, want %d", len(got), len(want))
		}
		for name := range want {
			if !bytes.Equal(got[name], want[name]) {
				t.Errorf("%s has %d bytes that differ from the embedded %d", name, len(got[name]), len(want[name]))
			}
		}
	}
	check(folder(t, os.DirFS(dir)))

	// A second run mends the damaged file and leaves the others alone, whatever else lies in the folder.
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	for name := range want {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "vocab.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	check(folder(t, os.DirFS(dir)))
	for name := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if rewritten := !info.ModTime().Equal(old); rewritten != (name == "vocab.json") {
			t.Errorf("%s: rewritten %v", name, rewritten)
		}
	}
}

func TestWriteToRefused(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(root, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "config.json", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), taken} {
		err := WriteTo(dir)
		if err == nil || !strings.HasPrefix(err.Error(), "write demo model: ") {
			t.Errorf("WriteTo(%q) = %v, want an error that says what was written", dir, err)
		}
	}
	left, err := os.ReadDir(taken)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("a refused write left %d entries, want the 1 that was there", len(left))
	}
}
