package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/tokenizer/normal"
	"github.com/onnx-inject/onnx-inject/models/tokenizer/pattern"
)

// A normalizer changes a text before it is split.
type normalizer struct {
	apply func(string) string
	grow  int  // the maximum factor by which a text becomes longer
	front bool // it adds text at the front
	moves bool // the beginning of the text may change
}

// normalizers lists the kinds that tokenizer.json may name.
var normalizers = map[string]func(json.RawMessage) (normalizer, error){
	"NFC":       fixed(normal.NFC.String, 3),
	"NFD":       fixed(normal.NFD.String, 4),
	"NFKC":      fixed(normal.NFKC.String, 11),
	"NFKD":      fixed(normal.NFKD.String, 18),
	"Lowercase": fixed(normal.Lower, 3),
	"Prepend":   prepend,
	"Replace":   replace,
	"Strip":     strip,
}

// maxSteps limits the number of normalizers or pre-tokenizers, and maxGrow the factor by which they make a text longer.
const (
	maxSteps = 32
	maxGrow  = 1024
)

func fixed(apply func(string) string, grow int) func(json.RawMessage) (normalizer, error) {
	return func(json.RawMessage) (normalizer, error) { return normalizer{apply: apply, grow: grow}, nil }
}

func prepend(raw json.RawMessage) (normalizer, error) {
	var c struct {
		Prepend string `json:"prepend"`
	}
	err := json.Unmarshal(raw, &c)
	return normalizer{front: true, moves: true, grow: 1 + len(c.Prepend), apply: func(s string) string {
		if s == "" {
			return s
		}
		return c.Prepend + s
	}}, err
}

func replace(raw json.RawMessage) (normalizer, error) {
	var c struct {
		Pattern textPattern `json:"pattern"`
		Content string      `json:"content"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return normalizer{}, err
	}
	f, err := c.Pattern.finder()
	oneForOne := c.Pattern.String != nil && utf8.RuneCountInString(*c.Pattern.String) == 1 && utf8.RuneCountInString(c.Content) == 1
	return normalizer{moves: !oneForOne, grow: max(1, len(c.Content)), apply: func(s string) string {
		var out strings.Builder
		last := 0
		for start, end := range f.All(s) {
			out.WriteString(s[last:start])
			out.WriteString(c.Content)
			last = end
		}
		if last == 0 {
			return s
		}
		out.WriteString(s[last:])
		return out.String()
	}}, err
}

func strip(raw json.RawMessage) (normalizer, error) {
	var c struct {
		Left  bool `json:"strip_left"`
		Right bool `json:"strip_right"`
	}
	err := json.Unmarshal(raw, &c)
	return normalizer{moves: c.Left, grow: 1, apply: func(s string) string {
		if c.Left {
			s = strings.TrimLeftFunc(s, unicode.IsSpace)
		}
		if c.Right {
			s = strings.TrimRightFunc(s, unicode.IsSpace)
		}
		return s
	}}, err
}

// parseNormalizer reads the normalizer of tokenizer.json, which may be null, and returns its steps.
func parseNormalizer(raw json.RawMessage) ([]normalizer, error) {
	steps, err := flatten(raw, "normalizer", "normalizers")
	if err != nil {
		return nil, err
	}
	var out []normalizer
	grow := 1
	for _, s := range steps {
		make, ok := normalizers[s.kind]
		if !ok {
			return nil, unknownKind("normalizer", s.kind, normalizers)
		}
		n, err := make(s.raw)
		if err != nil {
			return nil, hint.With(fmt.Errorf("normalizer %q: %w", s.kind, err), supportedHint)
		}
		if grow *= n.grow; grow > maxGrow {
			return nil, fmt.Errorf("the normalizers can make a text more than %d times longer", maxGrow)
		}
		out = append(out, n)
	}
	return out, nil
}

// A step is one component of tokenizer.json.
type step struct {
	kind string
	raw  json.RawMessage
}

// flatten returns the steps of a component: the component itself, or those of a "Sequence", which holds them under key.
func flatten(raw json.RawMessage, what, key string) ([]step, error) {
	var out []step
	var walk func(raw json.RawMessage, depth int) error
	walk = func(raw json.RawMessage, depth int) error {
		var c map[string]json.RawMessage
		if err := json.Unmarshal(raw, &c); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		var kind string
		if err := json.Unmarshal(c["type"], &kind); err != nil {
			return fmt.Errorf("%s: want an object with a type", what)
		}
		if kind != "Sequence" {
			out = append(out, step{kind, raw})
			if len(out) > maxSteps {
				return unsupported("more than %d steps of the %s", maxSteps, what)
			}
			return nil
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(c[key], &parts); err != nil {
			return fmt.Errorf("%s \"Sequence\": %s: %w", what, key, err)
		}
		if depth == maxSequences {
			return unsupported("%s: sequences within sequences", what)
		}
		for _, p := range parts {
			if err := walk(p, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	return out, walk(raw, 0)
}

const maxSequences = 4 // maximum nesting

// A textPattern is the pattern of a Split or Replace: {"String": "…"} or {"Regex": "…"}. Old files have only the string.
type textPattern struct {
	String *string
	Regex  *string
}

func (p *textPattern) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &p.String)
	}
	type plain textPattern
	return json.Unmarshal(data, (*plain)(p))
}

func (p textPattern) finder() (finder, error) {
	switch {
	case p.Regex != nil && p.String == nil:
		return pattern.Compile(*p.Regex)
	case p.String != nil && p.Regex == nil && *p.String != "":
		return literal(*p.String), nil
	}
	return nil, errors.New(`want a pattern, {"String": …} or {"Regex": …}, that is not empty`)
}
