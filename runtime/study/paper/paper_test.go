package paper

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"testing"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/eval"
)

// The table of the embedded model, recomputed from the embedded file, still meets the acceptance criteria and equals the
// numbers that the training script measured with PyTorch in double precision.
func TestWorld(t *testing.T) {
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	model, err := decoder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	steps := 0
	r, err := Run(context.Background(), orttest.Host(t), Config{
		Config: eval.Config{
			Model: model, Data: filepath.Join(dir, "prompts.csv"), Dir: filepath.Join(dir, "results"), Taus: Taus, Plan: eval.Auto,
			Encoding: memory.EncodingUnembed, Convention: memory.ConventionFolded, Texts: memory.PaperTexts,
		},
		Words: filepath.Join(dir, "words.txt"), Among: 10,
	}, func(done, all int) { steps = done })
	if err != nil {
		t.Fatal(err)
	}
	n := r.Report.Prompts
	oneHop, twoHop := r.Levels()
	if n < 100 || steps != n || r.Survey.Pairs != n || len(r.Survey.Heads) != 24 {
		t.Errorf("%d prompts, %d of %d pairs, %d heads", n, steps, r.Survey.Pairs, len(r.Survey.Heads))
	}
	for name, ok := range map[string]bool{
		"one hop >= 0.9":              oneHop >= 0.9,
		"two hops <= 0.1":             twoHop <= 0.1,
		"best >= 5 * clean":           float64(r.Curated.MeanP) >= 5*twoHop,
		"90 % of the prompts improve": float64(r.Curated.Improved) >= 0.9*float64(n),
		"wrong memory below clean":    float64(r.Wrong.MeanP) < twoHop,
		"random memory below clean":   float64(r.Random.MeanP) < twoHop,
	} {
		if !ok {
			t.Errorf("not kept: %s", name)
		}
	}
	data, err := fs.ReadFile(demo.Files(), "reference.json")
	if err != nil {
		t.Fatal(err)
	}
	var ref struct {
		Explicit, Clean float64
		Taus            []float64
		Grid            [][]float64
		Best            struct {
			Layer, Improved int
			Tau, Curated    float64
			Wrong, Random   float64
		}
	}
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if d := math.Abs(got - want); !(d <= 1e-5) {
			t.Errorf("%s is %v, PyTorch has %v", what, got, want)
		}
	}
	near("one hop", oneHop, ref.Explicit)
	near("two hops", twoHop, ref.Clean)
	near("best cell", float64(r.Curated.MeanP), ref.Best.Curated)
	near("wrong memory", float64(r.Wrong.MeanP), ref.Best.Wrong)
	near("random memory", float64(r.Random.MeanP), ref.Best.Random)
	grid := r.Grid()
	if len(ref.Taus) != len(Taus) || len(ref.Grid) != len(grid) || ref.Best.Layer != r.Layer || ref.Best.Tau != r.Tau || ref.Best.Improved != r.Curated.Improved {
		t.Fatalf("another grid: %v, best %+v", ref.Taus, ref.Best)
	}
	for l, row := range ref.Grid {
		for k, p := range row {
			near(fmt.Sprintf("layer %d, tau %v", l, Taus[k]), grid[l][k], p)
		}
	}
	p, err := r.MostGained()
	if err != nil || p.TwoHop == "" {
		t.Errorf("largest gain: %+v, %v", p, err)
	}
}
