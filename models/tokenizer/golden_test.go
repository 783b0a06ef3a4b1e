package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unicode/utf8"
)

// The small tokenizers in testdata must give the ids of Hugging Face's tokenizers (scripts/tokenizers/fixtures.py).
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/golden.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files of goldens, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			tok, err := Load(filepath.Dir(file))
			if err != nil {
				t.Fatal(err)
			}
			rows := readRows(t, file)
			if len(rows) < 200 {
				t.Fatalf("%d texts", len(rows))
			}
			for _, r := range rows {
				var text, back string
				var want []int64
				unmarshal(t, r[0], &text)
				unmarshal(t, r[1], &want)
				if back = text; len(r) > 2 {
					unmarshal(t, r[2], &back)
				}
				got := tok.Encode(text)
				if !slices.Equal(got, want) {
					t.Errorf("Encode(%q) = %v, want %v", text, got, want)
				}
				// An incomplete character of several tokens is displayed differently, and is not compared.
				if d := tok.Decode(got); utf8.ValidString(d) && d != back {
					t.Errorf("Decode of %q = %q, want %q", text, d, back)
				}
			}
		})
	}
}

func readRows(t *testing.T, file string) [][]json.RawMessage {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]json.RawMessage
	unmarshal(t, data, &rows)
	return rows
}

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// EncodeMid must not add a leading space: after a word, the text must give the tokens that it has in the whole text.
func TestEncodeMid(t *testing.T) {
	for _, name := range []string{"llama2", "mistral", "llama3", "gemma", "starcoder"} {
		tok, err := Load(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		const before, after = "People speak", " Spanish and Quechua"
		want := tok.Encode(before + after)
		if got := append(tok.Encode(before), tok.EncodeMid(after)...); !slices.Equal(got, want) {
			t.Errorf("%s: %q and then %q is %v, want %v", name, before, after, got, want)
		}
		if front, mid := tok.Encode("a"), tok.EncodeMid("a"); slices.Equal(front, mid) != (name == "llama3" || name == "gemma") {
			t.Errorf("%s: %v at the front, %v in the middle", name, front, mid)
		}
	}
}
