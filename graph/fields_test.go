package graph_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/graphtest"
)

var (
	fieldRuns = flag.Int("field-runs", 10_000, "inputs that TestFieldFuzz reads")
	fieldSeed = flag.Uint64("field-seed", 1, "seed of TestFieldFuzz")
)

// fuzzSeeds reads the seeds of FuzzLoad.
func fuzzSeeds(t *testing.T) map[string]*graphtest.Wire {
	t.Helper()
	out := map[string]*graphtest.Wire{}
	files, err := os.ReadDir("testdata/fuzz/FuzzLoad")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join("testdata/fuzz/FuzzLoad", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		_, quoted, _ := strings.Cut(string(text), "\n[]byte(")
		data, err := strconv.Unquote(strings.TrimSuffix(strings.TrimSpace(quoted), ")"))
		if err != nil {
			t.Fatalf("%s: %v", f.Name(), err)
		}
		if w, ok := graphtest.ParseWire([]byte(data)); ok {
			out[f.Name()] = w
		}
	}
	return out
}

// TestFieldFuzz reads random changes of the seeds: one to four changes of fields each. Reading must not panic, a model that
// loads must satisfy graph.Check, and every 16th such model must load again after it is written. It is deterministic:
// "-field-seed" chooses the inputs and "-field-runs" their number. "make fuzz-long" runs it for a long time; see
// testdata/FUZZ.md.
func TestFieldFuzz(t *testing.T) {
	seeds := fuzzSeeds(t)
	names := slices.Sorted(maps.Keys(seeds))
	f := &fieldFuzz{t: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(f.dir, "w.bin"), make([]byte, 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.in, err = os.Create(filepath.Join(f.dir, "in.onnx")); err != nil {
		t.Fatal(err)
	}
	defer f.in.Close()
	start, said := time.Now(), time.Now()
	r := rand.New(rand.NewPCG(*fieldSeed, 0x6f6e6e78))
	for i := range *fieldRuns {
		data := seeds[names[i%len(names)]].Mutate(r, 1+r.IntN(4))
		f.run(data)
		if time.Since(said) > time.Minute {
			said = time.Now()
			f.summary(i+1, time.Since(start))
		}
		if f.crashes >= 20 {
			t.Fatal("too many failures")
		}
	}
	f.summary(*fieldRuns, time.Since(start))
	if f.accepted == 0 || f.refused == 0 {
		t.Error("the inputs are all refused or all accepted")
	}
}

type fieldFuzz struct {
	t                            *testing.T
	dir                          string
	in                           *os.File
	accepted, refused, rewritten int
	crashes                      int
	slowest                      time.Duration
}

// run reads one input and keeps it in a file if something is wrong with it.
func (f *fieldFuzz) run(data []byte) {
	start := time.Now()
	err := f.read(data)
	d := time.Since(start)
	f.slowest = max(f.slowest, d)
	if err == nil && d < 10*time.Second {
		return
	}
	f.crashes++
	path := filepath.Join(os.TempDir(), fmt.Sprintf("field-fuzz-%d-%d.onnx", *fieldSeed, f.crashes))
	_ = os.WriteFile(path, data, 0o644)
	f.t.Errorf("%s: after %v: %v", path, d, err)
}

func (f *fieldFuzz) read(data []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if _, err := f.in.WriteAt(data, 0); err != nil {
		return err
	}
	m, err := graph.LoadOpen(f.in, f.in.Name(), int64(len(data)))
	if err != nil {
		f.refused++
		return nil
	}
	defer graph.CloseData(m)
	f.accepted++
	if err := graph.Check(m); err != nil {
		return err
	}
	if f.accepted%16 != 0 {
		return nil
	}
	f.rewritten++
	if err := f.in.Truncate(int64(len(data))); err != nil {
		return err
	}
	out := filepath.Join(f.dir, "out.onnx")
	if _, err := graph.Save(f.t.Context(), m, out, graph.Embed, true); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	again, err := graph.Load(out)
	if err != nil {
		return fmt.Errorf("load again: %w", err)
	}
	return again.Close()
}

func (f *fieldFuzz) summary(n int, d time.Duration) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	f.t.Logf("seed %d: %d inputs in %v, %.0f a second: %d accepted, %d of them written and read again, %d refused, %d failures, slowest %v, %d MB of memory",
		*fieldSeed, n, d.Round(time.Second), float64(n)/d.Seconds(), f.accepted, f.rewritten, f.refused, f.crashes, f.slowest.Round(time.Millisecond), mem.Sys>>20)
}
