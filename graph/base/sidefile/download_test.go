package sidefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a failed download leaves in place of a file is refused by all three ways to open one.
func TestDownloads(t *testing.T) {
	const pointer, page = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "<!doctype html><p>"
	for _, tt := range []struct{ name, data, want string }{
		{"tokenizer.json", pointer, "Git LFS pointer"},
		{"tokenizer.json", page, "web page"},
		{"tokenizer.json", "\ufeff \r\n<HTML>", "web page"},
		{"tokenizer.json", `{"version": "1.0"}`, ""},
		{"merges.txt", "#version: 0.2\n", ""},
		{"words.txt", pointer, "Git LFS pointer"},
		{"words.txt", page, ""}, // a text
		{"prompts.csv", "prompt,answer\n", ""},
		{"empty.csv", "", ""},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, tt.name)
		if err := os.WriteFile(path, []byte(tt.data), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err1 := Read(os.DirFS(dir), tt.name, 1<<20)
		_, err2 := ReadFile(path, 1<<20)
		f, err3 := Open(path, 1<<20)
		if err3 == nil {
			f.Close()
		}
		for i, err := range []error{err1, err2, err3} {
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s, way %d: got %v, want %q", tt.name, i, err, tt.want)
			}
		}
	}
}
