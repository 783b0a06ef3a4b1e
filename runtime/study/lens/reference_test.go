package lens

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// pytorch is what scripts/lens/reference.py computed in double precision.
type pytorch struct {
	File       string          `json:"file"`
	InputIDs   []int64         `json:"input_ids"`
	Answer     int64           `json:"answer"`
	Stream     [][][][]float64 `json:"stream"`      // [row][position][rank]: id, log-probability
	AnswerLogP [][]float64     `json:"answer_logp"` // [row][position]
	Logit      float64         `json:"logit"`
	Embed      float64         `json:"embed"`
	Constant   float64         `json:"constant"`
	Heads      [][]float64     `json:"heads"`
	BO         []float64       `json:"b_O"`
	MLP        []float64       `json:"mlp"`
	Pattern    struct {
		Layer, Head int
		Weights     [][]float64
	} `json:"pattern"`
}

// The residual stream, the attribution and a pattern are those of PyTorch's own modules and gradients in double precision.
func TestPartsArePyTorch(t *testing.T) {
	const tolerance = 1e-5 // of numbers around 1 in float32
	paths, err := filepath.Glob("testdata/ref_*.json")
	if err != nil || len(paths) != 2 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var want pytorch
			read(t, path, &want)
			near := func(what string, got, want float64) {
				t.Helper()
				if !(math.Abs(got-want) <= tolerance) {
					t.Errorf("%s: %g, want %g", what, got, want)
				}
			}
			at := HeadAt{want.Pattern.Layer, want.Pattern.Head}
			l, err := openPath(t, filepath.Join(fixtures, want.File), Options{Norm: NormFinal, Texts: memory.PaperTexts, Runtime: runtime.Options{Threads: 1},
				Parts: Parts{Stream: true, Attribution: true, Patterns: true, Of: []HeadAt{at}, SkipHeads: true}})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			views := []View{{Tokens: want.InputIDs}}
			if err := l.see(t.Context(), views, want.Answer, len(want.Stream[0][0])); err != nil {
				t.Fatal(err)
			}
			v := views[0]
			if len(v.Stream.Rows) != len(want.Stream) {
				t.Fatalf("%d rows, want %d", len(v.Stream.Rows), len(want.Stream))
			}
			for i, row := range v.Stream.Rows {
				for pos, c := range row.Cells {
					for rank, x := range want.Stream[i][pos] {
						if c.Top[rank].ID != int64(x[0]) {
							t.Errorf("%s, position %d: token %d has rank %d, want %g", row.Hook, pos, c.Top[rank].ID, rank, x[0])
						}
						near(row.Hook, c.Top[rank].LogP, x[1])
					}
					near(row.Hook+" answer", c.Answer.LogP, want.AnswerLogP[i][pos])
				}
			}
			a := v.Attribution
			near("logit", a.Answer.Logit, want.Logit)
			near("sum", a.Sum, want.Logit)
			near("embed", a.Of(PartEmbed, -1), want.Embed)
			near("constant", a.Of(PartConstant, -1), want.Constant)
			table := a.Table(len(want.Heads[0]))
			for layer, heads := range want.Heads {
				for h, x := range heads {
					near("head "+HeadAt{layer, h}.String(), table.Rows[layer][h], x)
				}
				near("b_O", a.Of(PartBO, layer), want.BO[layer])
				near("mlp", a.Of(PartMLP, layer), want.MLP[layer])
			}
			for q, row := range want.Pattern.Weights {
				for k, x := range row {
					near("pattern", float64(v.Patterns[0].Weights[q][k]), x)
				}
			}
		})
	}
}
