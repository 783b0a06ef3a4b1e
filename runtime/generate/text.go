package generate

import (
	"strings"

	"github.com/onnx-inject/onnx-inject/models/tokenizer"
)

// text is the text of a continuation while it grows. It holds back the end of the text for as long as it may be the beginning of
// a stop text.
type text struct {
	tokens *tokenizer.Stream // nil: no text
	stops  []string
	stream func(string) error // nil: nobody listens
	whole  strings.Builder
	held   string
}

func newText(t *tokenizer.Tokenizer, stops []string, stream func(string) error) *text {
	x := &text{stops: stops, stream: stream}
	if t != nil {
		x.tokens = t.Stream()
	}
	return x
}

// add appends a token and reports whether the text contains a stop text, before which it ends.
func (x *text) add(id int64) (stopped bool, err error) {
	if x.tokens == nil {
		return false, nil
	}
	return x.put(x.tokens.Add(id))
}

// end returns the whole text. Bytes that were held back may complete a stop text.
func (x *text) end() (string, error) {
	if x.tokens != nil {
		stopped, err := x.put(x.tokens.End())
		if err == nil && !stopped {
			err = x.emit(x.held)
		}
		x.held = ""
		if err != nil {
			return "", err
		}
	}
	return x.whole.String(), nil
}

func (x *text) put(piece string) (stopped bool, err error) {
	x.held += piece
	cut := -1
	for _, stop := range x.stops {
		if i := strings.Index(x.held, stop); i >= 0 && (cut < 0 || i < cut) {
			cut = i
		}
	}
	if cut >= 0 {
		err := x.emit(x.held[:cut])
		x.tokens, x.held = nil, ""
		return true, err
	}
	safe := len(x.held)
	for _, stop := range x.stops {
		safe = min(safe, len(x.held)-overlap(x.held, stop))
	}
	err = x.emit(x.held[:safe])
	x.held = x.held[safe:]
	return false, err
}

func (x *text) emit(s string) error {
	x.whole.WriteString(s)
	if s == "" || x.stream == nil {
		return nil
	}
	return x.stream(s)
}

// overlap returns the length of the longest end of s that is a beginning of stop.
func overlap(s, stop string) int {
	for n := min(len(s), len(stop)-1); n > 0; n-- {
		if strings.HasSuffix(s, stop[:n]) {
			return n
		}
	}
	return 0
}
