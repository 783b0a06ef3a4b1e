package report

import (
	"image/color"
	"testing"

	"gonum.org/v1/plot/palette/brewer"
)

// TestSteps compares the light steps with the library that contains ColorBrewer's scales. The program does not import the
// library, because it creates all of its palettes when a program starts.
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
