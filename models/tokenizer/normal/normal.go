package normal

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// A Form is one of the four normal forms of Unicode.
type Form struct{ compatible, compose bool }

// The forms are decomposed or composed, and with or without replacing compatible characters.
var (
	NFD  = Form{}
	NFC  = Form{compose: true}
	NFKD = Form{compatible: true}
	NFKC = Form{compatible: true, compose: true}
)

//go:embed tables.txt
var tablesText string

type tables struct {
	class                        map[rune]uint8
	canonical, compatible, lower map[rune]string
	compose                      map[[2]rune]rune
}

// loaded reads the tables, which are embedded in the program. A test reads every line.
var loaded = sync.OnceValue(func() *tables {
	t := &tables{map[rune]uint8{}, map[rune]string{}, map[rune]string{}, map[rune]string{}, map[[2]rune]rune{}}
	mappings := map[string]map[rune]string{"canonical": t.canonical, "compatible": t.compatible, "lower": t.lower}
	for line := range strings.Lines(tablesText) {
		fields := strings.Fields(line)
		numbers := make([]rune, 0, len(fields))
		for _, f := range fields[1:] {
			n, _ := strconv.ParseInt(f, 16, 32)
			numbers = append(numbers, rune(n))
		}
		switch kind := fields[0]; kind {
		case "class":
			k, _ := strconv.Atoi(fields[1])
			for r := numbers[1]; r <= numbers[2]; r++ {
				t.class[r] = uint8(k)
			}
		case "compose":
			t.compose[[2]rune{numbers[0], numbers[1]}] = numbers[2]
		default:
			mappings[kind][numbers[0]] = string(numbers[1:])
		}
	}
	return t
})

// Hangul syllables are computed: lead, vowel and trail are encoded in one number.
const (
	syllable, lead, vowel, trail = 0xAC00, 0x1100, 0x1161, 0x11A7
	leads, vowels, trails        = 19, 21, 28
)

// String returns s in the form.
func (f Form) String(s string) string {
	if ascii(s) {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	for s != "" {
		n := badUTF8(s)
		out.WriteString(s[:n]) // unchanged
		s = s[n:]
		n = goodUTF8(s)
		f.write(&out, s[:n])
		s = s[n:]
	}
	return out.String()
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// badUTF8 returns the length of the invalid UTF-8 at the start of s, and goodUTF8 the length of the valid UTF-8.
func badUTF8(s string) int {
	i := 0
	for i < len(s) {
		if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
			break
		}
		i++
	}
	return i
}

func goodUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && badUTF8(s[i:]) > 0 {
			return i
		}
	}
	return len(s)
}

func (f Form) write(out *strings.Builder, s string) {
	t := loaded()
	runes := t.decompose(f, s)
	t.order(runes)
	if f.compose {
		runes = t.composed(runes)
	}
	for _, r := range runes {
		out.WriteRune(r)
	}
}

func (t *tables) decompose(f Form, s string) []rune {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if i := r - syllable; 0 <= i && i < leads*vowels*trails {
			out = append(out, lead+i/(vowels*trails), vowel+i/trails%vowels)
			if k := i % trails; k > 0 {
				out = append(out, trail+k)
			}
			continue
		}
		d, ok := "", false
		if f.compatible {
			d, ok = t.compatible[r]
		}
		if !ok {
			d, ok = t.canonical[r]
		}
		if ok {
			out = append(out, []rune(d)...)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// order sorts each run of marks by combining class. Marks of the same class keep their order.
func (t *tables) order(runes []rune) {
	for i := 0; i < len(runes); {
		if t.class[runes[i]] == 0 {
			i++
			continue
		}
		end := i
		for end < len(runes) && t.class[runes[end]] != 0 {
			end++
		}
		slices.SortStableFunc(runes[i:end], func(a, b rune) int { return int(t.class[a]) - int(t.class[b]) })
		i = end
	}
}

// composed joins each mark with the letter before it, unless a mark between them blocks this.
func (t *tables) composed(runes []rune) []rune {
	out := runes[:0]
	starter := -1 // index in out of the last character of class 0
	last := uint8(0)
	for _, r := range runes {
		class := t.class[r]
		if starter >= 0 && (len(out)-1 == starter || last != 0 && last < class) {
			if c, ok := t.pair(out[starter], r); ok {
				out[starter] = c
				continue
			}
		}
		if class == 0 {
			starter = len(out)
		}
		out = append(out, r)
		last = class
	}
	return out
}

// pair returns the composition of two characters.
func (t *tables) pair(a, b rune) (rune, bool) {
	if l, v := a-lead, b-vowel; 0 <= l && l < leads && 0 <= v && v < vowels {
		return syllable + (l*vowels+v)*trails, true
	}
	if i, k := a-syllable, b-trail; 0 <= i && i < leads*vowels*trails && i%trails == 0 && 0 < k && k < trails {
		return a + k, true
	}
	c, ok := t.compose[[2]rune{a, b}]
	return c, ok
}

// Lower returns s with each character in lower case. A sigma at the end of a word is not a special case.
func Lower(s string) string {
	var out strings.Builder
	out.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if l, ok := loaded().lower[r]; ok {
			out.WriteString(l)
		} else {
			out.WriteString(s[i : i+n])
		}
		i += n
	}
	return out.String()
}
