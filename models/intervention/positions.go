package intervention

import (
	"fmt"
	"strconv"
	"strings"
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
)

// AllPositions is the paper's choice. LastPosition is the last token of the prompt.
var (
	AllPositions = Positions{}
	LastPosition = Positions{kind: last}
)

// ParsePositions reads "all", "last", "A-B" (both included, counted from 0), "A", or `text:"SUBSTRING"`: the tokens that contain
// a part of the text.
func ParsePositions(s string) (Positions, error) {
	switch s {
	case "all":
		return AllPositions, nil
	case "last":
		return LastPosition, nil
	}
	if text, ok := strings.CutPrefix(s, "text:"); ok {
		if unquoted, err := strconv.Unquote(text); err == nil {
			text = unquoted
		}
		if text == "" {
			return Positions{}, fmt.Errorf("positions %q: the text is empty", s)
		}
		return Positions{kind: containing, text: text}, nil
	}
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	from, err1 := strconv.ParseUint(a, 10, 31)
	to, err2 := strconv.ParseUint(b, 10, 31)
	if err1 != nil || err2 != nil || from > to {
		return Positions{}, fmt.Errorf("positions %q: want all, last, a range such as 0-3, or text:\"SUBSTRING\"", s)
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
	}
	return fmt.Sprintf("%d-%d", p.from, p.to)
}

// InText reports whether the positions are given by a text, so that [Positions.Find] must be called before [Positions.Within].
func (p Positions) InText() bool { return p.kind == containing }

// Find returns the positions of a prompt of which pieces are the tokens' bytes. The text must occur exactly once. Other positions
// are returned as they are.
func (p Positions) Find(pieces [][]byte) (Positions, error) {
	if p.kind != containing {
		return p, nil
	}
	var whole []byte
	for _, x := range pieces {
		whole = append(whole, x...)
	}
	text := string(whole)
	start := strings.Index(text, p.text)
	switch {
	case start < 0:
		return Positions{}, fmt.Errorf("positions %v: the prompt does not contain the text", p)
	case strings.Contains(text[start+1:], p.text):
		return Positions{}, fmt.Errorf("positions %v: the prompt contains the text more than once; give a range such as 0-3", p)
	}
	found, at, end := Positions{kind: between, from: -1}, 0, start+len(p.text)
	for i, x := range pieces {
		if at < end && at+len(x) > start {
			if found.from < 0 {
				found.from = i
			}
			found.to = i
		}
		at += len(x)
	}
	return found, nil
}

// Within returns the half-open range of positions in a prompt of n tokens.
func (p Positions) Within(n int) (from, to int, err error) {
	switch p.kind {
	case all:
		return 0, n, nil
	case last:
		return n - 1, n, nil
	case containing:
		return 0, 0, fmt.Errorf("positions %v are not known before the prompt's tokens are", p)
	}
	if p.to >= n {
		return 0, 0, fmt.Errorf("positions %v, the prompt has tokens 0 to %d", p, n-1)
	}
	return p.from, p.to + 1, nil
}
