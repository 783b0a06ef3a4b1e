package contrast

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/models/vector"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func config(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	m, err := decoder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return Config{
		Model: m, Positive: lines(t, "testdata/positive.txt"), Negative: lines(t, "testdata/negative.txt"), Method: Mean,
		Site: models.PortResidPost, Options: runtime.Options{Threads: 1},
	}
}

// repeng and this package make the same directions of the same pairs on the demo model. scripts/controlvector wrote repeng's files.
func TestRepeng(t *testing.T) {
	c := config(t)
	for method, file := range map[Method]string{Mean: "repeng-mean.gguf", PCA: "repeng-pca_diff.gguf", PCACenter: "repeng-pca_center.gguf"} {
		theirs, err := vector.ReadAll(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		c.Method = method
		found, err := Run(t.Context(), orttest.Host(t), c)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 6 || len(theirs) != 5 {
			t.Fatalf("%s: %d directions, repeng has %d", method, len(found), len(theirs))
		}
		compared := 0
		for _, v := range theirs {
			layer, err := strconv.Atoi(v.Meta[vector.MetaLayer])
			if err != nil {
				t.Fatal(err)
			}
			if layer == 5 {
				continue // repeng reads the last layer after the final norm; see the package comment
			}
			compared++
			f := found[layer]
			want := make([]float64, len(v.Data))
			for i, x := range v.Data {
				want[i] = float64(x)
			}
			cos := cosine(f.Vector.Data, want)
			if f.Higher == 0.5 { // as many positive texts project higher as lower: the sign is free
				cos = math.Abs(cos)
			}
			if !(cos > 0.99999) {
				t.Errorf("%s, layer %d: cosine %v", method, layer, cos)
			}
			length := 1.0
			if method == Mean {
				length = 0
				for _, x := range want {
					length += x * x
				}
				length = math.Sqrt(length)
			}
			if math.Abs(f.Norm-length) > 1e-5*length || f.Layer != layer || f.Vector.Meta[vector.MetaLayer] != strconv.Itoa(layer) || f.Vector.Meta[vector.MetaModel] != "gpt2" {
				t.Errorf("%s, layer %d: %+v, want the length %v", method, layer, f, length)
			}
		}
		if compared != 4 {
			t.Errorf("%s: %d layers were compared", method, compared)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	c := config(t)
	c.Negative = c.Negative[1:]
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "12 positive texts and 11 negative ones, want pairs") {
		t.Errorf("got %v", err)
	}
	c = config(t)
	c.Negative[3] = ""
	if _, err := Run(t.Context(), orttest.Host(t), c); err == nil || !strings.Contains(err.Error(), "pair 3: the prompt is empty") {
		t.Errorf("got %v", err)
	}
}
