package steer

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/rewrite"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// A fan-out graph of every float32 fixture gives, in one run, what PyTorch gives in a run for each cell.
func TestFanOutAgainstPyTorch(t *testing.T) {
	var cases []fixture
	readJSON(t, filepath.Join(testdata, "cases.json"), &cases)
	for _, c := range cases {
		if c.Atol > 1e-4 || c.First {
			continue
		}
		t.Run(strings.TrimSuffix(c.File, ".onnx"), func(t *testing.T) {
			var ref reference
			readJSON(t, filepath.Join(testdata, c.Ref), &ref)
			m, err := graph.Load(filepath.Join(testdata, c.File))
			if err != nil {
				t.Fatal(err)
			}
			l, err := models.Locate(m, nil)
			if err != nil {
				t.Fatal(err)
			}
			top := 5
			in, err := rewrite.FanOut(m, l, top)
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			s, err := runtime.OpenGraph(ctx, orttest.Host(t), m, runtime.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for prompt := range ref.InputIDs {
				checkFanOut(t, s, in, l, ref, prompt, top)
			}
		})
	}
}

func checkFanOut(t *testing.T, s runtime.Session, in *models.Inputs, l *models.Layout, ref reference, prompt, top int) {
	t.Helper()
	feeds, err := in.Feeds(ref.InputIDs[prompt : prompt+1])
	if err != nil {
		t.Fatal(err)
	}
	answer := int64(17)
	feeds[rewrite.FanOutAnswer] = graph.NewInt64([]int64{answer}, 1)
	want := [][]float64{ref.lastLogits(ref.Logits, prompt)}
	for layer := range l.Layers {
		var memory, tau []float32
		for _, inj := range ref.Injected {
			if !slices.Equal(inj.Layers, []int{layer}) || inj.Positions == "last" {
				continue
			}
			for _, x := range ref.Memory[inj.Memory].Data {
				memory = append(memory, float32(x))
			}
			tau = append(tau, float32(inj.Tau))
			want = append(want, ref.lastLogits(inj.Logits, prompt))
		}
		k := int64(len(tau))
		feeds[rewrite.FanOutMemory(layer)] = graph.NewFloat32(memory, k, 1, int64(l.DModel))
		feeds[rewrite.FanOutTau(layer)] = graph.NewFloat32(tau, k, 1, 1)
	}
	out, err := s.Run(context.Background(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	logp, _ := out[rewrite.FanOutLogP].Float32s()
	rank, _ := out[rewrite.FanOutRank].Int64s()
	ids, _ := out[rewrite.FanOutTop].Int64s()
	if len(logp) != len(want) || len(rank) != len(want) || len(ids) != len(want)*top {
		t.Fatalf("%d rows, want %d", len(logp), len(want))
	}
	for i, logits := range want {
		x := make([]float32, len(logits))
		order := make([]int64, len(logits))
		for j := range x {
			x[j], order[j] = float32(logits[j]), int64(j)
		}
		if d := math.Abs(LogSoftmax(x)[answer] - float64(logp[i])); !(d <= 1e-5) {
			t.Errorf("prompt %d, row %d: log-probability differs by %g", prompt, i, d)
		}
		if got := Rank(x, answer); int64(got) != rank[i] {
			t.Errorf("prompt %d, row %d: rank %d, want %d", prompt, i, rank[i], got)
		}
		slices.SortFunc(order, func(a, b int64) int {
			if logits[a] != logits[b] {
				return int(math.Copysign(1, logits[b]-logits[a]))
			}
			return int(a - b)
		})
		if got := ids[i*top : (i+1)*top]; fmt.Sprint(got) != fmt.Sprint(order[:top]) {
			t.Errorf("prompt %d, row %d: top tokens %v, want %v", prompt, i, got, order[:top])
		}
	}
}

// lastLogits cuts the last position of one prompt out of logits [batch, pos, vocab].
func (r reference) lastLogits(a array, prompt int) []float64 {
	pos, vocab := int(a.Shape[1]), int(a.Shape[2])
	end := (prompt + 1) * pos * vocab
	return a.Data[end-vocab : end]
}
