package pattern

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A span is a range of code points, including both ends.
type span struct{ lo, hi rune }

// A set is a sorted list of spans with gaps between them.
type set []span

// setOf sorts spans and joins adjacent ones.
func setOf(spans ...span) set {
	slices.SortFunc(spans, func(a, b span) int { return int(a.lo - b.lo) })
	var out set
	for _, s := range spans {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

func (s set) union(t set) set { return setOf(slices.Concat(s, t)...) }

func (s set) negate() set {
	var out set
	next := rune(0)
	for _, x := range s {
		if x.lo > next {
			out = append(out, span{next, x.lo - 1})
		}
		next = x.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, span{next, unicode.MaxRune})
	}
	return out
}

func (s set) intersect(t set) set { return s.negate().union(t.negate()).negate() }

func (s set) has(r rune) bool {
	lo, hi := 0, len(s)
	for lo < hi {
		if mid := (lo + hi) / 2; s[mid].hi < r {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(s) && s[lo].lo <= r
}

// A class is a set in a form for fast membership tests.
type class struct {
	ascii [utf8.RuneSelf]bool
	set   set
}

func classOf(s set) *class {
	c := &class{set: s}
	for r := range c.ascii {
		c.ascii[r] = s.has(rune(r))
	}
	return c
}

func (c *class) has(r rune) bool {
	if r < utf8.RuneSelf {
		return c.ascii[r]
	}
	return c.set.has(r)
}

// next returns the size of the character of s at i if it is in the class, else 0. A byte that is not UTF-8 counts as
// U+FFFD.
func (c *class) next(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	if s[i] < utf8.RuneSelf {
		if c.ascii[s[i]] {
			return 1
		}
		return 0
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	if !c.set.has(r) {
		return 0
	}
	return n
}

// A Class is a class of characters, for code that splits by character.
type Class struct{ c *class }

// Has reports whether a character is in the class.
func (c Class) Has(r rune) bool { return c.c.has(r) }

// ClassOf reads one class, as in an expression: `\s`, `\p{N}`, `[a-z]`.
func ClassOf(expr string) (Class, error) {
	p := &parser{in: expr}
	n, err := p.atom()
	if err == nil && (n.op != opClass || p.at < len(p.in)) {
		err = fmt.Errorf("want one class of characters, got %q", expr)
	}
	if err != nil {
		return Class{}, err
	}
	return Class{classOf(n.set)}, nil
}

//go:embed categories.txt
var categoriesText string

//go:embed scripts.txt
var scriptsText string

// properties are the sets of \p{…}, by name in lower case.
var properties = sync.OnceValue(func() map[string]set {
	spans := map[string][]span{}
	var assigned []span
	read := func(text string, each func(s span, name string)) {
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			lo, _ := strconv.ParseInt(fields[0], 16, 32) // the tables are embedded in the program, and tests check them
			hi, _ := strconv.ParseInt(fields[1], 16, 32)
			each(span{rune(lo), rune(hi)}, strings.ToLower(fields[2]))
		}
	}
	read(categoriesText, func(s span, name string) {
		spans[name] = append(spans[name], s)
		spans[name[:1]] = append(spans[name[:1]], s)
		assigned = append(assigned, s)
	})
	read(scriptsText, func(s span, name string) { spans[name] = append(spans[name], s) })
	out := map[string]set{"any": {{0, unicode.MaxRune}}, "assigned": setOf(assigned...)}
	for name, list := range spans {
		out[name] = setOf(list...)
	}
	out["cn"] = out["assigned"].negate()
	out["c"] = out["c"].union(out["cn"])
	for long, short := range map[string]string{
		"letter": "l", "mark": "m", "number": "n", "punctuation": "p", "symbol": "s", "separator": "z", "other": "c",
		"uppercaseletter": "lu", "lowercaseletter": "ll", "titlecaseletter": "lt", "modifierletter": "lm", "otherletter": "lo", "decimalnumber": "nd",
	} {
		out[long] = out[short]
	}
	return out
})

// property returns the set of a name in \p{…}. Case, spaces, hyphens and underscores in the name are ignored.
func property(name string) (set, error) {
	key := strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(name))
	negate := strings.HasPrefix(key, "^")
	s, ok := properties()[strings.TrimPrefix(key, "^")]
	if !ok {
		return nil, unsupported(`\p{%s}`, name)
	}
	if negate {
		s = s.negate()
	}
	return s, nil
}

// escapes are the classes of one-letter escapes. The upper-case letter is the complement.
var escapes = sync.OnceValue(func() map[byte]set {
	p := properties()
	circled := set{{0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}} // alphabetic symbols
	word := slices.Concat(p["l"], p["m"], p["nd"], p["nl"], p["pc"], circled)
	return map[byte]set{
		's': p["z"].union(set{{'\t', '\r'}, {0x85, 0x85}}),
		'd': p["nd"],
		'w': setOf(word...),
		'h': {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
	}
})

// latinWord are the numbers of Latin-1, which Oniguruma includes in \w outside brackets, and only there.
var latinWord = set{{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}}

// wordAlone is \w outside brackets.
var wordAlone = sync.OnceValue(func() set { return escapes()['w'].union(latinWord) })

// folded adds the characters that differ from those of s only in case.
func (s set) folded() set {
	out := slices.Clone(s)
	for _, x := range s {
		for r := x.lo; r <= x.hi; r++ {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				out = append(out, span{f, f})
			}
		}
	}
	return setOf(out...)
}
