package pattern

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type op uint8

const (
	opEmpty  op = iota
	opClass     // one character of set
	opSeq       // subs one after the other
	opAlt       // the first of subs that leads to a match
	opRepeat    // subs[0], min to max times
	opLook      // look-around: subs[0] matches here, or does not
	opAssert    // a position: ^ $ \A \z \Z \b \B
)

type mode uint8

const (
	greedy mode = iota
	lazy
	possessive
)

// A node is a part of an expression.
type node struct {
	op       op
	set      set
	subs     []*node
	min, max int // of opRepeat
	mode     mode
	negative bool // of opLook
	behind   bool // of opLook
	place    byte // of opAssert: the letter of the escape, or ^ or $
}

const unlimited = math.MaxInt32

// maxRepeat limits the numbers in {n,m}, which are expanded in the program. maxDepth limits nested groups.
const (
	maxRepeat = 64
	maxDepth  = 64
)

// A parser reads Oniguruma's own syntax.
type parser struct {
	in    string
	at    int
	depth int
	fold  bool // inside (?i:…)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%s is not supported in a pattern", fmt.Sprintf(format, args...))
}

func (p *parser) more() bool { return p.at < len(p.in) }

// take moves past s if the input continues with s.
func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.in[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *parser) rune() rune {
	r, n := utf8.DecodeRuneInString(p.in[p.at:])
	p.at += n
	return r
}

func parse(expr string) (*node, error) {
	if !utf8.ValidString(expr) {
		return nil, fmt.Errorf("want valid UTF-8, got %q", expr)
	}
	p := &parser{in: expr}
	if p.take("(?i)") {
		p.fold = true
	}
	n, err := p.alternatives()
	if err == nil && p.more() {
		err = fmt.Errorf("an unmatched ) at byte %d", p.at)
	}
	return n, err
}

func (p *parser) alternatives() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("groups are nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	alt := &node{op: opAlt}
	for {
		n, err := p.sequence()
		if err != nil {
			return nil, err
		}
		alt.subs = append(alt.subs, n)
		if !p.take("|") {
			break
		}
	}
	if len(alt.subs) == 1 {
		return alt.subs[0], nil
	}
	return alt, nil
}

func (p *parser) sequence() (*node, error) {
	seq := &node{op: opSeq}
	for p.more() && p.in[p.at] != '|' && p.in[p.at] != ')' {
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n, err = p.quantified(n); err != nil {
			return nil, err
		}
		seq.subs = append(seq.subs, n)
	}
	if p.fold {
		if err := checkFold(seq.subs); err != nil {
			return nil, err
		}
	}
	return seq, nil
}

// checkFold refuses neighbours that Oniguruma treats as one character in case-insensitive matching, such as "ss" for "ß".
func checkFold(subs []*node) error {
	for i := range len(subs) - 1 {
		for _, pair := range []string{"ss", "ff", "fi", "fl", "st"} {
			if a, b := subs[i], subs[i+1]; a.op == opClass && b.op == opClass && a.set.has(rune(pair[0])) && b.set.has(rune(pair[1])) {
				return unsupported("%q in a case-insensitive group", pair)
			}
		}
	}
	return nil
}

// quantified reads the quantifiers after an atom.
func (p *parser) quantified(n *node) (*node, error) {
	for first := true; ; first = false {
		start := p.at
		lo, hi, interval, ok, err := p.quantifier()
		if err != nil || !ok {
			return n, err
		}
		if !first {
			return nil, unsupported("%q, a quantifier of a quantifier,", p.in[start:p.at])
		}
		if n.op == opLook || n.op == opAssert {
			return nil, unsupported("a quantifier of a position")
		}
		n = &node{op: opRepeat, subs: []*node{n}, min: lo, max: hi}
		switch {
		case interval && p.more() && p.in[p.at] == '+': // not possessive after an interval: {1,3}+ repeats the group of {1,3}
			p.at++
			n = &node{op: opRepeat, subs: []*node{n}, min: 1, max: unlimited}
		case interval && lo == hi && p.more() && p.in[p.at] == '?':
			return nil, unsupported("%q", p.in[start:p.at+1])
		case p.take("+"):
			n.mode = possessive
		case p.take("?"):
			n.mode = lazy
		}
	}
}

func (p *parser) quantifier() (lo, hi int, interval, ok bool, err error) {
	switch {
	case p.take("?"):
		return 0, 1, false, true, nil
	case p.take("*"):
		return 0, unlimited, false, true, nil
	case p.take("+"):
		return 1, unlimited, false, true, nil
	case !p.more() || p.in[p.at] != '{':
		return 0, 0, false, false, nil
	}
	body, _, found := strings.Cut(p.in[p.at+1:], "}")
	left, right, comma := strings.Cut(body, ",")
	number := func(s string, missing int) int {
		if s == "" {
			return missing
		}
		n, err := strconv.Atoi(s)
		if err != nil || s[0] == '+' || s[0] == '-' {
			return -1
		}
		return n
	}
	lo, hi = number(left, 0), number(right, unlimited)
	if !comma {
		hi = lo
	}
	if !found || lo < 0 || hi < 0 || left == "" && right == "" {
		return 0, 0, false, false, nil // a literal brace
	}
	if lo > hi || lo > maxRepeat || hi > maxRepeat && hi != unlimited {
		return 0, 0, false, false, fmt.Errorf("{%s}: want numbers up to %d, the smaller one first", body, maxRepeat)
	}
	p.at += len(body) + 2
	return lo, hi, true, true, nil
}

func (p *parser) atom() (*node, error) {
	if !p.more() {
		return nil, fmt.Errorf("want a character, got the end")
	}
	switch {
	case p.take("("):
		return p.group()
	case p.take("["):
		s, err := p.class()
		return &node{op: opClass, set: s}, err
	case p.take("."):
		return &node{op: opClass, set: set{{'\n', '\n'}}.negate()}, nil
	case p.in[p.at] == '^' || p.in[p.at] == '$':
		p.at++
		return &node{op: opAssert, place: p.in[p.at-1]}, nil
	case p.in[p.at] == '*' || p.in[p.at] == '+' || p.in[p.at] == '?':
		return nil, fmt.Errorf("nothing before %q at byte %d", p.in[p.at], p.at)
	case p.in[p.at] == '\\':
		if p.at+1 < len(p.in) && strings.IndexByte("AzZbB", p.in[p.at+1]) >= 0 {
			p.at += 2
			return &node{op: opAssert, place: p.in[p.at-1]}, nil
		}
		p.at++
		letter := p.in[p.at:min(p.at+1, len(p.in))]
		s, _, err := p.escape()
		switch letter {
		case "w":
			s = wordAlone()
		case "W":
			s = wordAlone().negate()
		}
		if err == nil && p.fold {
			s, err = p.folded(s)
		}
		return &node{op: opClass, set: s}, err
	}
	r := p.rune()
	s := set{{r, r}}
	if p.fold {
		var err error
		if s, err = p.folded(s); err != nil {
			return nil, err
		}
	}
	return &node{op: opClass, set: s}, nil
}

// folded returns s with the other cases of its letters. Letters outside ASCII are not supported, because some have cases of
// several characters.
func (p *parser) folded(s set) (set, error) {
	for _, x := range s {
		if x.hi >= utf8.RuneSelf {
			return nil, unsupported("a character outside ASCII in a case-insensitive group")
		}
	}
	return s.folded(), nil
}

// group reads the part after a parenthesis.
func (p *parser) group() (*node, error) {
	fold := p.fold
	defer func() { p.fold = fold }()
	look := &node{op: opLook}
	switch {
	case !p.take("?"): // a group that would be captured
	case p.take(":"):
	case p.take("i:"):
		p.fold = true
	case p.take("-i:"):
		p.fold = false
	case p.take("="):
		return p.look(look)
	case p.take("!"):
		look.negative = true
		return p.look(look)
	case p.take("<="):
		look.behind = true
		return p.look(look)
	case p.take("<!"):
		look.behind, look.negative = true, true
		return p.look(look)
	default:
		end := min(p.at+2, len(p.in))
		return nil, unsupported("the group (?%s…)", p.in[p.at:end])
	}
	n, err := p.alternatives()
	if err == nil && !p.take(")") {
		err = fmt.Errorf("a group is not closed")
	}
	return n, err
}

func (p *parser) look(look *node) (*node, error) {
	n, err := p.alternatives()
	if err == nil && !p.take(")") {
		err = fmt.Errorf("a group is not closed")
	}
	look.subs = []*node{n}
	return look, err
}

// controls are the escapes of one control character.
var controls = map[byte]rune{'n': '\n', 't': '\t', 'r': '\r', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1b}

// escape reads the part after a backslash. single means that it is one character, which may begin a range.
func (p *parser) escape() (s set, single bool, err error) {
	if !p.more() {
		return nil, false, fmt.Errorf("a backslash at the end")
	}
	r := p.rune()
	one := func(r rune) (set, bool, error) { return set{{r, r}}, true, nil }
	if r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return one(r)
	}
	b := byte(r)
	if c, ok := controls[b]; ok {
		return one(c)
	}
	if s, ok := escapes()[b|0x20]; ok {
		if b < 'a' {
			s = s.negate()
		}
		return s, false, nil
	}
	switch b {
	case 'x', 'u':
		return p.hex(b)
	case 'p', 'P':
		name, _, ok := strings.Cut(p.in[p.at:], "}")
		if !ok || !strings.HasPrefix(name, "{") {
			return nil, false, unsupported(`\%c without braces`, b)
		}
		p.at += len(name) + 1
		s, err := property(name[1:])
		if b == 'P' {
			s = s.negate()
		}
		return s, false, err
	}
	return nil, false, unsupported(`\%c`, b)
}

// hex reads \x41, \x{41} and \u0041.
func (p *parser) hex(kind byte) (set, bool, error) {
	digits := ""
	switch {
	case kind == 'x' && p.take("{"):
		body, _, _ := strings.Cut(p.in[p.at:], "}")
		digits = body
		p.at += len(body) + 1
	case kind == 'x':
		for len(digits) < 2 && p.more() && strings.IndexByte("0123456789abcdefABCDEF", p.in[p.at]) >= 0 {
			digits += string(p.in[p.at])
			p.at++
		}
	default:
		digits = p.in[p.at:min(p.at+4, len(p.in))]
		p.at += len(digits)
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || p.at > len(p.in) || kind == 'u' && len(digits) != 4 || !utf8.ValidRune(rune(n)) {
		return nil, false, fmt.Errorf(`\%c: want the number of a character in hexadecimal, got %q`, kind, digits)
	}
	return set{{rune(n), rune(n)}}, true, nil
}

// class reads the part after a bracket. A class may contain others, whose characters it adds, and && keeps the characters
// that both sides have in common.
func (p *parser) class() (set, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("classes are nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	negative := p.take("^")
	var whole set
	var spans []span
	both := false
	finish := func() set {
		if both {
			return whole.intersect(setOf(spans...))
		}
		return setOf(spans...)
	}
	for first := true; ; first = false {
		if !p.more() {
			return nil, fmt.Errorf("a class is not closed")
		}
		switch {
		case p.take("[:"):
			return nil, unsupported("[:name:]")
		case p.take("["):
			s, err := p.class()
			if err != nil {
				return nil, err
			}
			spans = append(spans, s...)
			continue
		case p.take("&&"):
			whole, both, spans = finish(), true, nil
			continue
		case first && p.in[p.at] == ']':
			return nil, unsupported("a class that begins with ]")
		case p.take("]"):
			out := finish()
			if p.fold {
				var err error
				if negative {
					err = unsupported("a negated class in a case-insensitive group")
				} else {
					out, err = p.folded(out)
				}
				if err != nil {
					return nil, err
				}
			}
			if negative {
				out = out.negate()
			}
			return out, nil
		}
		lo, single, err := p.member()
		if err != nil {
			return nil, err
		}
		rest := p.in[p.at:]
		if !single || !strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "-]") {
			spans = append(spans, lo...)
			continue
		}
		p.at++
		hi, single, err := p.member()
		switch {
		case err != nil:
			return nil, err
		case !single || hi[0].lo < lo[0].lo:
			return nil, fmt.Errorf("a range in a class whose end is before its start or is a class")
		}
		spans = append(spans, span{lo[0].lo, hi[0].lo})
	}
}

// member reads one character or escape of a class.
func (p *parser) member() (set, bool, error) {
	if p.take(`\`) {
		return p.escape()
	}
	if !p.more() {
		return nil, false, fmt.Errorf("a class is not closed")
	}
	r := p.rune()
	return set{{r, r}}, true, nil
}
