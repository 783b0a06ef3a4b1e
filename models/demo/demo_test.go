package demo

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
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

	// A second run does not change the files. When a file has other contents, nothing is written.
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	for name := range want {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.ModTime().Equal(old) {
			t.Errorf("%s was written again (%v)", name, err)
		}
	}
	theirs := filepath.Join(dir, "vocab.json")
	if err := os.WriteFile(theirs, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	err := WriteTo(dir)
	if err == nil || !strings.Contains(err.Error(), "vocab.json: the file exists already, with other contents") || hint.Of(err) != "name a new folder with -o" {
		t.Errorf("over another model's vocabulary: %v", err)
	}
	if got, _ := os.ReadFile(theirs); string(got) != "{}" {
		t.Errorf("their file holds %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		t.Error("a refused write wrote another file")
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
		if err == nil || !strings.HasPrefix(err.Error(), "demo model: ") {
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

// A link to a file that is missing is not a missing file: nothing is written through it or over it.
func TestWriteToDanglingLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(dir, "vocab.json")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	err := WriteTo(dir)
	if err == nil || !strings.HasPrefix(err.Error(), "demo model: ") || !strings.Contains(err.Error(), "vocab.json") {
		t.Errorf("got %v, want an error that names the link", err)
	}
	if to, err := os.Readlink(link); to != target {
		t.Errorf("the link leads to %q (%v)", to, err)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a file was written through the link")
	}
}
