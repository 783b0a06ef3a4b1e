package generate

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What may be chosen, and how likely, is what transformers' logits processors leave; see scripts/generate/sampling.py.
func TestSampling(t *testing.T) {
	data, err := os.ReadFile("testdata/sampling.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Logits  []float32
		Prompt  []int64
		Penalty float64 `json:"repetition_penalty"`
		T       float64 `json:"temperature"`
		TopK    int     `json:"top_k"`
		TopP    float64 `json:"top_p"`
		MinP    float64 `json:"min_p"`
		Want    map[int64]float64
		Greedy  int64
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		s := Sampling{Penalty: c.Penalty, Temperature: c.T, TopK: c.TopK, TopP: c.TopP, MinP: c.MinP}
		if err := s.Check(); err != nil {
			t.Errorf("case %d: %v", i, err)
			continue
		}
		seen := map[int64]bool{}
		for _, id := range c.Prompt {
			seen[id] = true
		}
		x := s.penalise(c.Logits, seen)
		got := s.filter(x)
		if len(got) != len(c.Want) {
			t.Errorf("case %d %+v: %d tokens, want %d", i, s, len(got), len(c.Want))
			continue
		}
		for _, g := range got {
			if want, ok := c.Want[g.id]; !ok || math.Abs(g.p-want) > 1e-6 {
				t.Errorf("case %d %+v: token %d has p %v, want %v", i, s, g.id, g.p, want)
			}
		}
		if id := (Sampling{Penalty: c.Penalty}).chooser(c.Prompt)(c.Logits); id != c.Greedy {
			t.Errorf("case %d: the most likely token is %d, want %d", i, id, c.Greedy)
		}
	}
	if len(cases) < 50 {
		t.Errorf("only %d cases", len(cases))
	}
}

func TestSamplingCheck(t *testing.T) {
	for want, s := range map[string]Sampling{
		"temperature -1":                       {Temperature: -1},
		"temperature NaN":                      {Temperature: math.NaN()},
		"top-p 1.5, want a number from 0 to 1": {TopP: 1.5},
		"min-p -0.1":                           {MinP: -0.1},
		"top-k -1":                             {TopK: -1},
		"repetition penalty -2":                {Penalty: -2},
		"temperature +Inf":                     {Temperature: math.Inf(1)},
	} {
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", s, err, want)
		}
	}
}

// Equal seeds choose equal tokens, and choices are as frequent as they are likely.
func TestDraw(t *testing.T) {
	logits := []float32{1, 2, 3, 0}
	run := func(seed uint64) (out []int64) {
		choose := Sampling{Temperature: 0.7, TopK: 3, Seed: seed}.chooser(nil)
		for range 4000 {
			out = append(out, choose(logits))
		}
		return out
	}
	first, same, other := run(1), run(1), run(2)
	if d := cmp.Diff(first, same); d != "" {
		t.Error(d)
	}
	if cmp.Equal(first, other) {
		t.Error("another seed gives the same tokens")
	}
	counts := map[int64]float64{}
	for _, id := range first {
		counts[id] += 1.0 / 4000
	}
	for _, c := range (Sampling{Temperature: 0.7, TopK: 3}).filter(logits) {
		if math.Abs(counts[c.id]-c.p) > 0.03 {
			t.Errorf("token %d was chosen in %v of all draws, want %v", c.id, counts[c.id], c.p)
		}
	}
	if len(counts) != 3 {
		t.Errorf("tokens %v were chosen", counts)
	}
}

// The probabilities add up to 1, the most likely token may always be chosen, and the logits are not changed.
func TestFilterLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := rapid.SliceOfN(rapid.Float32Range(-20, 20), 1, 60).Draw(t, "logits")
		before := append([]float32{}, logits...)
		s := Sampling{
			Penalty: rapid.Float64Range(0.5, 2).Draw(t, "penalty"), Temperature: rapid.Float64Range(0.05, 4).Draw(t, "temperature"),
			TopK: rapid.IntRange(0, 70).Draw(t, "k"), TopP: rapid.Float64Range(0, 1).Draw(t, "top p"), MinP: rapid.Float64Range(0, 1).Draw(t, "min p"),
		}
		x := s.penalise(logits, map[int64]bool{0: true, 99: true})
		c := s.filter(x)
		sum, top := 0.0, false
		for i, a := range c {
			sum += a.p
			top = top || math.Exp(float64(x[a.id]-x[best(x)])) > 1-1e-6 // or as likely, in the digits of a probability
			if i > 0 && c[i-1].id >= a.id {
				t.Fatal("ids are not in order")
			}
		}
		if math.Abs(sum-1) > 1e-9 || !top || !cmp.Equal(before, logits) {
			t.Fatalf("sum %v, most likely %v, logits %v to %v", sum, top, before, logits)
		}
	})
}
