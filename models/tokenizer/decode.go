package tokenizer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A decoder turns spellings of tokens back into text.
type decoder struct {
	steps  []func(string) string // applied to each token
	marks  string                // this character is removed from the beginning of a whole text, up to lead times; "" for none
	lead   int
	unmark bool // spaces are removed from the first token
}

// decoders lists the kinds that tokenizer.json may name, except for Fuse and Strip, which act on several tokens together.
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

// unspell returns the text of a token whose characters represent bytes. Other tokens are returned unchanged.
func unspell(s string) string {
	if text, ok := fromSymbols(s); ok {
		return text
	}
	return s
}

// unByte returns the byte of a token such as <0x0A>.
func unByte(s string) string {
	var b byte
	if len(s) == len("<0x0A>") {
		if n, _ := fmt.Sscanf(s, "<0x%02X>", &b); n == 1 && strings.EqualFold(byteToken(b), s) {
			return string([]byte{b})
		}
	}
	return s
}

// parseDecoder reads the decoder of tokenizer.json. Without a decoder, tokens keep the form that the pre-tokenizer gives
// them.
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
	var c struct { // settings of Strip and Metaspace
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

// text returns the text of a token.
func (d *decoder) text(spelling string) string {
	for _, f := range d.steps {
		spelling = f(spelling)
	}
	return spelling
}

// start removes the prefix that was added to a whole text.
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
