package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A decoder turns spellings of tokens back into text.
type decoder struct {
	steps  []func(string) string // of each token
	marks  string                // a whole text loses this character at its beginning, up to lead times; "" for none
	lead   int
	unmark bool // the first token loses its spaces
}

// decoders are the kinds that tokenizer.json may name, apart from Fuse and Strip, which are about tokens together.
var decoders = map[string]func(json.RawMessage) (func(string) string, error){
	"ByteLevel":    func(json.RawMessage) (func(string) string, error) { return unspell, nil },
	"ByteFallback": func(json.RawMessage) (func(string) string, error) { return unByte, nil },
	"Replace": func(raw json.RawMessage) (func(string) string, error) {
		n, err := replace(raw)
		return n.apply, err
	},
	"Metaspace": func(raw json.RawMessage) (func(string) string, error) {
		var c struct {
			Mark string `json:"replacement"`
		}
		err := json.Unmarshal(raw, &c)
		return func(s string) string { return strings.ReplaceAll(s, c.Mark, " ") }, err
	},
	"Fuse":  nil,
	"Strip": nil,
}

// unspell is the text of a token that is written in the characters that stand for bytes; others are shown as they are written.
func unspell(s string) string {
	if text, ok := fromSymbols(s); ok {
		return text
	}
	return s
}

// unByte is the byte of a token such as <0x0A>.
func unByte(s string) string {
	var b byte
	if len(s) == len("<0x0A>") {
		if n, _ := fmt.Sscanf(s, "<0x%02X>", &b); n == 1 && strings.EqualFold(byteToken(b), s) {
			return string([]byte{b})
		}
	}
	return s
}

// parseDecoder reads the decoder of tokenizer.json. Without one, tokens are written as the pre-tokenizer has them.
func parseDecoder(raw json.RawMessage, byteLevel bool) (decoder, error) {
	var d decoder
	steps, err := flatten(raw, "decoder", "decoders")
	if err != nil {
		return d, err
	}
	if len(steps) == 0 {
		if byteLevel {
			return decoder{steps: []func(string) string{unspell}}, nil
		}
		space := func(s string) string { return strings.ReplaceAll(s, "▁", " ") }
		return decoder{steps: []func(string) string{space, unByte}}, nil
	}
	for _, s := range steps {
		make, ok := decoders[s.kind]
		if !ok {
			return d, unknownKind("decoder", s.kind, decoders)
		}
		if err := d.add(s, make); err != nil {
			return d, fmt.Errorf("decoder %q: %w", s.kind, err)
		}
	}
	return d, nil
}

func (d *decoder) add(s step, make func(json.RawMessage) (func(string) string, error)) error {
	var c struct { // of Strip and Metaspace
		Content string  `json:"content"`
		Start   int     `json:"start"`
		Stop    int     `json:"stop"`
		Scheme  *string `json:"prepend_scheme"`
		Prefix  *bool   `json:"add_prefix_space"`
	}
	if make != nil {
		f, err := make(s.raw)
		if err != nil {
			return err
		}
		d.steps = append(d.steps, f)
		if s.kind != "Metaspace" {
			return nil
		}
	}
	if s.kind == "Fuse" {
		return nil
	}
	if err := json.Unmarshal(s.raw, &c); err != nil {
		return err
	}
	if s.kind == "Metaspace" {
		if never := c.Scheme != nil && *c.Scheme == "never" || c.Scheme == nil && c.Prefix != nil && !*c.Prefix; !never {
			d.unmark = true
		}
		return nil
	}
	if utf8.RuneCountInString(c.Content) != 1 || c.Start < 0 || c.Stop != 0 {
		return unsupported("content %q, start %d, stop %d; want one character and stop 0", c.Content, c.Start, c.Stop)
	}
	d.marks, d.lead = c.Content, c.Start
	return nil
}

// text is what a token stands for.
func (d *decoder) text(spelling string) string {
	for _, f := range d.steps {
		spelling = f(spelling)
	}
	return spelling
}

// start takes off what was put in front of a whole text.
func (d *decoder) start(s string) string {
	for range d.lead {
		rest, ok := strings.CutPrefix(s, d.marks)
		if !ok {
			break
		}
		s = rest
	}
	return s
}
