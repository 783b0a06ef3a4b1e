package intervention

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

func TestParsePositions(t *testing.T) {
	for s, want := range map[string]Positions{
		"all": AllPositions, "last": LastPosition, "0-3": {kind: between, from: 0, to: 3}, "4": {kind: between, from: 4, to: 4},
		`text:"Machu \"P\""`: {kind: containing, text: `Machu "P"`}, "text:Peru": {kind: containing, text: "Peru"},
		`last:"of Peru"`: LastOf("of Peru"), "last:Peru": {kind: ending, text: "Peru"},
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
	for _, s := range []string{`text:""`, "last:"} {
		if _, err := ParsePositions(s); err == nil {
			t.Errorf("%s: an empty text is accepted", s)
		}
	}
}

// The tokens of a text are all that hold a part of it; characters may be split between tokens. A text ends at one token, as often
// as it occurs.
func TestFind(t *testing.T) {
	pieces := [][]byte{[]byte("<s>"), []byte("land"), []byte(" of Ma"), []byte("chu"), []byte(" Pi\xc3"), []byte("\xb1"), []byte(" land"), []byte("ananas")}
	for s, want := range map[string]string{
		"text:Machu": "2-3", "text: Piñ": "4-5", "text:chu": "3-3", "text:<s>": "0-0", "last": "last",
		"last:land of Machu": "3-3", "last: Piñ": "5-5", "last:of M": "2-2", "last:land": "1-1 6-6", "last:an": "1-1 6-6 7-7",
	} {
		p, err := ParsePositions(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Find(pieces)
		if err != nil || strings.Trim(fmt.Sprint(got), "[]") != want {
			t.Errorf("%s: got %v, %v, want %s", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"text:Peru": "does not contain the text; it is \"<s>land of Machu Piñ landananas\"", "text:land": "more than once", "last:Peru": "does not contain",
		"last:Land of": "it contains \"land of\"",
	} {
		p, _ := ParsePositions(s)
		if _, err := p.Find(pieces); err == nil || !strings.Contains(err.Error()+hint.Of(err), want) {
			t.Errorf("%s: %v", s, err)
		}
	}
}
