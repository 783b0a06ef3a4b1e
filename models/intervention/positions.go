package intervention

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Positions selects tokens of a prompt. Position 0 is the beginning-of-text token if the prompt has one.
type Positions struct {
	kind     kind
	from, to int
	text     string
}

type kind int

const (
	all kind = iota
	last
	between
	containing
	ending
)

// AllPositions is the paper's choice. LastPosition is the last token of the prompt.
var (
	AllPositions = Positions{}
	LastPosition = Positions{kind: last}
)

// ParsePositions reads "all", "last", "A-B" (both included, counted from 0), "A", `text:"SUBSTRING"`: the tokens that contain a
// part of the text, or `last:"SUBSTRING"`: the token that contains the end of the text, wherever the text occurs.
func ParsePositions(s string) (Positions, error) {
	switch s {
	case "all":
		return AllPositions, nil
	case "last":
		return LastPosition, nil
	}
	for prefix, kind := range map[string]kind{"text:": containing, "last:": ending} {
		text, ok := strings.CutPrefix(s, prefix)
		if !ok {
			continue
		}
		if unquoted, err := strconv.Unquote(text); err == nil {
			text = unquoted
		}
		if text == "" {
			return Positions{}, fmt.Errorf("positions %q: the text is empty", s)
		}
		return Positions{kind: kind, text: text}, nil
	}
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	from, err1 := strconv.ParseUint(a, 10, 31)
	to, err2 := strconv.ParseUint(b, 10, 31)
	if err1 != nil || err2 != nil || from > to {
		return Positions{}, fmt.Errorf("positions %q: want all, last, a range such as 0-3, text:\"SUBSTRING\", or last:\"SUBSTRING\"", s)
	}
	return Positions{kind: between, from: int(from), to: int(to)}, nil
}

func (p Positions) String() string {
	switch p.kind {
	case all:
		return "all"
	case last:
		return "last"
	case containing:
		return "text:" + strconv.Quote(p.text)
	case ending:
		return "last:" + strconv.Quote(p.text)
	}
	return fmt.Sprintf("%d-%d", p.from, p.to)
}

// LastOf returns the positions at which a text ends.
func LastOf(text string) Positions { return Positions{kind: ending, text: text} }

// EndOf returns the text at whose end the positions are. ok is false for other positions.
func (p Positions) EndOf() (text string, ok bool) { return p.text, p.kind == ending }

// InText reports whether the positions are given by a text, so that [Positions.Find] must be called before [Positions.Within].
func (p Positions) InText() bool { return p.kind == containing || p.kind == ending }

// Find returns the positions of a prompt of which pieces are the tokens' bytes: one range, or one position for each time that the
// text of last:"SUBSTRING" occurs. The text of text:"SUBSTRING" must occur exactly once. Other positions are returned as they are.
func (p Positions) Find(pieces [][]byte) ([]Positions, error) {
	if !p.InText() {
		return []Positions{p}, nil
	}
	whole := string(bytes.Join(pieces, nil))
	starts := occurrences(whole, p.text)
	switch {
	case len(starts) == 0:
		return nil, p.absent(whole)
	case len(starts) > 1 && p.kind == containing:
		return nil, fmt.Errorf("positions %v: the prompt contains the text more than once; give a range such as 0-3", p)
	}
	var out []Positions
	for _, start := range starts {
		found, at, end := Positions{kind: between, from: -1}, 0, start+len(p.text)
		for i, x := range pieces {
			if at < end && at+len(x) > start {
				if found.from < 0 || p.kind == ending {
					found.from = i
				}
				found.to = i
			}
			at += len(x)
		}
		if !slices.Contains(out, found) { // a token may contain the end of the text twice
			out = append(out, found)
		}
	}
	return out, nil
}

// occurrences returns where a text starts in another. They may overlap.
func occurrences(in, text string) (starts []int) {
	for at := 0; ; {
		i := strings.Index(in[at:], text)
		if i < 0 {
			return starts
		}
		starts = append(starts, at+i)
		at += i + 1
	}
}

// absent reports that a prompt does not contain the text, and what it contains: the text in another case, or the prompt itself.
func (p Positions) absent(prompt string) error {
	err := fmt.Errorf("positions %v: the prompt does not contain the text; it is %q", p, prompt)
	if i := strings.Index(strings.ToLower(prompt), strings.ToLower(p.text)); i >= 0 && i+len(p.text) <= len(prompt) && strings.EqualFold(prompt[i:i+len(p.text)], p.text) {
		return hint.With(err, fmt.Sprintf("it contains %q", prompt[i:i+len(p.text)]))
	}
	return err
}

// Within returns the half-open range of positions in a prompt of n tokens.
func (p Positions) Within(n int) (from, to int, err error) {
	switch p.kind {
	case all:
		return 0, n, nil
	case last:
		return n - 1, n, nil
	case containing, ending:
		return 0, 0, fmt.Errorf("positions %v are not known before the prompt's tokens are", p)
	}
	if p.to >= n {
		return 0, 0, fmt.Errorf("positions %v, the prompt has tokens 0 to %d", p, n-1)
	}
	return p.from, p.to + 1, nil
}
