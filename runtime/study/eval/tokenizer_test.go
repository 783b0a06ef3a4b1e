package eval

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/models/demo"
)

// A change in any file that a tokenizer is read from changes the hash.
func TestHashTokenizer(t *testing.T) {
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	hash := func(what string) {
		t.Helper()
		sum, err := HashTokenizer(dir)
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[sum]; ok {
			t.Errorf("%s: the hash is that of %s", what, before)
		}
		seen[sum] = what
	}
	hash("the demo's")
	for _, name := range []string{"vocab.json", "merges.txt", "tokenizer.json", "added_tokens.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, "{}"...), 0o666); err != nil {
			t.Fatal(err)
		}
		hash(name)
	}
}
