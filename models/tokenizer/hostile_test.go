package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Encoding a text without any place to split must take time in proportion to its length, in every fixture.
func TestLongTexts(t *testing.T) {
	files, err := filepath.Glob("testdata/*/tokenizer.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		tok, err := Load(filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, unit := range []string{"a", " ", "\n", "1", "日本", "e\u0301", "<", "<both> ", "'s", "😀", "aB", "\xff", "Peru "} {
			start := time.Now()
			tok.Encode(strings.Repeat(unit, 20_000/len(unit)))
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%s: a run of %q took %v", file, unit, took)
			}
		}
	}
}

// Only regular files may be opened, and an endless file must not be read completely.
func TestFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no devices that can be linked to")
	}
	for name, target := range map[string]string{"tokenizer.json": "/dev/zero", "vocab.json": "/dev/null"} {
		dir := t.TempDir()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), name+": want a regular file, got ") {
			t.Errorf("%s: error %v", target, err)
		}
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(maxFile + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "want at most 64 MiB") {
		t.Errorf("a file without end: error %v", err)
	}
}

// The steps of a tokenizer may lengthen a text only by a bounded factor.
func TestGrowth(t *testing.T) {
	steps := []any{}
	for range maxSteps {
		steps = append(steps, object{"type": "Prepend", "prepend": strings.Repeat("x", 1000)})
	}
	raw, err := json.Marshal(object{"type": "Sequence", "normalizers": steps})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseNormalizer(raw); err == nil {
		t.Error("32 texts of 1000 bytes may be put in front of every piece")
	}
}
