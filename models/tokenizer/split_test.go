package tokenizer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pieces splits s like GPT-2.
func pieces(s string) []string {
	var out []string
	for start, end := range gpt2Split().All(s) {
		out = append(out, s[start:end])
	}
	return out
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"Hello world", []string{"Hello", " world"}},
		{"a  b", []string{"a", " ", " b"}},
		{"a   b", []string{"a", "  ", " b"}},
		{"a\nb", []string{"a", "\n", "b"}},
		{"a\n\nb", []string{"a", "\n", "\n", "b"}},
		{"a\n b", []string{"a", "\n", " b"}},
		{"a \nb", []string{"a", " ", "\n", "b"}},
		{"a\u00a0\u3000 b", []string{"a", "\u00a0\u3000", " b"}},
		{"a\u3000\u3000b", []string{"a", "\u3000", "\u3000", "b"}},
		{"a  ", []string{"a", "  "}},
		{" ", []string{" "}},
		{"it's", []string{"it", "'s"}},
		{"it'S", []string{"it", "'", "S"}},
		{"'really", []string{"'re", "ally"}},
		{" 's", []string{" '", "s"}},
		{"''s", []string{"''", "s"}},
		{"'l", []string{"'", "l"}},
		{"x1 22!? ok", []string{"x", "1", " 22", "!?", " ok"}},
		{"½²Ⅷ٣", []string{"½²Ⅷ٣"}},
		{"e\u0301!", []string{"e", "\u0301!"}}, // a combining mark is neither a letter nor a number
		{"\u001c\u180e", []string{"\u001c\u180e"}},
		{"a\xff\xfeb", []string{"a", "\xff\xfe", "b"}},
		{" \xff", []string{" \xff"}},
	} {
		if diff := cmp.Diff(c.want, pieces(c.text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestSplitCoversText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte(" \n'sltrevmd1!")))).Draw(t, "bytes")
		whole := ""
		for _, p := range pieces(string(b)) {
			if p == "" {
				t.Fatal("empty piece")
			}
			whole += p
		}
		if whole != string(b) {
			t.Fatalf("%q became %q", b, whole)
		}
	})
}

func TestSymbols(t *testing.T) {
	if len(byteOf) != 256 {
		t.Fatalf("%d symbols for 256 bytes", len(byteOf))
	}
	for b, r := range map[byte]rune{'!': '!', ' ': 'Ġ', '\n': 'Ċ', 0: 'Ā', 0x7f: 'ġ', 0xa0: 'ł', 0xad: 'Ń', 0xff: 'ÿ'} {
		if symbols[b] != r {
			t.Errorf("byte 0x%02x is written %q, want %q", b, symbols[b], r)
		}
	}
	if s, ok := fromSymbols("▁the"); ok {
		t.Errorf("fromSymbols(%q) = %q, want none", "▁the", s)
	}
}
