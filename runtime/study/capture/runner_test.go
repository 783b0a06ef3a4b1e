package capture

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

const testdata = "../../../models/testdata"

// reference holds what PyTorch computed in double precision; see the README of the fixtures.
type reference struct {
	InputIDs    [][]int64 `json:"input_ids"`
	Activations map[string]struct {
		Shape []int64   `json:"shape"`
		Data  []float64 `json:"data"`
	} `json:"activations"`
}

type fixture struct {
	File  string  `json:"file"`
	Ref   string  `json:"ref"`
	Atol  float64 `json:"atol"`
	First bool    `json:"first"` // one token at a time
}

// fixtures lists the files that have references.
func fixtures(t *testing.T) []fixture {
	t.Helper()
	var out []fixture
	for _, dir := range []string{"", "families"} {
		var cases []fixture
		data, err := os.ReadFile(filepath.Join(testdata, dir, "cases.json"))
		if err == nil {
			err = json.Unmarshal(data, &cases)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			c.File, c.Ref = filepath.Join(dir, c.File), filepath.Join(testdata, dir, c.Ref)
			out = append(out, c)
		}
	}
	return out
}

// openModel opens a model of the fixtures.
func openModel(t *testing.T, file string) (*decoder.Model, *models.Layout) {
	t.Helper()
	m, err := decoder.Open(filepath.Join(testdata, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	l, err := m.Locate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

// everyHook lists the hooks that a model has, except patterns, which have no rows.
func everyHook(l *models.Layout) []Hook {
	var out []Hook
	for i, layer := range l.Bodies[0].Layers {
		for _, k := range rewrite.Kinds {
			if layer.Missing[k.Name()] == "" && k.Port != models.PortPattern {
				out = append(out, Hook{k, i})
			}
		}
	}
	return out
}

func openRunner(t *testing.T, m *decoder.Model, hooks []Hook) *Runner {
	t.Helper()
	r, err := OpenRunner(t.Context(), orttest.Host(t), m, runtime.Options{Threads: 1}, hooks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// Every hook of every fixture has PyTorch's values, prompt by prompt.
func TestValues(t *testing.T) {
	for _, c := range fixtures(t) {
		t.Run(c.File, func(t *testing.T) {
			var ref reference
			data, err := os.ReadFile(c.Ref)
			if err == nil {
				err = json.Unmarshal(data, &ref)
			}
			if err != nil {
				t.Fatal(err)
			}
			m, l := openModel(t, c.File)
			hooks := everyHook(l)
			r := openRunner(t, m, hooks)
			compared := 0
			for row, ids := range ref.InputIDs {
				if c.First {
					ids = ids[:1]
				}
				got, err := r.Run(t.Context(), [][]int64{ids})
				if err != nil {
					t.Fatal(err)
				}
				for i, h := range hooks {
					want, ok := ref.Activations[h.Name()]
					if !ok {
						continue
					}
					compared++
					per := len(want.Data) / len(ref.InputIDs)
					worst := 0.0
					for j, x := range got[i] { // a prompt of one token is the first position
						worst = max(worst, math.Abs(float64(x)-want.Data[row*per+j]))
					}
					if !(worst <= max(c.Atol, 2e-5)*10) {
						t.Errorf("%s differs by %g", h.Name(), worst)
					}
					if c.Atol <= 2e-5 && !(worst <= 2e-5) {
						t.Errorf("%s differs by %g, want 2e-5 for a float32 file", h.Name(), worst)
					}
				}
			}
			if compared < 2*len(ref.InputIDs)*l.Layers {
				t.Errorf("only %d values were compared", compared)
			}
		})
	}
}

// A batch gives the values that its prompts have alone, on the files for which batches are used.
func TestBatches(t *testing.T) {
	exact := 0
	for _, c := range fixtures(t) {
		if c.First {
			continue
		}
		t.Run(c.File, func(t *testing.T) {
			m, l := openModel(t, c.File)
			r := openRunner(t, m, everyHook(l))
			ids := [][]int64{{3, 1, 4, 1, 5}, {9, 2, 6, 5, 3}, {5, 8, 9, 7, 9}}
			err := r.compare(t.Context(), ids)
			quantised := strings.Contains(c.File, "int8") || strings.Contains(c.File, "16") || strings.Contains(c.File, "int4")
			if err == nil {
				exact++
			} else if !quantised {
				t.Error(err)
			} else {
				t.Log(err)
			}
		})
	}
	if exact < 20 {
		t.Errorf("batches work on only %d files", exact)
	}
}
