package tokenizer

import (
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

// byByte returns a tokenizer with one token for each byte, the id being the byte, and the special token 256.
func byByte(t *testing.T) *Tokenizer {
	t.Helper()
	s := spec{vocab: map[string]int64{}, added: []added{{text: "<|end|>", id: 256, special: true}}, bytes: true, begin: begin{id: -1},
		decoder: decoder{steps: []func(string) string{unspell}}}
	for b := range 256 {
		s.vocab[toSymbols(string([]byte{byte(b)}))] = int64(b)
	}
	out, err := build(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStream(t *testing.T) {
	tok := byByte(t)
	for _, c := range []struct{ in, pieces string }{
		{"ab", "a|b|"},
		{"é", "|é|"},
		{"€x", "||€|x|"},
		{"😀", "|||😀|"},
		{"\xe2\x82", "||\uFFFD"},    // the end of the text ends a character
		{"\xe2\x82x", "||\uFFFDx|"}, // … and so does a byte of another one
		{"\xe2\x82\xe2\x82\xac", "||\uFFFD||€|"},
		{"\xff\x80", "\uFFFD|\uFFFD|"},            // these never begin a character
		{"\xed\xa0\x80", "|\uFFFD\uFFFD|\uFFFD|"}, // a surrogate: three parts
		{"\xf0\x9f", "||\uFFFD"},
	} {
		s := tok.Stream()
		got := ""
		for i := range len(c.in) {
			got += s.Add(int64(c.in[i])) + "|"
		}
		if got += s.End(); got != c.pieces {
			t.Errorf("%q: got %q, want %q", c.in, got, c.pieces)
		}
	}
	s := tok.Stream()
	if got := s.Add('a') + s.Add(256) + s.Add(0xc3) + s.Add(256) + s.Add(0xa9) + s.Add(-1) + s.Add(999) + s.End(); got != "aé" {
		t.Errorf("special and unknown tokens: got %q", got)
	}
}

// However a text is cut into tokens, the pieces are valid and add up to the text.
func TestStreamLaw(t *testing.T) {
	tok := byByte(t)
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		if rapid.Bool().Draw(t, "valid") {
			in = []byte(strings.ToValidUTF8(string(in), "é€😀"))
		}
		s := tok.Stream()
		got := ""
		for _, b := range in {
			got += s.Add(int64(b))
		}
		got += s.End()
		whole, _ := lossy(in, true)
		if got != whole || strings.ToValidUTF8(got, "") != got {
			t.Fatalf("%q: got %q, want %q", in, got, whole)
		}
	})
}

// A tokenizer that marks the start of every text gives the space before the first word.
func TestStreamMarks(t *testing.T) {
	tok, err := LoadFS(fstest.MapFS{"tokenizer.json": {Data: []byte(`{"model":{"type":"BPE","vocab":{"▁":0,"a":1,"▁a":2,"<0xC3>":3,"<0xA9>":4},"merges":["▁ a"],"byte_fallback":true},
		"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
		"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	s := tok.Stream()
	if got := s.Add(2) + s.Add(3) + s.Add(4) + s.Add(2) + s.End(); got != " aé a" {
		t.Errorf("got %q", got)
	}
}
