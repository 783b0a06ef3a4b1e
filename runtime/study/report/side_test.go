package report

import (
	"math"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// The page shows the side effects of the best cell, weighted by positions and tokens, and no section when none were measured.
func TestSideEffects(t *testing.T) {
	run := made(usual)
	if page := render(t, []*results.Run{run}, Options{}); strings.Contains(page, "side-effects") {
		t.Error("a run without side effects has the section")
	}
	s := allSeries(t, run)[0]
	best, _, _ := s.Chosen()
	run.Manifest.SideEffects = results.SideTexts{File: results.File{Name: "other.txt"}, Texts: 2, Positions: results.Middle}
	add := func(tau float64, positions int, kl, clean, changed float64) {
		run.SideEffects = append(run.SideEffects, results.SideEffect{Cell: results.Cell{Source: s.Source, Layer: best.Layer, Head: best.Head, Tau: tau},
			Positions: positions, KL: kl, CleanNLL: clean, NLL: changed})
	}
	add(best.Tau, 3, 0.1, math.Log(4), math.Log(8))
	add(best.Tau, 5, 0.5, math.Log(32), math.Log(64))
	add(best.Tau+1, 3, 9, 9, 9) // another cell
	page := render(t, []*results.Run{run}, Options{})
	_, after, _ := strings.Cut(page, `<h2 id="side-effects">`)
	table, _, _ := strings.Cut(after, "</table>")
	// KL is (3 * 0.1 + 5 * 0.5) / 8; a text predicts one token less than it has positions, so ln of the perplexity is (2 ln 4 + 4 ln 32) / 6.
	for _, want := range []string{">0.35<", ">16<", ">32<", ">2<", "other.txt, changed at the last token of a text"} {
		if !strings.Contains(table, want) {
			t.Errorf("want %q in %s", want, table)
		}
	}
	if strings.Count(table, "<tr>") != 2 {
		t.Errorf("want a head and one row, got %s", table)
	}
}
