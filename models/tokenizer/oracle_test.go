package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/models/tokenizer/pattern"
)

var equateEmpty = cmpopts.EquateEmpty()

// whiteSpace is every character with the Unicode property White_Space, and some that look like white space.
var whiteSpace = []rune("\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000" +
	"\u001c\u001d\u001e\u001f\u180e\u200b\u2060\ufeff")

// corpus returns valid UTF-8 strings: selected ones, all of some small classes, and random ones of each sort, per times.
func corpus(per int) []string {
	out := []string{
		"", " ", "  ", "   ", "\n", "\n\n", " \n", "\n ", "a", " a", "a ", "  a", "a  ", "a  b", "a \n b", "\t\tx", "x\t\t",
		"'", "''", "'s", "'S", "'ll", "'l", "'lll", "'re", "'r", "'ve", "'v", "'m", "'d", "'t", "it's", "IT'S", "I'm we've he'd they'll you're don't",
		" 's", "'s's", "s'", "o'clock", "'restart", "'various", "a'll b", "’s", "1's", "!'s", "'\u017f", // a long s is not an s
		"123", " 123", "1 2", "12ab", "ab12", "½", "²x", "Ⅷ", "٣", "３", "1,500.75", "+1 (555) 010-9999",
		"日本語", "中文 測試", "한국어", "ไทย", "हिन्दी", "العربية", "עברית", "Ελληνικά", "Здравствуй", "ǅ ǈ", "ʰʷ", "ªº",
		"👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇦🇺🇯🇵", "❤️", "😀😀 😀", "e\u0301", "n\u0303o", "\u0301", " \u0301", "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L",
		"<|endoftext|>", "a<|endoftext|>b", "<|endoftext|><|endoftext|>", " <|endoftext|> ", "<|endoftext|", "<|<|endoftext|>|>", "<|ENDOFTEXT|>", "  <|endoftext|>  x",
		"\u0000", "\u007f", "a\u007fb", "\u001c", "\ufffd", "\ufffe", "\U0010ffff", "\ue000", "\u200b", "\u00ad", "\u2060x",
		"Hello world", " Revolutionary War", prose, "func f(x int) {\n\treturn\n}\n", "https://example.org/a?b=c&d=%20#e", "{\"k\": [1, 2.5e-3, null]}",
	}
	for r := range rune(0x250) { // controls and Latin, alone and between letters
		out = append(out, string(r), "a"+string(r)+"b", " "+string(r)+string(r)+" ")
	}
	for _, r := range whiteSpace {
		for n := range 4 {
			run := strings.Repeat(string(r), n+1)
			out = append(out, run, "a"+run+"b", run+"1", "!"+run, " "+run+" ", run+"'s")
		}
	}
	for _, unit := range []string{"a", "A", "1", "!", " ", "\n", "ab", "é", "日", "😀", "'s", "\u0301", "=-", " a"} {
		for _, n := range []int{2, 3, 7, 47, 48, 49, 50, 200, 600} {
			out = append(out, strings.Repeat(unit, n))
		}
	}

	rnd := rand.New(rand.NewPCG(1, 2)) // fixed, so that a failure can be repeated
	words := strings.Fields(prose)
	sorts := []func() string{
		func() string { return randomRune(rnd) },
		func() string { return string(whiteSpace[rnd.IntN(len(whiteSpace))]) },
		func() string { return string(rune(rnd.IntN(128))) },
		func() string { return words[rnd.IntN(len(words))] },
		func() string { return []string{"'s", "'re", "'ll", "'", " ", "  ", "<|endoftext|>", "<|"}[rnd.IntN(8)] },
		func() string { return string(rune('0' + rnd.IntN(10))) },
		func() string { return []string{"\u0301", "\u200d", "\ufe0f", "👩", "🏽", "日", "ا"}[rnd.IntN(7)] },
	}
	for i := range sorts {
		for range per { // of one sort
			var b strings.Builder
			for range 1 + rnd.IntN(20) {
				b.WriteString(sorts[i]())
			}
			out = append(out, b.String())
		}
	}
	for range per * len(sorts) { // of all sorts
		var b strings.Builder
		for range 1 + rnd.IntN(40) {
			b.WriteString(sorts[rnd.IntN(len(sorts))]())
		}
		out = append(out, b.String())
	}
	return out
}

// randomRune returns any code point that is valid in UTF-8 and has the same meaning in both versions of Unicode.
func randomRune(rnd *rand.Rand) string {
	for {
		if r := rune(rnd.IntN(unicode.MaxRune + 1)); utf8.ValidRune(r) && settled(r) {
			return string(r)
		}
	}
}

// settled reports whether Go, whose Unicode version the oracles use, and Hugging Face classify a character in the same way.
func settled(r rune) bool {
	return unicode.IsLetter(r) == classes()[0].Has(r) && unicode.IsNumber(r) == classes()[1].Has(r)
}

var classes = sync.OnceValue(func() (out [2]pattern.Class) {
	for i, expr := range []string{`\p{L}`, `\p{N}`} {
		c, err := pattern.ClassOf(expr)
		if err != nil {
			panic(err)
		}
		out[i] = c
	}
	return out
})

// The two versions differ only in characters assigned in between, a few thousand letters.
func TestSettled(t *testing.T) {
	n := 0
	for r := range rune(unicode.MaxRune) {
		if !settled(r) {
			n++
		}
	}
	if n > 10_000 {
		t.Errorf("Go and Hugging Face differ in %d characters", n)
	}
}

func TestOracle(t *testing.T) {
	ours := map[string]*Tokenizer{
		"vocab.json and merges.txt":     realGPT2(t),
		"tokenizer.json, merges spaced": mustLoad(t, document(gpt2().vocab, spaced(gpt2().merges), nil)),
		"tokenizer.json, merges paired": mustLoad(t, document(gpt2().vocab, gpt2().merges, nil)),
	}
	texts := corpus(400)
	if len(texts) < 6000 {
		t.Fatalf("only %d strings", len(texts))
	}
	type answer struct{ special, ordinary []int64 }
	want := make([]answer, len(texts))
	for i, s := range texts {
		if !utf8.ValidString(s) {
			t.Fatalf("%q is not valid UTF-8: the oracle drops such bytes", s)
		}
		want[i] = answer{widen(oracle().Encode(s, []string{"all"}, nil)), widen(oracle().EncodeOrdinary(s))}
	}
	for name, tok := range ours {
		wrong := 0
		for i, s := range texts {
			got := answer{tok.Encode(s), tok.EncodeOrdinary(s)}
			if !slices.Equal(want[i].special, got.special) || !slices.Equal(want[i].ordinary, got.ordinary) {
				if wrong++; wrong > 5 {
					t.Fatal("and more")
				}
				t.Errorf("%s: %q (-oracle +got):\n%s", name, s, cmp.Diff(want[i], got, cmp.AllowUnexported(answer{})))
			}
			if got := tok.Decode(got.special); got != s {
				t.Errorf("%s: Decode(Encode(%q)) = %q", name, s, got)
			}
		}
	}
	t.Logf("%d strings", len(texts))
}

// Every code point that may be assigned, and some others, next to letters, numbers, spaces and symbols: the pieces must be
// the matches of the regular expression. Ids would not show a difference, because rare characters have no merges.
func TestSplitIsRegexp(t *testing.T) {
	re := regexp2.MustCompile(`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, regexp2.None)
	check := func(s string) {
		t.Helper()
		var want []string
		for m, err := re.FindStringMatch(s); m != nil || err != nil; m, err = re.FindNextMatch(m) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, m.String())
		}
		if got := pieces(s); !slices.Equal(want, got) {
			t.Fatalf("%q (-regexp +got):\n%s", s, cmp.Diff(want, got))
		}
	}
	for _, s := range corpus(100) {
		check(s)
	}
	var b strings.Builder
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if dense := r < 0x40000 || r>>16 == 0xe; !dense && r%97 != 0 || testing.Short() && r%17 != 0 {
			continue
		}
		if utf8.ValidRune(r) && settled(r) {
			fmt.Fprintf(&b, "a%c1%c! %c's", r, r, r)
		}
		if b.Len() > 1000 {
			check(b.String())
			b.Reset()
		}
	}
	check(b.String())
}

func widen(ids []int) []int64 {
	out := make([]int64, len(ids))
	for i, id := range ids {
		out[i] = int64(id)
	}
	return out
}
