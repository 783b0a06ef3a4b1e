package tokenizer

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestKnownIDs(t *testing.T) {
	tok := realGPT2(t)
	for _, c := range []struct {
		text string
		want []int64
	}{
		{"", []int64{}},
		{"Hello world", []int64{15496, 995}},
		{" Revolutionary War", []int64{28105, 1810}},
		{"<|endoftext|>", []int64{50256}},
		{"<|endoftext|>Hello world<|endoftext|>", []int64{50256, 15496, 995, 50256}},
	} {
		if diff := cmp.Diff(c.want, tok.Encode(c.text)); diff != "" {
			t.Errorf("Encode(%q) (-want +got):\n%s", c.text, diff)
		}
	}
	if diff := cmp.Diff([]int64{27, 91, 437, 1659, 5239, 91, 29}, tok.EncodeOrdinary(endOfText)); diff != "" {
		t.Errorf("EncodeOrdinary(%q) (-want +got):\n%s", endOfText, diff)
	}
	if got := tok.Size(); got != 50257 {
		t.Errorf("Size() = %d, want 50257", got)
	}
	if id, ok := tok.BOS(); id != 50256 || !ok {
		t.Errorf("BOS() = %d, %v, want 50256, true", id, ok)
	}
}

func TestDisplay(t *testing.T) {
	tok := realGPT2(t)
	for _, c := range []struct {
		id    int64
		token string
		bytes []byte
	}{
		{995, " world", []byte(" world")},
		{198, "\n", []byte("\n")},
		{50256, endOfText, []byte(endOfText)},
		{tok.Encode("\xe4")[0], "\uFFFD", []byte{0xe4}}, // the first byte of many Chinese characters
		{50257, "\uFFFD", nil},
		{-1, "\uFFFD", nil},
		{1 << 40, "\uFFFD", nil},
	} {
		if got := tok.Token(c.id); got != c.token {
			t.Errorf("Token(%d) = %q, want %q", c.id, got, c.token)
		}
		if diff := cmp.Diff(c.bytes, tok.Bytes(c.id)); diff != "" {
			t.Errorf("Bytes(%d) (-want +got):\n%s", c.id, diff)
		}
	}
	if got := tok.Decode([]int64{15496, 99999, -5, 995}); got != "Hello world" {
		t.Errorf("Decode with ids outside the vocabulary = %q, want %q", got, "Hello world")
	}
}

func TestBytesIsACopy(t *testing.T) {
	tok := realGPT2(t)
	tok.Bytes(995)[0] = 'X'
	if got := tok.Token(995); got != " world" {
		t.Errorf("Token(995) = %q after a caller wrote to Bytes(995)", got)
	}
}

func TestInvalidUTF8(t *testing.T) {
	tok := realGPT2(t)
	for _, s := range []string{"\xff", "a\xffb", "\xe4\xbd", " \xc0\x80 x", "\xf0\x9f\x98 ", "ok\x80\x80\x80ok", string([]byte{0xed, 0xa0, 0x80})} {
		if got := tok.Decode(tok.Encode(s)); got != s {
			t.Errorf("Decode(Encode(%q)) = %q", s, got)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	tok := realGPT2(t)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "s")
		if got := tok.Decode(tok.Encode(s)); got != s {
			t.Fatalf("Decode(Encode(%q)) = %q", s, got)
		}
		if got := tok.Decode(tok.EncodeOrdinary(s)); got != s {
			t.Fatalf("Decode(EncodeOrdinary(%q)) = %q", s, got)
		}
	})
}

// The ids of text must be the ids of its pieces: nothing outside a piece may affect how it is merged.
func TestPiecesAreIndependent(t *testing.T) {
	tok := realGPT2(t)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var want []int64
		for _, p := range pieces(s) {
			want = append(want, tok.model.bothWays(toSymbols(p))...)
		}
		if diff := cmp.Diff(want, tok.EncodeOrdinary(s), equateEmpty); diff != "" {
			t.Fatalf("%q (-pieces +whole):\n%s", s, diff)
		}
	})
}

// bothWays encodes one piece with both algorithms for merging and panics if they differ.
func (m *model) bothWays(s string) []int64 {
	slow := m.queue(m.start(nil, s))
	if start := m.start(nil, s); len(start) <= short {
		if fast := m.scan(start); !cmp.Equal(fast, slow, equateEmpty) {
			panic(cmp.Diff(fast, slow))
		}
	}
	var out []int64
	for _, id := range slow {
		out = append(out, int64(id))
	}
	return out
}

// Both algorithms for merging must give the same ids, even for merges that no training would produce: any order, and ties
// between overlapping pairs.
func TestScanIsQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		vocab := tiny()
		var merges [][2]string
		parts := []string{"a", "b", "c"}
		for range rapid.IntRange(0, 12).Draw(t, "merges") {
			m := [2]string{rapid.SampledFrom(parts).Draw(t, "left"), rapid.SampledFrom(parts).Draw(t, "right")}
			whole := m[0] + m[1]
			if _, ok := vocab[whole]; !ok {
				vocab[whole] = int64(len(vocab))
				parts = append(parts, whole)
			}
			merges = append(merges, m)
		}
		merges = rapid.Permutation(merges).Draw(t, "order")
		tok, err := build(spec{vocab: vocab, merges: merges, begin: begin{id: -1}})
		if err != nil {
			t.Fatal(err)
		}
		s := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 1, short, short).Draw(t, "s")
		if diff := cmp.Diff(tok.model.scan(tok.model.start(nil, s)), tok.model.queue(tok.model.start(nil, s))); diff != "" {
			t.Fatalf("%q with %q (-scan +queue):\n%s", s, merges, diff)
		}
	})
}

// A page of one letter, of spaces, or of one word without spaces is one piece. It must not take quadratic time, which would
// be seconds to minutes for a hundred thousand bytes.
func TestLongRuns(t *testing.T) {
	tok := realGPT2(t)
	for _, unit := range []string{"a", " ", "hello", "日本", "=-", "\n"} {
		s := strings.Repeat(unit, 100_000/len(unit))
		start := time.Now()
		ids := tok.Encode(s)
		took := time.Since(start)
		if got := tok.Decode(ids); got != s {
			t.Errorf("%d times %q: round trip differs", len(s)/len(unit), unit)
		}
		if took > 10*time.Second {
			t.Errorf("%d times %q: %v", len(s)/len(unit), unit, took)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	tok := realGPT2(t)
	want := tok.Encode("The Great Barrier Reef")
	done := make(chan []int64)
	for range 8 {
		go func() { done <- tok.Encode("The Great Barrier Reef") }()
	}
	for range 8 {
		if diff := cmp.Diff(want, <-done); diff != "" {
			t.Errorf("(-alone +together):\n%s", diff)
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	for i, s := range corpus(1) {
		if i%40 == 0 {
			f.Add(s)
		}
	}
	f.Add("\xff<|endoftext|> it's\xe4\xbd")
	tok := realGPT2(f)
	f.Fuzz(func(t *testing.T, s string) {
		ids := tok.Encode(s)
		if got := tok.Decode(ids); got != s {
			t.Fatalf("Decode(Encode(%q)) = %q", s, got)
		}
		for _, id := range ids {
			if id < 0 || id >= int64(tok.Size()) || !utf8.ValidString(tok.Token(id)) {
				t.Fatalf("Encode(%q) has id %d, shown as %q", s, id, tok.Token(id))
			}
		}
	})
}

const prose = `The largest coral reef system in the world is located off the coast of Australia. It's "home" to 1,500 species; they've been
counted since 1998, haven't they? ` + "Die Straße führt über den Fluß. Здравствуйте, мир! 東京は日本の首都です。\n\n\tfunc main() { fmt.Println(x[3:]) }\n"

func BenchmarkEncode(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"prose", strings.Repeat(prose, 100)},
		{"one letter", strings.Repeat("a", 100_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			tok := realGPT2(b)
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				tok.Encode(c.text)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	files := tables(gpt2().vocab, gpt2().merges)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LoadFS(files); err != nil {
			b.Fatal(err)
		}
	}
}
