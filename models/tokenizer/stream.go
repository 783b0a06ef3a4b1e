package tokenizer

import "unicode/utf8"

// A Stream decodes the tokens that continue a text, one by one. A character can consist of several tokens: its bytes are held
// back until it is complete. Bytes that cannot become a character are written as U+FFFD, one for each maximal part of one, as
// tokenizers of Hugging Face do. Special tokens are left out.
//
// The result is what the tokens add to a text before them. A tokenizer that marks the start of every text with a space (Llama 2)
// therefore gives the space that separates the first token from the prompt.
type Stream struct {
	t    *Tokenizer
	held []byte
}

// Stream begins to decode.
func (t *Tokenizer) Stream() *Stream { return &Stream{t: t} }

// Add decodes one more token and returns the text that can no longer change, which may be empty.
func (s *Stream) Add(id int64) string {
	if s.t.Special(id) {
		return ""
	}
	s.held = append(s.held, s.t.Bytes(id)...)
	text, rest := lossy(s.held, false)
	s.held = rest
	return text
}

// End returns what was held back.
func (s *Stream) End() string {
	text, _ := lossy(s.held, true)
	s.held = nil
	return text
}

// lossy decodes UTF-8. The beginning of a character at the end of b is returned as rest unless the text ends there.
func lossy(b []byte, ends bool) (text string, rest []byte) {
	var out []byte
	for len(b) > 0 {
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			out, b = append(out, b[:n]...), b[n:]
			continue
		}
		n := 1
		for n < len(b) && !utf8.FullRune(b[:n+1]) {
			n++
		}
		if n == len(b) && !ends && !utf8.FullRune(b) {
			break
		}
		out, b = append(out, "\uFFFD"...), b[n:]
	}
	return string(out), b
}
