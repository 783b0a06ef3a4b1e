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
	}
}
