package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// An evaluation that is killed repeatedly at random times produces the same bytes as an uninterrupted one.
func TestKilledEval(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 8
	}
	self, err := exec.LookPath("onnx-inject") // TestMain put it first on the PATH
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	world := t.TempDir()
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	eval := func(dir string) *exec.Cmd {
		return exec.Command(self, "eval", world, "--data", filepath.Join(world, "prompts.csv"), "--limit", "80", "--taus", "1,2", "--memory", "curated", "--memory", "wrong", "--threads", "1", "-o", dir)
	}
	whole, dir := t.TempDir(), ""
	start := time.Now()
	if b, err := eval(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	took := time.Since(start)
	r := rand.New(rand.NewPCG(7, 8))
	killed, rounds := 0, 0
	for killed < kills {
		if dir == "" {
			dir = t.TempDir()
			rounds++
		}
		c := eval(dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.Int64N(int64(took))))
		c.Process.Kill() // fails if the process has already ended
		if c.Wait() != nil {
			killed++
			continue
		}
		sameResults(t, whole, dir)
		dir = ""
	}
	if dir != "" {
		if b, err := eval(dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		sameResults(t, whole, dir)
	}
	t.Logf("%d kills in %d evaluations", killed, rounds)
}

func sameResults(t *testing.T, want, got string) {
	t.Helper()
	for _, name := range []string{results.ManifestFile, results.CellsFile, results.PromptsFile, results.SummaryFile} {
		a, err1 := os.ReadFile(filepath.Join(want, name))
		b, err2 := os.ReadFile(filepath.Join(got, name))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Fatalf("%s: %d bytes, want the same %d: %v %v", name, len(b), len(a), err1, err2)
		}
	}
}

// A second evaluation into the same folder is refused at once. A lock that a killed process left is ignored.
func TestLockedEval(t *testing.T) {
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	world, dir := t.TempDir(), t.TempDir()
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	args := []string{"onnx-inject", "eval", world, "--data", filepath.Join(world, "prompts.csv"), "--limit", "1", "-o", dir}
	w, err := results.Create(dir, &results.Manifest{})
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	want := fmt.Sprintf("onnx-inject: results %q: locked: process %d is writing to the folder\nonnx-inject: hint: wait until it ends, or give another folder\n", dir, os.Getpid())
	if code := run(args, &out, &errs); code != exitLocked || errs.String() != want {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	errs.Reset()
	if code := run(args, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}
