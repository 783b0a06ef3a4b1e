package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape makes text that came from a file harmless for a terminal: control characters, marks that turn the direction of
// writing, and bytes that are not UTF-8 show as Go writes them, "\x1b". Text without them stays as it is.
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

// hidden reports whether a terminal would do something else with r than show it. The space is the only blank that stays.
func hidden(r rune) bool { return !strconv.IsPrint(r) }

// quote shows text as people would type it, in quotes: a token's space, which matters, can be seen.
func quote(s string) string { return strconv.Quote(s) }

// shellWord writes an argument of a command line that people will paste.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("-_./:@%+=,", r) || unicode.IsLetter(r) || unicode.IsDigit(r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
