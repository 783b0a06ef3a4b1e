package steer

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"testing"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime"
)

// The table of the embedded model, recomputed from the shipped file, keeps the line it was accepted by and equals the
// numbers that the training script measured in PyTorch.
func TestWorld(t *testing.T) {
	m, _ := openDemo(t, runtime.Options{})
	steps := 0
	w, err := RunWorld(context.Background(), m, demo.Prompts(), demo.Words(), func(done, all int) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if steps != w.Prompts || w.Prompts < 100 {
		t.Errorf("%d steps for %d prompts", steps, w.Prompts)
	}
	for name, ok := range map[string]bool{
		"explicit >= 0.9":             w.Explicit >= 0.9,
		"clean <= 0.1":                w.Clean <= 0.1,
		"best >= 5 * clean":           w.Best >= 5*w.Clean,
		"90 % of the prompts improve": float64(w.Improved) >= 0.9*float64(w.Prompts),
		"wrong memory below clean":    w.Wrong < w.Clean,
		"random memory below clean":   w.Random < w.Clean,
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
	near("explicit", w.Explicit, ref.Explicit)
	near("clean", w.Clean, ref.Clean)
	near("best cell", w.Best, ref.Best.Curated)
	near("wrong memory", w.Wrong, ref.Best.Wrong)
	near("random memory", w.Random, ref.Best.Random)
	if len(ref.Taus) != len(w.Taus) || len(ref.Grid) != len(w.Grid) || ref.Best.Layer != w.Layer || ref.Best.Tau != w.Tau || ref.Best.Improved != w.Improved {
		t.Fatalf("another grid: %v, best %+v", ref.Taus, ref.Best)
	}
	for l, row := range ref.Grid {
		for k, p := range row {
			near(fmt.Sprintf("layer %d, tau %v", l, w.Taus[k]), w.Grid[l][k], p)
		}
	}
}
