package recognise

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
)

// The bias after the product must be found, whatever operation adds it. It must be nil if nothing is added.
func TestLogitsBias(t *testing.T) {
	b := []float32{1, 2, 3, 4}
	for _, tt := range []struct {
		name, body string
		want       []float32
		err        string
	}{
		{"none", "y = MatMul(x, w)", nil, ""},
		{"zeros", "p = MatMul(x, w)  y = Add(p, z)", nil, ""},
		{"add", "p = MatMul(x, w)  y = Add(p, b)", b, ""},
		{"add in front", "p = MatMul(x, w)  q = Identity(p)  y = Add(b, q)", b, ""},
		{"gemm", "y = Gemm(x, w, b)", b, ""},
		{"both", "p = Gemm(x, w, b)  y = Add(p, b)", []float32{2, 4, 6, 8}, ""},
		{"narrow", "p = MatMul(x, w)  y = Add(p, one)", nil, `bias of the unembedding: "one" has 1 numbers, the vocabulary has 4`},
		{"computed", "p = MatMul(x, w)  q = Neg(p)  y = Add(p, q)", nil, "no projection"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := graph.Parse("ir 8\nopset 17\ngraph main {\n in x: float32[n, 2]\n const w = float32[2, 4] {1, 1, 1, 1, 1, 1, 1, 1}\n" +
				" const b = float32[4] {1, 2, 3, 4}\n const z = float32[4] {0, 0, 0, 0}\n const one = float32[1] {1}\n" +
				strings.ReplaceAll(tt.body, "  ", "\n") + "\n out y\n}")
			if err != nil {
				t.Fatal(err)
			}
			e := look(m).logits(m.Graph.Outputs()[0])
			body := &models.Body{Graph: m.Graph}
			if e != nil {
				body.BU = e.bias
			}
			got, err := (&models.Layout{Vocab: 4, Bodies: []*models.Body{body}}).UnembedBias()
			if e == nil {
				err = errors.New("no projection")
			}
			if tt.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%v: %s", err, cmp.Diff(tt.want, got))
			}
		})
	}
	for name, bias := range map[string]bool{"gpt-j": true, "gpt-neo": false, "ort-int8-dynamic": false, "q4-with-past": false, "optimum-1-merged": false} {
		l, err := Locate(t.Context(), load(t, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := l.UnembedBias(); err != nil || (b != nil) != bias {
			t.Errorf("%s: a bias of %d numbers, %v; want one: %v", name, len(b), err, bias)
		}
	}
}
