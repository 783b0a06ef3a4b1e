package tokenizer

import "unicode/utf8"

// symbols[b] is the character that represents byte b in vocabulary files, and byteOf is the inverse. GPT-2 uses the
// printable Latin-1 characters unchanged, and U+0100 onwards, in order, for the other bytes (openai/gpt-2, src/encoder.py,
// bytes_to_unicode).
var symbols, byteOf = byteSymbols()

func byteSymbols() (symbols [256]rune, byteOf map[rune]byte) {
	byteOf = make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		printable := '!' <= r && r <= '~' || '¡' <= r && r <= '¬' || '®' <= r && r <= 'ÿ'
		if !printable {
			r, next = next, next+1
		}
		symbols[b], byteOf[r] = r, byte(b)
	}
	return symbols, byteOf
}

// fromSymbols returns the bytes that a token written in symbols represents, and whether it is written in symbols.
func fromSymbols(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		b, ok := byteOf[r]
		if !ok {
			return "", false
		}
		out = append(out, b)
	}
	return string(out), true
}

// toSymbols is the inverse of fromSymbols.
func toSymbols(s string) string {
	out := make([]byte, 0, 2*len(s))
	for i := range len(s) {
		out = utf8.AppendRune(out, symbols[s[i]])
	}
	return string(out)
}
