package pattern

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// pieces splits s at every match, and keeps matches and other parts.
func pieces(p *Pattern, s string, budget int) []string {
	var out []string
	last := 0
	for start, end := range p.all(s, budget) {
		if last < start {
			out = append(out, s[last:start])
		}
		out = append(out, s[start:end])
		last = end
	}
	if last < len(s) {
		out = append(out, s[last:])
	}
	return out
}

// Patterns must split as in Hugging Face's tokenizers (scripts/tokenizers/fixtures.py), with and without recording failed
// states.
func TestSplits(t *testing.T) {
	data, err := os.ReadFile("testdata/splits.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Pattern string
		Pieces  [][]string
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 25 {
		t.Fatalf("%d patterns", len(cases))
	}
	for _, c := range cases {
		p, err := Compile(c.Pattern)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, want := range c.Pieces {
			s := strings.Join(want, "")
			for _, budget := range []int{allowance, math.MinInt32} {
				if got := pieces(p, s, budget); !slices.Equal(got, want) {
					t.Errorf("%s with a budget of %d: %q becomes %q, want %q", c.Pattern, budget, s, got, want)
				}
			}
		}
	}
}

// Recording failed states must not change the result.
func TestMemoryChangesNothing(t *testing.T) {
	atoms := []string{"a", "b", "[ab]", "(?:a|ab)", "(?:ab)+", "a*", "b+?", "a?+", "[ab]*+", "(?!b)", "(?<=a)", "(?:a{1,2}b?|b)", "$", "c"}
	rapid.Check(t, func(t *rapid.T) {
		expr := strings.Join(rapid.SliceOfN(rapid.SampledFrom(atoms), 1, 6).Draw(t, "atoms"), rapid.SampledFrom([]string{"", "|", ""}).Draw(t, "joint"))
		p, err := Compile(expr)
		if err != nil {
			return
		}
		s := rapid.StringMatching(`[abc]{0,20}`).Draw(t, "s")
		if a, b := pieces(p, s, math.MaxInt32), pieces(p, s, math.MinInt32); !slices.Equal(a, b) {
			t.Fatalf("%s on %q: %q, and %q with memory", expr, s, a, b)
		}
	})
}

// Expressions that take exponential time in other engines must take time in proportion to the length of the text.
func TestHostile(t *testing.T) {
	long := strings.Repeat("a", 100_000)
	for _, c := range []struct{ expr, text string }{
		{`(?:a|a)*b`, long}, {`(?:a+)+b`, long}, {`(?:a|aa)+c`, long}, {`a*a*a*a*b`, long}, {`(?:a*b|a*c|a*d)`, long}, {`[^x]*x|.`, long}, {`a++b|a`, long},
		{`a*?a*?b|a`, long}, {`\s*\s*\s*[\r\n]|\s`, strings.Repeat(" ", 100_000)}, {`(?:[a-z]+\s?)+!`, strings.Repeat("word ", 20_000)}, {`(?:(?:a?a?a?a?)a)+b`, long},
	} {
		p, err := Compile(c.expr)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		start := time.Now()
		for range p.All(c.text) {
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: %v", c.expr, took)
		}
	}
}

func TestRefused(t *testing.T) {
	for expr, want := range map[string]string{
		`(a)\1`: `\1 is not supported`, `\p{Klingon}`: `\p{Klingon} is not supported`, `[[:alpha:]]`: "[:name:]", `(?>ab)`: "the group (?>",
		`(?:ab)++`: "possessive", `a**`: "a quantifier of a quantifier", `a*`: "match the empty string", `(?=a)`: "match the empty string", `a||b`: "match the empty string", ``: "match the empty string",
		`(?:a*)*b`: "a quantifier of an expression that can match the empty string", `(?=a+)b`: "look-around", `a{2}?`: "{2}?", `a{9,2}`: "the smaller one first", `a{1,1000}`: "up to 64",
		`(a`: "not closed", `a)`: "unmatched )", `[a`: "not closed", `[]a]`: "begins with ]", `a\`: "a backslash at the end", `*a`: "nothing before", `[z-a]`: "end is before its start",
		`(?i:ss)`: `"ss" in a case-insensitive group`, `(?i:é)`: "outside ASCII", `(?i:[^a])`: "negated", `\xZZ`: "hexadecimal", `\R`: `\R is not supported`, `\pL`: "without braces",
		`((((((a{64}){64}){64}){64}){64}){64})`: "more than 256 steps", strings.Repeat("(", 100) + "a" + strings.Repeat(")", 100): "deeper than", "\xff": "valid UTF-8", strings.Repeat("a", 20_000): "more than 16384 bytes",
		strings.Repeat("[", 100) + "a": "deeper than", `\b+a`: "a quantifier of a position",
	} {
		if p, err := Compile(expr); err == nil {
			t.Errorf("%s is accepted: %v", expr, p)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q, want %q in it", expr, err, want)
		}
	}
}

// Every line of the tables must be valid, and the categories must be disjoint.
func TestTables(t *testing.T) {
	for file, text := range map[string]string{"categories": categoriesText, "scripts": scriptsText} {
		last := -1
		for line := range strings.Lines(text) {
			fields := strings.Fields(line)
			s, ok := properties()[strings.ToLower(fields[len(fields)-1])]
			if len(fields) != 3 || !ok || len(s) == 0 {
				t.Fatalf("%s: line %q", file, line)
			}
			lo, hi := parseHex(t, fields[0]), parseHex(t, fields[1])
			if lo <= last || hi < lo || !s.has(rune(lo)) || !s.has(rune(hi)) {
				t.Fatalf("%s: line %q after %X", file, line, last)
			}
			last = hi
		}
	}
	white := 0
	for _, s := range escapes()['s'] {
		white += int(s.hi-s.lo) + 1
	}
	if white != 25 { // Unicode, PropList.txt
		t.Errorf("%d characters of white space, want 25", white)
	}
}

func parseHex(t *testing.T, s string) int {
	t.Helper()
	n := 0
	for _, r := range s {
		d := strings.IndexRune("0123456789ABCDEF", r)
		if d < 0 {
			t.Fatalf("%q is not a number", s)
		}
		n = n<<4 | d
	}
	return n
}

func FuzzCompile(f *testing.F) {
	f.Add(`(?i:'s|'t)|[^\r\n\p{L}]?\p{L}+|\s+(?!\S)`, "it's  \n")
	f.Add(`[a-z&&[^b]]{1,3}+|(?<=x)\x{41}$`, "abcxA")
	f.Fuzz(func(t *testing.T, expr, text string) {
		p, err := Compile(expr)
		if err != nil {
			return
		}
		last := 0
		for start, end := range p.All(text) {
			if start < last || end <= start || end > len(text) {
				t.Fatalf("%q on %q: a match from %d to %d after %d", expr, text, start, end, last)
			}
			last = end
		}
	})
}
