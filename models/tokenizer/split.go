package tokenizer

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/models/tokenizer/pattern"
)

// A splitter is a pre-tokenizer: it cuts a text into pieces, which merging never joins. It may also change them. first
// means that the text begins at the beginning of the whole text.
type splitter interface {
	split(s string, first bool, yield func(piece string, first bool))
}

// splitters lists the kinds that tokenizer.json may name.
var splitters = map[string]func(json.RawMessage) (splitter, error){
	"Split":           parseSplit,
	"ByteLevel":       parseByteLevel,
	"Metaspace":       parseMetaspace,
	"Digits":          parseDigits,
	"Punctuation":     parsePunctuation,
	"Whitespace":      func(json.RawMessage) (splitter, error) { return words() },
	"WhitespaceSplit": func(json.RawMessage) (splitter, error) { return spaces() },
}

// A finder finds the places at which a text is split, from left to right.
type finder interface {
	All(s string) iter.Seq2[int, int]
}

// literal finds one string.
type literal string

func (l literal) All(s string) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for at := 0; ; at += len(l) {
			i := strings.Index(s[at:], string(l))
			if i < 0 {
				return
			}
			at += i
			if !yield(at, at+len(l)) {
				return
			}
		}
	}
}

// A splitBy splits a text at the matches of find.
type splitBy struct {
	find     finder
	invert   bool // split between the matches
	behavior string
}

// The behaviors define what happens to the matched text.
const (
	removed            = "Removed"
	isolated           = "Isolated" // a separate piece
	mergedWithPrevious = "MergedWithPrevious"
	mergedWithNext     = "MergedWithNext"
	contiguous         = "Contiguous" // like Isolated, with adjacent matches in one piece
)

var behaviors = []string{removed, isolated, mergedWithPrevious, mergedWithNext, contiguous}

func parseSplit(raw json.RawMessage) (splitter, error) {
	var c struct {
		Pattern  textPattern `json:"pattern"`
		Behavior string      `json:"behavior"`
		Invert   bool        `json:"invert"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if !slices.Contains(behaviors, c.Behavior) {
		return nil, fmt.Errorf("want a behavior of %s, got %q", strings.Join(behaviors, ", "), c.Behavior)
	}
	f, err := c.Pattern.finder()
	return splitBy{f, c.Invert, c.Behavior}, err
}

func parseDigits(raw json.RawMessage) (splitter, error) {
	var c struct {
		Individual bool `json:"individual_digits"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	f, err := pattern.Compile(`[\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}]`) // Digits uses a later version of Unicode than patterns
	if c.Individual {
		return splitBy{f, false, isolated}, err
	}
	return splitBy{f, false, contiguous}, err
}

func parsePunctuation(raw json.RawMessage) (splitter, error) {
	c := struct {
		Behavior string `json:"behavior"`
	}{isolated}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	if !slices.Contains(behaviors, c.Behavior) {
		return nil, fmt.Errorf("want a behavior of %s, got %q", strings.Join(behaviors, ", "), c.Behavior)
	}
	f, err := pattern.Compile(punctuation)
	return splitBy{f, false, c.Behavior}, err
}

func words() (splitter, error) {
	f, err := pattern.Compile(`[\w\x{200C}\x{200D}]+|[^\w\x{200C}\x{200D}\s]+`)
	return splitBy{f, true, removed}, err
}

func spaces() (splitter, error) {
	f, err := pattern.Compile(`\s`)
	return splitBy{f, false, removed}, err
}

// A part of a text is a match, or the text between matches.
type part struct {
	start, end int
	found      bool
}

func (x splitBy) split(s string, first bool, yield func(string, bool)) {
	give := func(p part) { yield(s[p.start:p.end], first && p.start == 0) }
	var room [32]part
	parts := room[:0]
	last := 0
	add := func(start, end int, found bool) {
		if start == end {
			return
		}
		p := part{start, end, found != x.invert}
		switch x.behavior {
		case isolated:
			give(p)
		case removed:
			if !p.found {
				give(p)
			}
		default:
			parts = append(parts, p)
		}
	}
	for start, end := range x.find.All(s) {
		add(last, start, false)
		add(start, end, true)
		last = end
	}
	add(last, len(s), false)
	for _, p := range join(parts, x.behavior) {
		give(p)
	}
}

// join joins parts that the behavior combines into one piece.
func join(parts []part, behavior string) []part {
	if behavior == mergedWithNext {
		slices.Reverse(parts)
	}
	out := parts[:0]
	before := false // the previous part is a match
	for _, p := range parts {
		n := len(out)
		joins := n > 0 && p.found && !before
		if behavior == contiguous {
			joins = n > 0 && p.found == before
		}
		if joins {
			out[n-1].start, out[n-1].end = min(out[n-1].start, p.start), max(out[n-1].end, p.end)
		} else {
			out = append(out, p)
		}
		before = p.found
	}
	if behavior == mergedWithNext {
		slices.Reverse(out)
	}
	return out
}

// gpt2Pattern is the pattern by which GPT-2 splits, and the default of every ByteLevel.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

var gpt2Split = sync.OnceValue(func() *pattern.Pattern {
	p, err := pattern.Compile(gpt2Pattern)
	if err != nil {
		panic(err) // a constant
	}
	return p
})

// byteLevel writes each byte as the character that represents it.
type byteLevel struct {
	prefix bool // a text that does not begin with a space gets one
	regex  bool // first split like GPT-2
}

func parseByteLevel(raw json.RawMessage) (splitter, error) {
	c := struct {
		Prefix bool `json:"add_prefix_space"`
		Regex  bool `json:"use_regex"`
	}{Regex: true} // absent in older files
	err := json.Unmarshal(raw, &c)
	return byteLevel{c.Prefix, c.Regex}, err
}

func (x byteLevel) split(s string, first bool, yield func(string, bool)) {
	if x.prefix && s[0] != ' ' {
		s = " " + s
	}
	if !x.regex {
		yield(toSymbols(s), first)
		return
	}
	last := 0
	for start, end := range gpt2Split().All(s) { // its matches cover every text
		yield(toSymbols(s[start:end]), first && start == 0)
		last = end
	}
	if last < len(s) {
		yield(toSymbols(s[last:]), first && last == 0)
	}
}

// metaspace writes spaces as a visible character, and adds one at the front.
type metaspace struct {
	mark   string
	scheme string // when to add the one at the front: always, never, first
	apart  bool   // pieces begin at each mark
}

func parseMetaspace(raw json.RawMessage) (splitter, error) {
	c := struct {
		Mark   string  `json:"replacement"`
		Prefix *bool   `json:"add_prefix_space"`
		Scheme *string `json:"prepend_scheme"`
		Apart  bool    `json:"split"`
	}{Apart: true}
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, err
	}
	scheme := "always"
	switch {
	case c.Scheme != nil:
		scheme = *c.Scheme
	case c.Prefix != nil && !*c.Prefix: // older files, without the scheme
		scheme = "never"
	}
	switch {
	case utf8.RuneCountInString(c.Mark) != 1:
		return nil, fmt.Errorf("want a replacement of one character, got %q", c.Mark)
	case scheme != "always" && scheme != "never" && scheme != "first":
		return nil, fmt.Errorf("want a prepend_scheme of always, never, first, got %q", scheme)
	case c.Prefix != nil && !*c.Prefix && scheme != "never":
		return nil, fmt.Errorf("add_prefix_space is false, but prepend_scheme is %q", scheme)
	}
	return metaspace{c.Mark, scheme, c.Apart}, nil
}

func (x metaspace) split(s string, first bool, yield func(string, bool)) {
	s = strings.ReplaceAll(s, " ", x.mark)
	if !strings.HasPrefix(s, x.mark) && (x.scheme == "always" || x.scheme == "first" && first) {
		s = x.mark + s
	}
	if !x.apart {
		yield(s, first)
		return
	}
	splitBy{literal(x.mark), false, mergedWithNext}.split(s, first, yield)
}

// parsePreTokenizer reads the pre-tokenizer of tokenizer.json, which may be null, and returns its steps.
func parsePreTokenizer(raw json.RawMessage) ([]splitter, error) {
	steps, err := flatten(raw, "pre-tokenizer", "pretokenizers")
	if err != nil {
		return nil, err
	}
	var out []splitter
	seen := map[string]bool{}
	for _, s := range steps {
		make, ok := splitters[s.kind]
		if !ok {
			return nil, unknownKind("pre-tokenizer", s.kind, splitters)
		}
		x, err := make(s.raw)
		if err != nil {
			return nil, hint.With(fmt.Errorf("pre-tokenizer %q: %w", s.kind, err), supportedHint)
		}
		if (s.kind == "ByteLevel" || s.kind == "Metaspace") && seen[s.kind] {
			return nil, unsupported("pre-tokenizer %q twice", s.kind) // each makes a text longer
		}
		seen[s.kind] = true
		out = append(out, x)
	}
	return out, nil
}

// punctuation is the pattern of the pre-tokenizer "Punctuation": the symbols of ASCII, and the punctuation of an older
// version of Unicode, without the characters of newPunctuation.
const punctuation = "[[\\p{P}&&[^" + newPunctuation + "]]$+<=>^`|~\\x{166D}\\x{111C9}]"

const newPunctuation = `\x{61D}\x{9FD}\x{A76}\x{C77}\x{C84}\x{1B4E}-\x{1B4F}\x{1B7D}-\x{1B7F}\x{2E43}-\x{2E4F}\x{2E52}-\x{2E5D}` +
	`\x{10D6E}\x{10EAD}\x{10F55}-\x{10F59}\x{10F86}-\x{10F89}\x{113D4}-\x{113D5}\x{113D7}-\x{113D8}` +
	`\x{1144B}-\x{1144F}\x{1145A}-\x{1145B}\x{1145D}\x{11660}-\x{1166C}\x{116B9}\x{1183B}\x{11944}-\x{11946}` +
	`\x{119E2}\x{11A3F}-\x{11A46}\x{11A9A}-\x{11A9C}\x{11A9E}-\x{11AA2}\x{11B00}-\x{11B09}\x{11BE1}` +
	`\x{11C41}-\x{11C45}\x{11C70}-\x{11C71}\x{11EF7}-\x{11EF8}\x{11F43}-\x{11F4F}\x{11FFF}\x{12FF1}-\x{12FF2}` +
	`\x{16D6D}-\x{16D6F}\x{16E97}-\x{16E9A}\x{16FE2}\x{1E5FF}\x{1E95E}-\x{1E95F}`
