package rewrite

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compares the effect of a request on a file, line by line of the textual form: "-" is removed, "+" is added.
func TestGolden(t *testing.T) {
	kind := func(name string) *Kind {
		k, err := KindByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	one := func(name string) Request { return Request{Expose: []Expose{{kind(name), []int{1}}}} }
	vector := make([]float32, 32)
	vector[0] = 0.5
	for name, c := range map[string]struct {
		file string
		req  Request
	}{
		"z":               {"torchscript-op10", one("z")},
		"z-fused":         {"ort-fused-attention", one("z")},
		"result":          {"torchscript-op10", one("result")},
		"result-int8":     {"ort-int8-dynamic", one("result")},
		"result-linear":   {"onnxslim", one("result")},
		"pattern":         {"torchscript-op10", one("pattern")},
		"pattern-op23":    {"dynamo-op23-attention", one("pattern")},
		"attn_out-skip":   {"ort-fused-skiplayernorm", one("attn_out")},
		"inject":          {"torchscript-op10", Request{Inject: attn(1)}},
		"inject-skip":     {"ort-fused-attention", Request{Inject: attn(1)}},
		"inject-half":     {"fp16", Request{Inject: attn(1)}},
		"inject-merged":   {"optimum-1-merged", Request{Inject: attn(1)}},
		"inject-j":        {"gpt-j", Request{Inject: attn(1)}},
		"inject-mlp":      {"torchscript-op10", Request{Inject: mlp(1)}},
		"inject-mlp-skip": {"ort-fused-attention", Request{Inject: mlp(1)}},
		"inject-mlp-j":    {"gpt-j", Request{Inject: append(attn(1), mlp(1)...)}},
		"bake-mlp":        {"torchscript-op10", Request{Bake: []Bake{{models.Baked{Site: models.PortMLPOut, Layer: 1, Tau: 2}, vector}}}},
		"bake":            {"gpt-neo", Request{Bake: []Bake{{models.Baked{Layer: 1, Tau: 2, Text: "a memory", Encoding: "unembed", Convention: "raw"}, vector}}}},
		"bake-more": {"torchscript-op10", Request{Bake: []Bake{
			{models.Baked{Layer: 2, Tau: 1}, vector}, {models.Baked{Layer: 0, Tau: -1}, vector}, {models.Baked{Layer: 2, Tau: 3}, vector},
		}}},
		"bake-phrase": {"torchscript-op10", Request{Bake: []Bake{{models.Baked{
			Site: models.PortResidPost, Layer: 1, Keep: new(float64), Tau: 1, Phrase: "a phrase", Tokens: [][]int64{{3, 1, 4}, {1, 5}}}, vector}}}},
		"bake-phrase-merged": {"optimum-1-merged", Request{Bake: []Bake{{models.Baked{Layer: 1, Tau: 1, Phrase: "a", Tokens: [][]int64{{7}}}, vector}}}},
		"last-logits":        {"torchscript-op10", Request{LastLogits: true}},
		"last-logits-merged": {"optimum-1-merged", Request{LastLogits: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m, l := load(t, filepath.Join(testdata, c.file+".onnx"))
			before := graph.Format(m)
			if _, _, err := Apply(t.Context(), m, l, c.req); err != nil {
				t.Fatal(err)
			}
			got := changedLines(before, graph.Format(m))
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; look at it, then run with -update):\n%s", path, diff)
			}
		})
	}
}

// changedLines lists the lines that only one of two texts contains, in their order.
func changedLines(before, after string) string {
	count := map[string]int{}
	for _, s := range strings.Split(before, "\n") {
		count[s]++
	}
	var added []string
	for _, s := range strings.Split(after, "\n") {
		if count[s] > 0 {
			count[s]--
		} else {
			added = append(added, "+ "+strings.TrimSpace(s))
		}
	}
	var out []string
	for _, s := range strings.Split(before, "\n") {
		if count[s] > 0 {
			count[s]--
			out = append(out, "- "+strings.TrimSpace(s))
		}
	}
	return strings.Join(append(out, added...), "\n") + "\n"
}
