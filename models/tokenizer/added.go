package tokenizer

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/models/tokenizer/pattern"
)

// An added token is always cut out of the text whole, however the vocabulary would split its characters.
type added struct {
	text    string
	id      int64
	special bool // it represents something that is not text
	normal  bool // it is searched for in normalized text, and is normalized itself
	word    bool // it matches only where no letter is next to it
	lstrip  bool // it includes the white space before it
	rstrip  bool // … and after it
}

// An addedSet finds added tokens in a text.
type addedSet struct {
	byText  map[string]*added
	lengths [256][]int // by first byte, longest first
}

func (s *addedSet) put(text string, a added) {
	if text == "" {
		return
	}
	if s.byText == nil {
		s.byText = map[string]*added{}
	}
	s.byText[text] = &a
	list := &s.lengths[text[0]]
	if !slices.Contains(*list, len(text)) {
		*list = append(*list, len(text))
		slices.SortFunc(*list, func(a, b int) int { return b - a })
	}
}

// at returns the longest added token at the start of text, and its length, or nil for none.
func (s *addedSet) at(text string) (*added, int) {
	for _, n := range s.lengths[text[0]] {
		if n <= len(text) {
			if a := s.byText[text[:n]]; a != nil {
				return a, n
			}
		}
	}
	return nil, 0
}

// cut yields the text between added tokens, with its offset, and the tokens. Of tokens that begin at the same place, the
// longest counts. Without special, special tokens count as text.
func (s *addedSet) cut(text string, special bool, yield func(part string, at int, tok *added)) {
	start := 0 // start of the text that is not yielded yet
	for i := 0; i < len(text); {
		tok, n := s.at(text[i:])
		if tok == nil {
			i++
			continue
		}
		from, to := i, i+n
		i = to
		if tok.special && !special || tok.word && (wordBefore(text[:from]) || wordAfter(text[to:])) {
			continue
		}
		if tok.lstrip {
			from = max(start, len(strings.TrimRightFunc(text[:from], unicode.IsSpace)))
		}
		if tok.rstrip {
			to = len(text) - len(strings.TrimLeftFunc(text[to:], unicode.IsSpace))
		}
		if start < from {
			yield(text[start:from], start, nil)
		}
		yield("", from, tok)
		start = to
	}
	if start < len(text) {
		yield(text[start:], start, nil)
	}
}

// wordClass is the class of characters that count as part of a word next to an added token.
var wordClass = sync.OnceValue(func() pattern.Class {
	c, err := pattern.ClassOf(`[\w\x{200C}\x{200D}]`)
	if err != nil {
		panic(err) // a constant
	}
	return c
})

func wordBefore(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && wordClass().Has(r)
}

func wordAfter(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && wordClass().Has(r)
}
