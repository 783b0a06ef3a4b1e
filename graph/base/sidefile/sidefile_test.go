package sidefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", "1234")
	write("long.json", "12345")
	if err := os.Symlink("a.json", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.json": "1234", "link.json": "1234",
		"long.json": "want at most 4 bytes", "folder.json": "want a regular file, got a folder", "none.json": "no such file",
	} {
		data, err := Read(os.DirFS(dir), name, 4)
		if got := string(data); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v; want %s", name, got, err, want)
		}
		if errors.Is(err, fs.ErrNotExist) != (name == "none.json") {
			t.Errorf("%s: %v", name, err)
		}
		data, err = ReadFile(filepath.Join(dir, name), 4)
		if got := string(data); err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v; want %s", name, got, err, want)
		}
		f, err := OpenOwn(filepath.Join(dir, name), 4)
		if (err == nil) != (name == "a.json") || name == "link.json" && !strings.Contains(err.Error(), `got a symbolic link to "a.json"`) {
			t.Errorf("own %s: %v", name, err)
		}
		if err == nil {
			f.Close()
		}
	}
}

// A sparse file of many gigabytes is refused by its size; nothing of it is read.
func TestReadSparse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 30<<30); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	if _, err := ReadFile(path, 16<<20); err == nil || !strings.Contains(err.Error(), "want at most 16 MiB, got more") {
		t.Errorf("got %v", err)
	}
}
