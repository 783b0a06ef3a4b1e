package lens

import (
	"bytes"
	"encoding/csv"
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/onnx-inject/onnx-inject/models/demo"
)

// A survey counts what looking at every pair by itself shows, whatever goes through the unembedding together.
func TestSurveyIsManyLooks(t *testing.T) {
	l := openDemo(t, Options{Norm: NormFinal})
	const among = 10
	var pairs []Pair
	for _, p := range demo.Prompts()[:90] { // more than one batch
		pairs = append(pairs, Pair{p.ExplicitSentence, p.ObscureSentence, p.ExplicitEntity})
	}
	if batch := rowsAtOnce / (2 * l.Layout.Layers * l.Layout.Heads); batch >= len(pairs) {
		t.Fatalf("%d pairs are one batch", len(pairs))
	}
	var steps []int
	got, err := l.Survey(t.Context(), pairs, among, func(done, _ int) { steps = append(steps, done) })
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) < 2 || steps[len(steps)-1] != len(pairs) {
		t.Errorf("steps %v", steps)
	}
	want := make([]Count, len(got.Heads))
	named := 0
	for i, p := range pairs {
		e, err := l.Entity(p.Entity)
		if err != nil {
			t.Fatal(err)
		}
		views, err := l.Look(t.Context(), []Query{{p.OneHop, e}, {p.TwoHop, e}}, among)
		if err != nil {
			t.Fatal(err)
		}
		for k, a := range views[0].Heads {
			b, c := views[1].Heads[k], &want[k]
			one, two := shows(a, e), shows(b, e)
			c.Layer, c.Head = a.Layer, a.Head
			c.LogP += (a.Entity.LogP - b.Entity.LogP) / float64(len(pairs))
			if one {
				c.OneHop, c.Difference, named = c.OneHop+1, c.Difference+1, named+1
			}
			if two {
				c.TwoHop, c.Difference = c.TwoHop+1, c.Difference-1
			}
			if one && !two {
				c.OnlyOneHop++
			}
			if two && !one {
				c.OnlyTwoHop++
			}
			if o := got.Outcomes[i][k]; o.RankOneHop != a.Entity.Rank || o.RankTwoHop != b.Entity.Rank {
				t.Errorf("pair %d, head %d: ranks %+v, want %d and %d", i, k, o, a.Entity.Rank, b.Entity.Rank)
			}
		}
	}
	if named == 0 {
		t.Fatal("no head names anything: the test shows nothing")
	}
	if diff := cmp.Diff(want, got.Heads, cmpopts.EquateApprox(0, 1e-5)); diff != "" {
		t.Error(diff)
	}
	if got.FirstTokens != 10 || got.Commonest.Token != " Zambia" || got.Commonest.Pairs != 9 {
		t.Errorf("%d first tokens, the commonest %+v; want 10 and nine of Zambia", got.FirstTokens, got.Commonest)
	}
	ranked := got.Ranked()
	for k := 1; k < len(ranked); k++ {
		if ranked[k].OnlyOneHop > ranked[k-1].OnlyOneHop {
			t.Errorf("rank %d: %+v after %+v", k, ranked[k], ranked[k-1])
		}
	}
	checkSurveyCSV(t, got)
}

// shows reports whether an entity's token is among the tokens that a head shows: what its rank says must be there to see.
func shows(h Head, e *Entity) bool {
	for _, tok := range h.Top {
		if e.Has(tok.ID) {
			return true
		}
	}
	return false
}

func checkSurveyCSV(t *testing.T, s *Survey) {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != len(s.Heads)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for k, line := range lines[1:] {
		var n [7]int
		for i := range n {
			if n[i], err = strconv.Atoi(line[i]); err != nil {
				t.Fatal(err)
			}
		}
		logp, err := strconv.ParseFloat(line[7], 64)
		if err != nil || math.IsNaN(logp) {
			t.Fatalf("log p %q", line[7])
		}
		got := Count{Layer: n[0], Head: n[1], OneHop: n[2], TwoHop: n[3], Difference: n[4], OnlyOneHop: n[5], OnlyTwoHop: n[6], LogP: logp}
		if got != s.Heads[k] {
			t.Errorf("line %d is %+v, want %+v", k+1, got, s.Heads[k])
		}
	}
}

func TestCheckPairs(t *testing.T) {
	whole := Pair{"a", "b", "c"}
	for _, pairs := range [][]Pair{nil, {whole, {"", "b", "c"}}, {whole, {"a", "", "c"}}, {whole, {"a", "b", " "}}} {
		if err := CheckPairs(pairs); err == nil {
			t.Errorf("%v were taken", pairs)
		}
	}
	if err := CheckPairs([]Pair{whole}); err != nil {
		t.Error(err)
	}
}
