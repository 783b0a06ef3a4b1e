package normal

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var forms = []struct {
	name  string
	apply func(string) string
}{{"NFC", NFC.String}, {"NFD", NFD.String}, {"NFKC", NFKC.String}, {"NFKD", NFKD.String}, {"Lowercase", Lower}}

// The forms must equal those of Hugging Face's tokenizers (scripts/tokenizers/fixtures.py).
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 400 {
		t.Fatalf("%d texts", len(rows))
	}
	for _, r := range rows {
		for i, f := range forms {
			if got := f.apply(r[0]); got != r[i+1] {
				t.Errorf("%s of %+q is %+q, want %+q", f.name, r[0], got, r[i+1])
			}
		}
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ in, nfc, nfd, nfkc, nfkd string }{
		{"é", "é", "e\u0301", "é", "e\u0301"},
		{"e\u0301", "é", "e\u0301", "é", "e\u0301"},
		{"한", "한", "\u1112\u1161\u11ab", "한", "\u1112\u1161\u11ab"},
		{"\u1112\u1161\u11ab", "한", "\u1112\u1161\u11ab", "한", "\u1112\u1161\u11ab"},
		{"ﬁ½", "ﬁ½", "ﬁ½", "fi1⁄2", "fi1⁄2"},
		{"a\u0301\u0323", "ạ\u0301", "a\u0323\u0301", "ạ\u0301", "a\u0323\u0301"},
		{"\U00020041\u0301", "\U00020041\u0301", "\U00020041\u0301", "\U00020041\u0301", "\U00020041\u0301"}, // no A
		{"\u0958", "\u0915\u093c", "\u0915\u093c", "\u0915\u093c", "\u0915\u093c"},                           // never composed
		{"e\xff\u0301", "e\xff\u0301", "e\xff\u0301", "e\xff\u0301", "e\xff\u0301"},
		{"\xe9e\u0301\xff", "\xe9é\xff", "\xe9e\u0301\xff", "\xe9é\xff", "\xe9e\u0301\xff"},
		{"\ufffde\u0301", "\ufffdé", "\ufffde\u0301", "\ufffdé", "\ufffde\u0301"},
		{"", "", "", "", ""},
	} {
		for i, want := range []string{c.nfc, c.nfd, c.nfkc, c.nfkd} {
			if got := forms[i].apply(c.in); got != want {
				t.Errorf("%s of %+q is %+q, want %+q", forms[i].name, c.in, got, want)
			}
		}
	}
}

// Applying a form twice must give the same result as applying it once.
func TestIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("ea\u0301\u0323\u0345\u0334ᄀ\u1161\u11a8가ﬁ")))).Draw(t, "s")
		for _, f := range forms {
			if once := f.apply(s); f.apply(once) != once {
				t.Fatalf("%s of %+q is %+q, and of that %+q", f.name, s, once, f.apply(once))
			}
		}
	})
}

func TestLongRunOfMarks(t *testing.T) {
	start := time.Now()
	NFC.String("e" + strings.Repeat("\u0301\u0323\u0334", 100_000))
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("a long run of accents took %v", took)
	}
}

// Every line of the table must have a known kind and valid numbers.
func TestTable(t *testing.T) {
	seen := map[string]int{}
	for line := range strings.Lines(tablesText) {
		fields := strings.Fields(line)
		seen[fields[0]]++
		for _, f := range fields[1:] {
			if _, err := strconv.ParseInt(f, 16, 32); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
		}
	}
	if len(seen) != 5 || seen["class"] < 100 || seen["canonical"] < 2000 || seen["compatible"] < 3000 || seen["compose"] < 900 || seen["lower"] < 1300 {
		t.Errorf("lines of each kind: %v", seen)
	}
}
