package generate

import (
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// syllables is a tokenizer whose tokens are short: characters, and some pairs. Token 9 is special.
func syllables(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.LoadFS(fstest.MapFS{"tokenizer.json": {Data: []byte(`{"model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"ab":3,"bc":4,"<0xC3>":5,"<0xA9>":6,"ca":7,"abc":8},
		"merges":["a b","b c","c a","a bc"],"byte_fallback":true},"added_tokens":[{"id":9,"content":"<end>","special":true}],"decoder":{"type":"ByteFallback"}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestText(t *testing.T) {
	tok := syllables(t)
	for _, c := range []struct {
		stops  []string
		ids    []int64
		pieces string // as they are streamed
		stop   bool
	}{
		{nil, []int64{0, 1, 3}, "a|b|ab", false},
		{nil, []int64{0, 5, 6, 1}, "a|é|b", false}, // a character of two tokens
		{nil, []int64{0, 5}, "a|\uFFFD", false},
		{nil, []int64{0, 9, 1}, "a|b", false},
		{[]string{"bc"}, []int64{0, 1, 2, 0}, "a", true},           // a stop text of two tokens
		{[]string{"bc"}, []int64{0, 1, 0}, "a|ba", false},          // held back, then given
		{[]string{"bc"}, []int64{0, 1}, "a|b", false},              // the end of the text gives what is held
		{[]string{"b"}, []int64{8, 0}, "a", true},                  // inside a token
		{[]string{"cab", "ca"}, []int64{2, 0, 1}, "", true},        // the shorter one is complete first
		{[]string{"abcb", "b"}, []int64{0, 1}, "a", true},          //
		{[]string{"abab"}, []int64{3, 2, 3, 3, 0}, "abc", true},    // begins again
		{[]string{"aab"}, []int64{0, 0, 0, 1}, "a", true},          //
		{[]string{"é"}, []int64{0, 5, 6}, "a", true},               //
		{[]string{"\uFFFD"}, []int64{0, 5}, "a", false},            // the end completes it
		{[]string{"zzz"}, []int64{0, 1, 2}, "a|b|c", false},        //
		{[]string{"x", "bb"}, []int64{1, 0, 1, 2}, "ba|bc", false}, //
	} {
		var pieces []string
		x := newText(tok, c.stops, func(s string) error { pieces = append(pieces, s); return nil })
		stopped := false
		for _, id := range c.ids {
			var err error
			if stopped, err = x.add(id); err != nil {
				t.Fatal(err)
			}
			if stopped {
				break
			}
		}
		whole, err := x.end()
		if got := strings.Join(pieces, "|"); got != c.pieces || stopped != c.stop || whole != strings.Join(pieces, "") || err != nil {
			t.Errorf("stops %q, tokens %v: got %q (stopped %v, whole %q, %v), want %q (%v)", c.stops, c.ids, got, stopped, whole, err, c.pieces, c.stop)
		}
	}
}

// The text ends before the first complete stop text, however tokens cut it, and everything before is streamed.
func TestTextLaw(t *testing.T) {
	tok := syllables(t)
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.Int64Range(0, 9)).Draw(t, "ids")
		stops := rapid.SliceOfN(rapid.StringMatching("[abcé]{1,4}"), 0, 3).Draw(t, "stops")
		var streamed strings.Builder
		x := newText(tok, stops, func(s string) error { streamed.WriteString(s); return nil })
		var used []int64
		for _, id := range ids {
			used = append(used, id)
			if stopped, _ := x.add(id); stopped {
				break
			}
		}
		got, _ := x.end()
		s := tok.Stream()
		want := ""
		for _, id := range used {
			want += s.Add(id)
		}
		want += s.End()
		cut := len(want)
		for _, stop := range stops {
			if i := strings.Index(want, stop); i >= 0 {
				cut = min(cut, i)
			}
		}
		if got != streamed.String() || !strings.HasPrefix(want, got) || len(got) < cut {
			t.Fatalf("got %q, streamed %q, want %q", got, streamed.String(), want[:cut])
		}
		for _, stop := range stops {
			if strings.Contains(got, stop) {
				t.Fatalf("%q contains the stop text %q", got, stop)
			}
		}
	})
}
