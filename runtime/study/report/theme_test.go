package report

import (
	"image/color"
	"testing"

	"gonum.org/v1/plot/palette/brewer"
)

// TestSteps holds the light steps to the library that knows ColorBrewer's scales. The library itself stays out of the program: it
// makes all of its palettes when a program starts.
func TestSteps(t *testing.T) {
	p, err := brewer.GetPalette(brewer.TypeDiverging, "RdBu", len(steps))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range p.Colors() {
		if s := steps[len(steps)-1-i]; s.light != color.NRGBAModel.Convert(want) {
			t.Errorf("%s is %v, want %v", s.name, s.light, want)
		}
	}
}
