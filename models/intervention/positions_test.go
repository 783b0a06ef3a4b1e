package intervention

import (
	"strings"
	"testing"
)

func TestParsePositions(t *testing.T) {
	for s, want := range map[string]Positions{
		"all": AllPositions, "last": LastPosition, "0-3": {kind: between, from: 0, to: 3}, "4": {kind: between, from: 4, to: 4},
		`text:"Machu \"P\""`: {kind: containing, text: `Machu "P"`}, "text:Peru": {kind: containing, text: "Peru"},
	} {
		got, err := ParsePositions(s)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
		if again, err := ParsePositions(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %v", s, got)
		}
	}
	for _, s := range []string{"", "first", "3-1", "-1", "1-", "1-2-3", "+1"} {
		if _, err := ParsePositions(s); err == nil || !strings.Contains(err.Error(), "want all, last, a range such as 0-3") {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := ParsePositions(`text:""`); err == nil {
		t.Error("an empty text is accepted")
	}
}

// The tokens of a text are all that hold a part of it; characters may be split between tokens.
func TestFind(t *testing.T) {
	pieces := [][]byte{[]byte("<s>"), []byte("land"), []byte(" of Ma"), []byte("chu"), []byte(" Pi\xc3"), []byte("\xb1"), []byte(" land")}
	for s, want := range map[string]string{"text:Machu": "2-3", "text: Piñ": "4-5", "text:chu": "3-3", "text:<s>": "0-0", "last": "last"} {
		p, err := ParsePositions(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Find(pieces); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v, want %s", s, got, err, want)
		}
	}
	for s, want := range map[string]string{"text:Peru": "does not contain", "text:land": "more than once"} {
		p, _ := ParsePositions(s)
		if _, err := p.Find(pieces); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", s, err)
		}
	}
}
