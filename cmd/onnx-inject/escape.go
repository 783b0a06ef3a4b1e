package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape makes text from a file safe to print on a terminal. Control characters, marks that change the direction of writing, and
// bytes that are not UTF-8 are written as Go escapes, "\x1b". Other text is unchanged.
func escape(s string) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case hidden(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
		s = s[n:]
	}
	return b.String()
}

// hidden reports whether a terminal would do anything other than display r. The space is the only white space it displays.
func hidden(r rune) bool { return !strconv.IsPrint(r) }

// quote writes text in quotes, so that the space at the start of a token is visible.
func quote(s string) string { return strconv.Quote(s) }

// shellWord quotes an argument for a command line that users can paste into a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("-_./:@%+=,", r) || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
