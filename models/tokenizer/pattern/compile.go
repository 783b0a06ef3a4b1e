package pattern

import (
	"errors"
	"fmt"
)

type code uint8

const (
	iClass  code = iota // one character of class
	iRun                // any number of characters of class, in the given mode
	iSplit              // try x, then y
	iJump               // go to x
	iLook               // look-around
	iAssert             // a position
	iMatch
)

type inst struct {
	code  code
	mode  mode // of iRun
	place byte // of iAssert
	class *class
	x, y  int
	look  *look
}

// A look is a look-around of fixed width: one of several sequences of classes.
type look struct {
	rows             [][]*class
	negative, behind bool
}

// maxProgram limits the work and the memory per byte of a text, and maxExpr the length of an expression.
const (
	maxProgram = 256
	maxExpr    = 16 << 10
)

// A Pattern is a compiled expression. It never changes, so any number of goroutines may use it.
type Pattern struct {
	expr  string
	prog  []inst
	first *class // the characters that a match can begin with
}

// Compile reads an expression. An expression that can match the empty string is refused, because implementations disagree
// on how it splits.
func Compile(expr string) (*Pattern, error) {
	if len(expr) > maxExpr {
		return nil, fmt.Errorf("pattern %q…: it has more than %d bytes", expr[:20], maxExpr)
	}
	p, err := compile(expr)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", expr, err)
	}
	return p, nil
}

func compile(expr string) (*Pattern, error) {
	n, err := parse(expr)
	if err != nil {
		return nil, err
	}
	first, empty := n.first()
	if empty {
		return nil, errors.New("it can match the empty string, which is not supported")
	}
	c := &compiler{classes: map[string]*class{}}
	if err := c.add(n); err != nil {
		return nil, err
	}
	c.emit(inst{code: iMatch})
	if len(c.prog) > maxProgram {
		return nil, errTooLong
	}
	return &Pattern{expr: expr, prog: c.prog, first: classOf(first)}, nil
}

var errTooLong = fmt.Errorf("it has more than %d steps", maxProgram)

// String returns the expression.
func (p *Pattern) String() string { return p.expr }

// first returns the characters that a match of n can begin with, and whether n can match the empty string.
func (n *node) first() (s set, empty bool) {
	switch n.op {
	case opClass:
		return n.set, false
	case opSeq:
		for _, sub := range n.subs {
			f, e := sub.first()
			if s = s.union(f); !e {
				return s, false
			}
		}
		return s, true
	case opAlt:
		for _, sub := range n.subs {
			f, e := sub.first()
			s, empty = s.union(f), empty || e
		}
		return s, empty
	case opRepeat:
		f, e := n.subs[0].first()
		return f, e || n.min == 0
	}
	return nil, true
}

type compiler struct {
	prog    []inst
	classes map[string]*class
}

func (c *compiler) emit(i inst) int {
	c.prog = append(c.prog, i)
	return len(c.prog) - 1
}

// class returns one class for equal sets, because a set of letters is large.
func (c *compiler) class(s set) *class {
	key := fmt.Sprint(s)
	if c.classes[key] == nil {
		c.classes[key] = classOf(s)
	}
	return c.classes[key]
}

func (c *compiler) add(n *node) error {
	if len(c.prog) > maxProgram {
		return errTooLong
	}
	switch n.op {
	case opClass:
		c.emit(inst{code: iClass, class: c.class(n.set)})
	case opSeq:
		for _, sub := range n.subs {
			if err := c.add(sub); err != nil {
				return err
			}
		}
	case opAlt:
		var ends []int
		for i, sub := range n.subs {
			split := -1
			if i < len(n.subs)-1 {
				split = c.emit(inst{code: iSplit, x: len(c.prog) + 1})
			}
			if err := c.add(sub); err != nil {
				return err
			}
			if split >= 0 {
				ends = append(ends, c.emit(inst{code: iJump}))
				c.prog[split].y = len(c.prog)
			}
		}
		for _, at := range ends {
			c.prog[at].x = len(c.prog)
		}
	case opRepeat:
		return c.repeat(n)
	case opLook:
		rows, err := c.rows(n.subs[0])
		if err != nil {
			return err
		}
		c.emit(inst{code: iLook, look: &look{rows, n.negative, n.behind}})
	case opAssert:
		c.emit(inst{code: iAssert, place: n.place})
	}
	return nil
}

func (c *compiler) repeat(n *node) error {
	sub := n.subs[0]
	for sub.op == opSeq && len(sub.subs) == 1 { // a group with one element
		sub = sub.subs[0]
	}
	if _, empty := sub.first(); empty {
		return unsupported("a quantifier of an expression that can match the empty string")
	}
	single := sub.op == opClass
	if n.mode == possessive && !single {
		return unsupported("a possessive quantifier of more than one character")
	}
	for range n.min {
		if err := c.add(sub); err != nil {
			return err
		}
	}
	switch {
	case n.max == unlimited && single:
		c.emit(inst{code: iRun, mode: n.mode, class: c.class(sub.set)})
	case n.max == unlimited:
		split := c.emit(inst{code: iSplit})
		if err := c.add(sub); err != nil {
			return err
		}
		c.emit(inst{code: iJump, x: split})
		c.fork(split, n.mode)
	case n.mode == possessive: // only ?+, because an interval is never possessive
		no := &look{rows: [][]*class{{c.class(sub.set)}}, negative: true}
		split := c.emit(inst{code: iSplit, x: len(c.prog) + 1})
		c.emit(inst{code: iClass, class: c.class(sub.set)})
		end := c.emit(inst{code: iJump})
		c.prog[split].y = c.emit(inst{code: iLook, look: no}) // continue without the character only if it is absent
		c.prog[end].x = len(c.prog)
	default:
		var splits []int
		for range n.max - n.min {
			splits = append(splits, c.emit(inst{code: iSplit}))
			if err := c.add(sub); err != nil {
				return err
			}
		}
		for _, split := range splits {
			c.fork(split, n.mode)
		}
	}
	return nil
}

// fork makes the split at pc choose between the following instruction and the end of the program.
func (c *compiler) fork(pc int, m mode) {
	c.prog[pc].x, c.prog[pc].y = pc+1, len(c.prog)
	if m == lazy {
		c.prog[pc].x, c.prog[pc].y = len(c.prog), pc+1
	}
}

// rows expands the body of a look-around into sequences of classes.
func (c *compiler) rows(n *node) ([][]*class, error) {
	switch n.op {
	case opClass:
		return [][]*class{{c.class(n.set)}}, nil
	case opSeq:
		var row []*class
		for _, sub := range n.subs {
			if sub.op != opClass {
				return nil, unsupported("look-around with anything other than sequences of characters")
			}
			row = append(row, c.class(sub.set))
		}
		return [][]*class{row}, nil
	case opAlt:
		var out [][]*class
		for _, sub := range n.subs {
			rows, err := c.rows(sub)
			if err != nil {
				return nil, err
			}
			out = append(out, rows...)
		}
		return out, nil
	}
	return nil, unsupported("look-around with anything other than sequences of characters")
}
