package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// llama is the file of another family than GPT-2, with a cache and shared keys and values.
const llama = "../../models/testdata/families/optimum-llama.onnx"

func TestCompareAlternatesAndKeepsTheBest(t *testing.T) {
	var order []string
	fake := func(name string, walls ...time.Duration) side {
		n := 0
		return side{name, func() error { order = append(order, "prepare "+name); return nil }, func() (sample, error) {
			order = append(order, name)
			n++
			return sample{walls[n-1], 2 * walls[n-1], int64(walls[n-1])}, nil
		}}
	}
	got, err := compare(3, fake("a", 5, 3, 4, 9), fake("b", 8, 7, 6, 7))
	if err != nil {
		t.Fatal(err)
	}
	if want := []sample{{3, 6, 9}, {6, 12, 8}}; got[0] != want[0] || got[1] != want[1] {
		t.Errorf("compare = %v, want %v", got, want)
	}
	var want []string
	for range 2 {
		for _, s := range []string{"a", "b", "b", "a"} {
			want = append(want, "prepare "+s, s)
		}
	}
	if d := cmp.Diff(want, order); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

func TestCompareStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := compare(5, side{"a", nil, func() (sample, error) { return sample{}, broken }})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "measure a") {
		t.Errorf("compare: error %v, want one that names side a", err)
	}
	_, err = compare(5, side{"a", func() error { return broken }, nil})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "prepare a") {
		t.Errorf("compare: error %v, want one that names the preparation of a", err)
	}
}

func TestRowLine(t *testing.T) {
	for _, c := range []struct {
		row  row
		want string
	}{
		{row{id: "P1", what: "a / b", value: 0.0123, goal: 0.05, note: "n"}, "P1\ta / b\t0.0123\t<= 0.05\tpass\tn"},
		{row{id: "P1", what: "memory", value: 65, unit: " MB", goal: 64}, "P1\tmemory\t65.0 MB\t<= 64 MB\tSHORT\t"},
		{row{id: "P2", what: "a / b", value: 612.4, goal: 100, atLeast: true}, "P2\ta / b\t612\t>= 100\tpass\t"},
		{row{id: "P2", what: "a / b", value: 99.9, goal: 100, atLeast: true}, "P2\ta / b\t99.9\t>= 100\tSHORT\t"},
		{row{id: "P5", what: "a / b", value: 1.05, goal: 1.05}, "P5\ta / b\t1.05\t<= 1.05\tpass\t"},
	} {
		if got := c.row.line(); got != c.want {
			t.Errorf("line of %+v = %q, want %q", c.row, got, c.want)
		}
	}
}

func TestProcess(t *testing.T) {
	s, out, err := process(context.Background(), "sh", "-c", "sleep 0.05; echo done")
	if err != nil || string(out) != "done\n" {
		t.Fatalf("process: %q, %v", out, err)
	}
	if s.wall < 50*time.Millisecond || s.peak < 1<<10 {
		t.Errorf("process: %v and %d bytes, want 50 ms or more and some memory", s.wall, s.peak)
	}
	if _, _, err := process(context.Background(), "sh", "-c", "echo reason >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "reason") {
		t.Errorf("process: error %v, want one with the command's message", err)
	}
}

func TestClearRemovesDataBesideAFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"out.onnx", "out.onnx_data", "keep.onnx"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := clear(filepath.Join(dir, "out.onnx")); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if want := []string{filepath.Join(dir, "keep.onnx")}; !cmp.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

// A prompt, an empty cache, and memories and taus of zeros, for a family with a cache.
func TestFeedsTurnMemoriesOff(t *testing.T) {
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	d, err := openDecoder(context.Background(), llama, 1, injectAll)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	in, err := d.feeds(tokens, 1)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := in["input_ids"].Int64s()
	if err != nil || len(ids) != tokens {
		t.Fatalf("input_ids %v, %v: want %d tokens", ids, err, tokens)
	}
	seen := map[int64]bool{}
	for _, id := range ids {
		if id < 0 || id >= int64(d.Layout.Vocab) || seen[id] {
			t.Errorf("token %d: want ids of the vocabulary, all different", id)
		}
		seen[id] = true
	}
	for name, want := range map[string][]int64{
		"blocks.1.attn.memory": {1, 1, 64}, "blocks.1.attn.tau": {1, 1, 1}, "past_key_values.1.key": {1, 2, 0, 16},
	} {
		got := in[name]
		if got == nil {
			t.Errorf("input %q: got nothing, want zeros", name)
			continue
		}
		if d := cmp.Diff(want, got.Dims); d != "" {
			t.Errorf("shape of %q (-want +got):\n%s", name, d)
		}
		if values, err := got.Float32s(); err != nil || slices.ContainsFunc(values, func(x float32) bool { return x != 0 }) {
			t.Errorf("input %q: %v, %v: want zeros", name, values, err)
		}
	}
	for _, p := range d.Inputs() {
		if in[p.Name] == nil {
			t.Errorf("input %q: got nothing", p.Name)
		}
	}
}

// Every row has its own id, and the expensive ones are measured on request.
func TestChecks(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse([]string{"-binary", binary, "-p8"})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var left []string
	for _, c := range b.chosen {
		if seen[c.id] {
			t.Errorf("%s: two checks of this id", c.id)
		}
		seen[c.id] = true
		if b.left(c) {
			left = append(left, c.id)
		}
	}
	if d := cmp.Diff([]string{"P4"}, left); d != "" {
		t.Errorf("left out with -p8 (-want +got):\n%s", d)
	}
	var out strings.Builder
	b.print(&out, []row{{id: "P1", what: "a / b", value: 1, goal: 2}})
	if got := out.String(); !strings.Contains(got, "a / b") || !strings.Contains(got, "P4 is measured only with -p4") || strings.Contains(got, "P8") {
		t.Errorf("printed %q: want the row and a line about P4", got)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-rounds", "3"}, "want 5 or more"},
		{[]string{"-only", "P1,P99"}, `"P99" is not measured here`},
		{[]string{"-binary", filepath.Join(t.TempDir(), "absent")}, "find the program to measure"},
		{[]string{"session", "x", "1", "m.onnx"}, `rounds "x"`},
		{[]string{"session", "1", "x", "m.onnx"}, `threads "x"`},
		{[]string{"session", "1", "1"}, "want numbers of rounds and threads, and models"},
	} {
		if err := run(context.Background(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("bench %v: error %v, want one with %q", c.args, err, c.want)
		}
	}
}

func TestOneBenchAtATime(t *testing.T) {
	cache := t.TempDir()
	held := flock.New(filepath.Join(cache, "lock"))
	if ok, err := held.TryLock(); !ok {
		t.Fatal(err)
	}
	defer held.Unlock()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = run(context.Background(), []string{"-cache", cache, "-binary", binary, "-only", "P1"})
	if err == nil || !strings.Contains(err.Error(), "another bench") {
		t.Errorf("a second bench in one cache: error %v", err)
	}
}
