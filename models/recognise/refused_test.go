package recognise

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
)

// These models were exported by transformers 4.35.2 with random weights: one layer, two heads of 8, 31 tokens. Each must be
// refused with the reason why it is not a text decoder. Names were shortened to keep the files small.
func TestA20RefusedModels(t *testing.T) {
	const (
		postNorm = "want attention over a norm of the residual stream, got the stream itself (a norm after the addition, as in BERT?)"
		encoder  = "no causal mask found (an encoder?)"
		shared   = "(keys and values shared between layers?)"
	)
	reasons := map[string]string{
		"bart":            postNorm,
		"bert":            postNorm,
		"cnn":             "no attention found; the closest is Softmax",
		"openaigpt":       postNorm,
		"t5-decoder":      shared,
		"t5-encoder":      encoder,
		"vit":             encoder,
		"whisper-decoder": shared,
		"whisper-encoder": encoder,
	}
	files, err := filepath.Glob("../testdata/refused/*.onnx")
	if err != nil || len(files) != len(reasons) {
		t.Errorf("%d files, %d reasons (%v)", len(files), len(reasons), err)
	}
	for name, want := range reasons {
		t.Run(name, func(t *testing.T) {
			m, err := graph.Load(filepath.Join("..", "testdata", "refused", name+".onnx"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Locate(t.Context(), m, nil)
			var refusal *Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v\nwant a refusal with %q", err, want)
			}
		})
	}
}
