package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// A class is what the splitter needs to know about a character.
type class uint8

const (
	symbol class = iota // [^\s\p{L}\p{N}], and each byte that is not UTF-8
	letter              // \p{L}
	number              // \p{N}
	space               // \s, Unicode White_Space
)

var asciiClass = func() (t [utf8.RuneSelf]class) {
	for r := range t {
		t[r] = classOf(rune(r))
	}
	return t
}()

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return symbol
}

// first returns the class and the size in bytes of the first character of s, which is not empty.
func first(s string) (class, int) {
	if s[0] < utf8.RuneSelf {
		return asciiClass[s[0]], 1
	}
	r, n := utf8.DecodeRuneInString(s)
	return classOf(r), n // a bad byte is U+FFFD of size 1: a symbol
}

// piece returns the length in bytes of the first piece of s, which is not empty. It is the leftmost match of
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// The alternatives are tried in this order, so a space joins the word after it, and white space before a word leaves its last
// character to the word: "a  b" is "a", " ", " b".
func piece(s string) int {
	if n := contraction(s); n > 0 {
		return n
	}
	kind, end := first(s)
	if s[0] == ' ' && len(s) > 1 {
		if k, n := first(s[1:]); k != space {
			kind, end = k, 1+n
		}
	}
	last := 0 // where the last character of the run begins
	for end < len(s) {
		k, n := first(s[end:])
		if k != kind {
			if kind == space && last > 0 {
				return last
			}
			return end
		}
		last, end = end, end+n
	}
	return end
}

// contraction returns the length of the English ending that s begins with: 's 't 'm 'd 're 've 'll, lower case only.
func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) > 2 {
		switch s[1:3] {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}
