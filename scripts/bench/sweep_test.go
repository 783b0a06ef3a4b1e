package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

func TestLengths(t *testing.T) {
	sum, kinds := 0, map[int]bool{}
	for _, n := range lengths {
		sum += n
		kinds[n] = true
	}
	if len(lengths) != 106 || sum != 1483 || slices.Max(lengths) != 33 || len(kinds) != 20 {
		t.Errorf("%d lengths of %d kinds, %d tokens, at most %d: not the paper's", len(lengths), len(kinds), sum, slices.Max(lengths))
	}
	for _, n := range []int{1, 2, 4, 8} {
		sum := 0
		for _, l := range few(n) {
			sum += l
		}
		if mean := float64(sum) / float64(n); len(few(n)) != n || math.Abs(mean-14) > 1.5 {
			t.Errorf("few(%d) = %v: want a mean near 14", n, few(n))
		}
	}
}

func TestData(t *testing.T) {
	b := bench{cache: t.TempDir()}
	path, err := b.data("p.csv", []int{6, 33})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%v, %v", rows, err)
	}
	for i, want := range []int{5, 32} {
		if got := len(strings.Fields(rows[i+1][0])); got != want {
			t.Errorf("row %d has %d words, want %d", i, got, want)
		}
	}
}

// The counts equal a hand calculation for one layer, and the figures of the whole sweep.
func TestWork(t *testing.T) {
	s := shape{layers: 1, width: 2, vocab: 5, taus: 3}
	unembed := int64(4 * 2 * 2 * 5)
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		// One clean row through attention, four through the MLP's 16 d² = 64 at one position.
		{"done", s.done(10), 10*(6*4+4*10*2) + 2*4 + 4*64 + unembed},
		{"least", s.least(10), 10*16 + (16 + 80) + 4*64 + unembed},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d operations, want %d", c.what, c.got, c.want)
		}
	}
	two := shape{layers: 2, width: 2, vocab: 5, taus: 3}
	if got, want := two.done(10), 10*(32+80)+4*10*64+4*(10*(24+80)+8)+7*64+7*2*2*5; got != int64(want) {
		t.Errorf("two layers: %d operations, want %d", got, want)
	}
	if got := over(lengths, smallGrid.least) / 1e12; math.Abs(got-22.2) > 0.05 {
		t.Errorf("least work of the sweep: %g TFLOP, want 22.2", got)
	}
}

func TestKilledAt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prompts.csv")
	loop := `echo head >"$0"; while :; do echo row >>"$0"; sleep 0.05; done`
	b := bench{binary: "sh"}
	s, lost, err := b.killedAt(context.Background(), file, 3, "-c", loop, file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(rows, []byte("\n")); n < 4 || s.wall < 100*time.Millisecond {
		t.Errorf("killed after %d lines and %v, want 4 or more", n, s.wall)
	}
	if lost < 0 || lost > s.wall/2 {
		t.Errorf("%v of %v lost, want the time since the last row", lost, s.wall)
	}
	if _, _, err := b.killedAt(context.Background(), file+"2", 3, "-c", "echo reason >&2; exit 1"); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("killedAt: error %v, want one with the reason", err)
	}
}

// The children run on the built-in model, and on any other model.
func TestChildren(t *testing.T) {
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	world := t.TempDir()
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	child := func(result any, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if err := children[args[0]](context.Background(), args[1:], &out); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		if err := json.Unmarshal(out.Bytes(), result); err != nil {
			t.Fatal(err)
		}
	}
	var took, rate float64
	for _, model := range []string{world, llama} {
		if child(&took, "naive", "1", model, "6", "9"); took < 1e-5 || took > 10 {
			t.Errorf("naive %s: %g s per cell", model, took)
		}
	}
	if child(&rate, "matmul", "1", "1"); rate < 1e8 || rate > 1e14 {
		t.Errorf("matmul: %g operations per second", rate)
	}
	var both []timing
	if child(&both, "session", "1", "1", filepath.Join(world, "model.onnx"), llama); len(both) != 2 || both[0].Run <= 0 || both[1].Run <= 0 {
		t.Errorf("session: %v", both)
	}
	if child(&both, "session", "0", "1", llama); len(both) != 1 || both[0].Open <= 0 || both[0].Run != 0 {
		t.Errorf("session without runs: %v", both)
	}
	if child(&both, "last", "1", "1", world); len(both) != 2 || both[0].Run <= 0 || both[1].Run <= 0 {
		t.Errorf("last: %v", both)
	}
}

func TestChildrenRefuse(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"naive 1 folder", "want a number of threads"},
		{"naive x folder 6", `threads "x"`},
		{"matmul 1", "want numbers"},
		{"matmul x 1", `rounds "x"`},
		{"matmul 1 x", `threads "x"`},
		{"last 1 1", "want numbers"},
		{"last x 1 folder", `rounds "x"`},
		{"last 1 x folder", `threads "x"`},
	} {
		if err := run(context.Background(), strings.Fields(c.args)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("bench %s: error %v, want one with %q", c.args, err, c.want)
		}
	}
}
