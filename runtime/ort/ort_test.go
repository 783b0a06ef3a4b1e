//go:build cgo

package ort_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/runtimetest"
)

func TestSuite(t *testing.T) { runtimetest.Suite(t, orttest.Host(t), runtime.Options{}) }

const fixtures = "../../models/testdata"

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(fixtures, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// TestFixtures runs the unchanged files of real exporters and compares their logits with PyTorch's logits.
func TestFixtures(t *testing.T) {
	host := orttest.Host(t)
	var cases []struct {
		File, Ref string
		Atol      float64
		First     bool // a decoder that takes one token at a time: position 0 is separate
	}
	readJSON(t, "cases.json", &cases)
	if len(cases) != 16 {
		t.Fatalf("%d fixtures, want 16", len(cases))
	}
	for _, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			var ref struct {
				InputIDs [][]int64 `json:"input_ids"`
				Logits   struct {
					Shape []int64
					Data  []float64
				}
			}
			readJSON(t, c.Ref, &ref)
			positions := len(ref.InputIDs[0])
			if c.First {
				positions = 1
			}
			for _, level := range []runtime.Level{runtime.Optimized, runtime.Unmodified} {
				s, err := host.Open(t.Context(), runtime.Model{Path: filepath.Join(fixtures, c.File)}, runtime.Options{Level: level})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				in := feed(t, s.Inputs(), ref.InputIDs, positions)
				out, err := s.Run(t.Context(), in, "logits")
				if err != nil {
					t.Fatal(err)
				}
				got, err := out["logits"].Float32s()
				if err != nil {
					t.Fatal(err)
				}
				batch, all, vocab := ref.Logits.Shape[0], ref.Logits.Shape[1], ref.Logits.Shape[2]
				if d := cmp.Diff([]int64{batch, int64(positions), vocab}, out["logits"].Dims); d != "" {
					t.Fatalf("logits: %s", d)
				}
				worst := 0.0
				for i, v := range got {
					row, col := int64(i)/(int64(positions)*vocab), int64(i)%(int64(positions)*vocab)
					worst = max(worst, math.Abs(float64(v)-ref.Logits.Data[row*all*vocab+col]))
				}
				if !(worst <= c.Atol) { // NaN fails too
					t.Errorf("level %d: logits differ by %.3g, allowed %.3g", level, worst, c.Atol)
				}
				t.Logf("level %d: worst difference %.2e", level, worst)

				again, err := s.Run(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				if len(again) != len(s.Outputs()) || !cmp.Equal(again["logits"], out["logits"]) {
					t.Errorf("level %d: a second run, for all outputs, gives other logits", level)
				}
			}
		})
	}
}

// feed returns a value for each usual input of an exported decoder: token ids, a mask of ones, positions, an empty cache.
func feed(t *testing.T, ports []runtime.Port, ids [][]int64, positions int) map[string]*graph.Tensor {
	t.Helper()
	batch, n := int64(len(ids)), int64(positions)
	fill := func(d graph.DType, value func(row, pos int) int64) *graph.Tensor {
		var v []int64
		for r := range ids {
			for p := range positions {
				v = append(v, value(r, p))
			}
		}
		if d == graph.Int32 {
			var w []int32
			for _, x := range v {
				w = append(w, int32(x))
			}
			return graph.NewInt32(w, batch, n)
		}
		return graph.NewInt64(v, batch, n)
	}
	in := map[string]*graph.Tensor{}
	for _, p := range ports {
		switch {
		case p.Name == "input_ids" || p.Name == "idx":
			in[p.Name] = fill(p.DType, func(r, c int) int64 { return ids[r][c] })
		case p.Name == "attention_mask" && p.DType.IsFloat():
			m := make([]float32, batch*n)
			for i := range m {
				m[i] = 1
			}
			in[p.Name] = graph.NewFloat32(m, batch, n)
		case p.Name == "attention_mask":
			in[p.Name] = fill(p.DType, func(int, int) int64 { return 1 })
		case p.Name == "position_ids":
			in[p.Name] = fill(p.DType, func(_, c int) int64 { return int64(c) })
		case p.Name == "use_cache_branch":
			in[p.Name] = graph.Zeros(graph.Bool, 1)
		case strings.Contains(p.Name, "past"):
			dims := make([]int64, len(p.Dims))
			for i, d := range p.Dims {
				dims[i] = max(d, 0)
			}
			dims[len(dims)-4] = batch // stacked caches have key and value in front of it
			in[p.Name] = graph.Zeros(p.DType, dims...)
		default:
			t.Fatalf("unknown input %+v", p)
		}
	}
	return in
}

func TestLoadedOnce(t *testing.T) {
	host := orttest.Host(t)
	version, err := ort.Load(host.Lib)
	if err != nil {
		t.Fatal(err)
	}
	path, v := ort.Loaded()
	if v != version || v == "" {
		t.Errorf("versions %q and %q", version, v)
	}
	// the same file under another name is the same library
	link := filepath.Join(t.TempDir(), "link.so")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := ort.Load(link); err != nil {
		t.Error(err)
	}
	other := filepath.Join(t.TempDir(), "other.so")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ort.Load(other); err == nil || !strings.Contains(err.Error(), "is already loaded, and a process can hold only one") {
		t.Errorf("a second library: got %v", err)
	}
}

// TestE11CUDA runs the suite on a GPU where the library has its CUDA provider. Elsewhere a request for CUDA returns an error
// that names the missing file, and never a session on the CPU.
func TestE11CUDA(t *testing.T) {
	host := orttest.Host(t)
	if _, err := os.Stat(lib.CUDAProvider(host.Lib)); err == nil {
		runtimetest.Suite(t, host, runtime.Options{Device: runtime.Device{CUDA: true}})
		return
	}
	s, err := host.Open(t.Context(), runtime.Model{Path: filepath.Join(fixtures, "gpt-neo.onnx")}, runtime.Options{Device: runtime.Device{CUDA: true, Index: 1}})
	if err == nil {
		s.Close()
		t.Fatal("fell back to the CPU without an error")
	}
	path, version := ort.Loaded()
	want := `open "gpt-neo.onnx" on cuda:1: CUDA: no ` + filepath.Base(lib.CUDAProvider(path)) + " beside " + path + " (ONNX Runtime " + version + ")"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if h := hint.Of(err); h != "run `onnx-inject ort install --cuda`, name the library of the package onnxruntime-gpu with --ort-lib, or use --device cpu" {
		t.Errorf("hint %q", h)
	}
}

func TestDoctor(t *testing.T) {
	host := orttest.Host(t)
	r := host.Doctor(t.Context(), lib.CPU)
	if r.Chosen == nil || r.LoadedVersion == "" || r.LoadProblem != "" || r.Problem != "" {
		t.Fatalf("%+v", r)
	}
	if r.Chosen.Source != lib.FromFlag || r.Chosen.Version != r.LoadedVersion {
		t.Errorf("chosen %+v, loaded %s", r.Chosen, r.LoadedVersion)
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"loaded_version"`) {
		t.Errorf("%s, %v", b, err)
	}
	r = ort.Host{Lib: filepath.Join(t.TempDir(), "none")}.Doctor(t.Context(), lib.CPU)
	if r.Chosen != nil || !strings.Contains(r.Problem, "no such file") || r.Hint == "" {
		t.Errorf("%+v", r)
	}
}

// TestMissing pins the errors that a user without the library gets.
func TestMissing(t *testing.T) {
	_, err := ort.Host{Lib: "/none/libonnxruntime.so"}.Open(t.Context(), runtime.Model{}, runtime.Options{})
	if want := `find ONNX Runtime (--ort-lib): library "/none/libonnxruntime.so": no such file`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	want := "run `onnx-inject ort install`, or name an ONNX Runtime library, 1.24 or newer, with --ort-lib or ONNX_INJECT_ORT_LIB"
	if h := hint.Of(err); h != want {
		t.Errorf("hint %q", h)
	}
	if _, err := ort.Load("libonnxruntime.so"); err == nil || !strings.Contains(err.Error(), "a relative path depends on the current folder") {
		t.Errorf("relative path: got %v", err)
	}
	if errors.Is(err, runtime.ErrMemory) {
		t.Error("a missing library is not a lack of memory")
	}
}
