package report

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// shape describes a generated run.
type shape struct {
	seed    uint64
	prompts int
	layers  []int
	taus    []float64
	sources []string
	words   int // memories of a prompt from each source except the first
	oneHop  bool
	nan     func(c results.Cell) bool // cells without a number
}

var usual = shape{seed: 1, prompts: 30, layers: []int{0, 1, 2, 3}, taus: []float64{1, 2, 4, 8}, sources: []string{"curated", "none", "random:nouns"}, words: 3, oneHop: true}

// made generates a run whose first source helps most in the middle of the grid; the other sources add only noise.
func made(s shape) *results.Run {
	r := rand.New(rand.NewPCG(s.seed, 7))
	run := &results.Run{Dir: "out", Manifest: &results.Manifest{
		Version: 1, Tool: "onnx-inject test", Prompts: s.prompts, Layers: s.layers, Taus: s.taus, Encoding: "unembed", Convention: "tl-folded", Positions: "all",
		Model: results.Model{Name: "tiny", SHA256: "ab12", Tokenizer: "cd34", Family: "gpt2", Variant: "torch", Layers: len(s.layers), Heads: 2, DModel: 8, Vocab: 50},
		Data:  results.File{Name: "facts.csv", SHA256: "ef56"}, Texts: memory.PaperTexts, Top: 3, Shard: results.Shard{Of: 1},
		Plan: results.Plan{Used: "fanout"}, Host: results.Host{Name: "ort", Version: "1.30.0", Device: "cpu"},
	}}
	for _, name := range s.sources {
		run.Manifest.Memories = append(run.Manifest.Memories, results.Source{Name: name})
	}
	score := func(logP float64) results.Score {
		return results.Score{LogP: math.Min(logP, -1e-4), Rank: r.IntN(20), Top: []int64{int64(r.IntN(50)), 7, int64(r.IntN(50))}}
	}
	for i := range s.prompts {
		p := results.Prompt{Index: i, TwoHop: fmt.Sprintf("The river of city %d flows to the", i), OneHop: fmt.Sprintf("The Danube %d flows to the", i), ExplicitEntity: "Danube",
			Answer: fmt.Sprintf("Sea %d", i), AnswerID: 7, Tokens: 9, Clean: score(-1 - 6*r.Float64()), Ceiling: results.None()}
		if s.oneHop {
			p.Ceiling = score(p.Clean.LogP + 1)
		}
		run.Prompts = append(run.Prompts, p)
		for l, layer := range s.layers {
			for k, tau := range s.taus {
				for n, source := range s.sources {
					words := 1
					if n > 0 {
						words = max(1, s.words)
					}
					for w := range words {
						gain := 0.2 * r.NormFloat64()
						if n == 0 {
							gain += 1 - 0.6*math.Abs(float64(l-len(s.layers)/2)) - 0.8*math.Abs(float64(k-len(s.taus)/2))
						}
						c := results.Cell{Prompt: i, Layer: layer, Tau: tau, Source: source, Memory: fmt.Sprintf("memory %d", w), Score: score(p.Clean.LogP + gain)}
						if s.nan != nil && s.nan(c) {
							c.Score = results.Score{LogP: math.NaN(), Rank: -1, Status: results.NaN}
						}
						run.Cells = append(run.Cells, c)
					}
				}
			}
		}
	}
	return run
}
