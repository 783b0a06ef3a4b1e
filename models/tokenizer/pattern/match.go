package pattern

import (
	"iter"
	"unicode/utf8"
)

// All yields the start and end of each match in s, from left to right and without overlaps.
func (p *Pattern) All(s string) iter.Seq2[int, int] { return p.all(s, allowance) }

// all is All with a different budget, for tests.
func (p *Pattern) all(s string, budget int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		m := matcher{Pattern: p, s: s, budget: budget}
		for start := 0; start < len(s); {
			n := p.first.next(s, start)
			if n > 0 {
				if end, ok := m.match(start); ok {
					if !yield(start, end) {
						return
					}
					start = end
					continue
				}
			} else {
				_, n = utf8.DecodeRuneInString(s[start:])
			}
			start += n
		}
	}
}

// A frame is a set of alternatives still to try: pc at each of at, at-1 character, … down to low.
type frame struct {
	pc, at, low int
	run         *class // a lazy run that may take one more character; the run itself is before pc
}

// A matcher is the state of matching one text.
//
// After the budget is spent, failed records states that must not be tried again: a program counter and a position. A state is
// recorded when it is entered. This is correct because nothing returns to a state that is still being tried, as every loop
// consumes a character, and because a state does not depend on how it was reached.
type matcher struct {
	*Pattern
	s      string
	stack  []frame
	work   int // steps so far
	budget int
	failed []uint64 // words bits for each position; nil until the budget is spent
	words  int
}

// allowance is the number of steps that a text may take before failed states are recorded, and perByte the number added for
// each processed byte. Patterns of real tokenizers take about ten steps per byte.
const allowance, perByte = 4096, 32

// enter reports whether a state should be tried.
func (m *matcher) enter(pc, at int) bool {
	m.work++
	if m.failed == nil {
		return true
	}
	word := &m.failed[at*m.words+pc/64]
	bit := uint64(1) << (pc % 64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// match returns the end of the match that begins at start.
func (m *matcher) match(start int) (int, bool) {
	m.stack = m.stack[:0]
	pc, at := 0, start
	for {
		if m.failed == nil && m.work > m.budget+perByte*start {
			m.words = (len(m.prog) + 63) / 64
			m.failed = make([]uint64, m.words*(len(m.s)+1))
		}
		end, ok := m.thread(pc, at)
		if ok {
			if m.failed != nil { // the states that led here have not failed, and may be entered again at the start of the next match
				clear(m.failed[end*m.words : (end+1)*m.words])
			}
			return end, true
		}
		if pc, at, ok = m.pop(); !ok {
			return 0, false
		}
	}
}

// pop returns the state to try next.
func (m *matcher) pop() (pc, at int, ok bool) {
	for len(m.stack) > 0 {
		f := &m.stack[len(m.stack)-1]
		pc, at = f.pc, f.at
		switch {
		case f.run != nil: // lazy: one more character
			n := f.run.next(m.s, at)
			if n == 0 || !m.enter(pc-1, at+n) {
				m.stack = m.stack[:len(m.stack)-1]
				continue
			}
			f.at += n
			at = f.at
		case f.at > f.low:
			_, n := utf8.DecodeLastRuneInString(m.s[:f.at])
			f.at -= n
		default:
			m.stack = m.stack[:len(m.stack)-1]
		}
		if c := m.prog[pc].code; c == iSplit || c == iRun || m.enter(pc, at) { // these two call enter themselves
			return pc, at, true
		}
	}
	return 0, 0, false
}

// thread follows the program from a state until it matches or fails, and pushes the alternatives on the way.
func (m *matcher) thread(pc, at int) (end int, ok bool) {
	for {
		i := &m.prog[pc]
		switch i.code {
		case iClass:
			n := i.class.next(m.s, at)
			if n == 0 {
				return 0, false
			}
			at += n
			pc++
		case iRun:
			var ok bool
			if at, ok = m.run(pc, at); !ok {
				return 0, false
			}
			pc++
		case iSplit:
			if !m.enter(pc, at) {
				return 0, false
			}
			m.stack = append(m.stack, frame{pc: i.y, at: at, low: at})
			pc = i.x
		case iJump:
			pc = i.x
		case iLook:
			if i.look.holds(m.s, at) == i.look.negative {
				return 0, false
			}
			pc++
		case iAssert:
			if !holds(i.place, m.s, at) {
				return 0, false
			}
			pc++
		case iMatch:
			return at, true
		}
	}
}

// run enters a run and returns the position after it.
func (m *matcher) run(pc, at int) (int, bool) {
	i := &m.prog[pc]
	if !m.enter(pc, at) {
		return 0, false
	}
	if i.mode == lazy {
		m.stack = append(m.stack, frame{pc: pc + 1, at: at, run: i.class})
		return at, true
	}
	low := at
	for {
		n := i.class.next(m.s, at)
		if n == 0 {
			break
		}
		if !m.enter(pc, at+n) { // the rest of the run has failed already
			if i.mode == possessive {
				return 0, false
			}
			break
		}
		at += n
	}
	if i.mode == greedy && at > low {
		_, n := utf8.DecodeLastRuneInString(m.s[low:at])
		m.stack = append(m.stack, frame{pc: pc + 1, at: at - n, low: low})
	}
	return at, true
}

// holds reports whether the sequences of classes match at a position, or before it.
func (l *look) holds(s string, at int) bool {
	for _, row := range l.rows {
		if l.behind && before(row, s, at) || !l.behind && after(row, s, at) {
			return true
		}
	}
	return false
}

func after(row []*class, s string, at int) bool {
	for _, c := range row {
		n := c.next(s, at)
		if n == 0 {
			return false
		}
		at += n
	}
	return true
}

func before(row []*class, s string, at int) bool {
	for i := len(row) - 1; i >= 0; i-- {
		r, n := utf8.DecodeLastRuneInString(s[:at])
		if n == 0 || !row[i].has(r) {
			return false
		}
		at -= n
	}
	return true
}

// holds reports whether a position satisfies the assertion of the given letter. Lines end at line feeds in every mode.
func holds(place byte, s string, at int) bool {
	switch place {
	case '^':
		return at == 0 || s[at-1] == '\n' && at < len(s)
	case '$':
		return at == len(s) || s[at] == '\n'
	case 'A':
		return at == 0
	case 'z':
		return at == len(s)
	case 'Z':
		return at == len(s) || s[at:] == "\n"
	}
	word := wordAlone()
	l, n := utf8.DecodeLastRuneInString(s[:at])
	r, k := utf8.DecodeRuneInString(s[at:])
	edge := (n > 0 && word.has(l)) != (k > 0 && word.has(r))
	return edge == (place == 'b')
}
