package steer

import (
	"fmt"
	"strconv"
	"strings"
)

// Positions says at which tokens a memory is added. Position 0 is the beginning-of-text token.
type Positions struct {
	kind     int // 0 all, 1 last, 2 from-to
	from, to int
}

// AllPositions is the paper's choice; LastPosition adds the memory at the end of the prompt only.
var (
	AllPositions = Positions{}
	LastPosition = Positions{kind: 1}
)

// ParsePositions reads "all", "last", "A-B" (both included, counted from 0) or "A".
func ParsePositions(s string) (Positions, error) {
	switch s {
	case "all":
		return AllPositions, nil
	case "last":
		return LastPosition, nil
	}
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	from, err1 := strconv.ParseUint(a, 10, 31)
	to, err2 := strconv.ParseUint(b, 10, 31)
	if err1 != nil || err2 != nil || from > to {
		return Positions{}, fmt.Errorf("positions %q, want all, last, or a range such as 0-3", s)
	}
	return Positions{2, int(from), int(to)}, nil
}

func (p Positions) String() string {
	switch p.kind {
	case 0:
		return "all"
	case 1:
		return "last"
	}
	return fmt.Sprintf("%d-%d", p.from, p.to)
}

// Within returns the half-open range of positions in a prompt of n tokens.
func (p Positions) Within(n int) (from, to int, err error) {
	switch p.kind {
	case 0:
		return 0, n, nil
	case 1:
		return n - 1, n, nil
	}
	if p.to >= n {
		return 0, 0, fmt.Errorf("positions %v, the prompt has tokens 0 to %d", p, n-1)
	}
	return p.from, p.to + 1, nil
}
