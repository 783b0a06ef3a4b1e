package graph

import (
	"fmt"
	"strconv"
	"strings"
)

// token is a word, a quoted string (its value), or a sign.
type token struct {
	kind byte // 'w', '"', the sign itself, or 0 at the end
	text string
}

// lexer splits the textual form into tokens. The first error ends the input.
type lexer struct {
	src string
	pos int
	tok token // the next one
	err error
}

func newLexer(src string) *lexer {
	l := &lexer{src: src}
	l.next()
	return l
}

// fail keeps the first error, with its line number.
func (l *lexer) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf("parse line %d: %w", 1+strings.Count(l.src[:l.pos], "\n"), fmt.Errorf(format, args...))
	}
	l.tok = token{}
	l.pos = len(l.src)
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_./+-", c) >= 0
}

// wordLen returns the length in bytes of the word at the start of s. A double colon belongs to the word if more follows, as
// in "onnx::MatMul_1".
func wordLen(s string) int {
	i := 0
	for i < len(s) {
		switch {
		case isWord(s[i]):
			i++
		case i > 0 && strings.HasPrefix(s[i:], "::") && i+2 < len(s) && isWord(s[i+2]):
			i += 2
		default:
			return i
		}
	}
	return i
}

// next reads the next token into l.tok.
func (l *lexer) next() {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			l.pos++
		case c == '#':
			end := strings.IndexByte(l.src[l.pos:], '\n')
			if end < 0 {
				end = len(l.src) - l.pos
			}
			l.pos += end
		case c == '"':
			q, err := strconv.QuotedPrefix(l.src[l.pos:])
			if err != nil {
				l.fail("a string without a closing quote")
				return
			}
			s, err := strconv.Unquote(q)
			if err != nil {
				l.fail("a broken string")
				return
			}
			l.tok = token{'"', s}
			l.pos += len(q)
			return
		case isWord(c):
			n := wordLen(l.src[l.pos:])
			l.tok = token{'w', l.src[l.pos : l.pos+n]}
			l.pos += n
			return
		case strings.IndexByte("=:,(){}[]@$?", c) >= 0:
			l.tok = token{c, string(c)}
			l.pos++
			return
		default:
			l.fail("unexpected %q", c)
			return
		}
	}
	l.tok = token{}
}

// is reports whether the next token is the given sign or word.
func (l *lexer) is(text string) bool {
	return l.tok.kind != '"' && l.tok.kind != 0 && l.tok.text == text
}

// accept takes the next token if it is the given sign or word, and reports whether it did.
func (l *lexer) accept(text string) bool {
	if l.is(text) {
		l.next()
		return true
	}
	return false
}

func (l *lexer) expect(text string) {
	if !l.accept(text) {
		l.unexpected(strconv.Quote(text))
	}
}

func (l *lexer) unexpected(want string) {
	got := "the end of the text"
	if l.tok.kind != 0 {
		got = strconv.Quote(l.tok.text)
	}
	l.fail("want %s, got %s", want, got)
}

// name takes a bare or quoted name.
func (l *lexer) name() string {
	if l.tok.kind != 'w' && l.tok.kind != '"' {
		l.unexpected("a name")
		return ""
	}
	s := l.tok.text
	l.next()
	return s
}

// str takes a quoted string.
func (l *lexer) str() string {
	if l.tok.kind != '"' {
		l.unexpected("a string in quotes")
		return ""
	}
	return l.name()
}

// int takes a whole number.
func (l *lexer) int() int64 {
	i, err := strconv.ParseInt(l.tok.text, 10, 64)
	if l.tok.kind != 'w' || err != nil {
		l.unexpected("a whole number")
		return 0
	}
	l.next()
	return i
}

// list calls item for each element of a list up to the closing sign, which is taken too. Commas are optional.
func (l *lexer) list(end string, item func()) {
	for l.err == nil && !l.accept(end) {
		item()
		l.accept(",")
	}
}

// keywords begin statements; a name that looks like one is quoted.
var keywords = map[string]bool{"ir": true, "opset": true, "producer": true, "meta": true, "graph": true, "function": true, "in": true, "const": true, "attr": true, "out": true, "_": true}

// quoteNumber is quote for places where a bare word of digits would be read as a number.
func quoteNumber(name string) string {
	if _, err := strconv.ParseInt(name, 10, 64); err == nil {
		return strconv.Quote(name)
	}
	return quote(name)
}

// quote writes a name bare if it can be read back, else as a Go string: escaped, on one line, printable.
func quote(name string) string {
	if name != "" && wordLen(name) == len(name) && !keywords[name] {
		return name
	}
	return strconv.Quote(name)
}
