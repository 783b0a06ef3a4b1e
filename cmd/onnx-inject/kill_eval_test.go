package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// An evaluation that is killed repeatedly at random times, and started again until it is done, has the bytes of an uninterrupted
// one: no row is lost, doubled or changed. The second half of the kills hits evaluations with a child process, which ends with its
// parent.
func TestD01KilledEval(t *testing.T) {
	w, whole := world(t), t.TempDir()
	side := []string{"--side-effects", filepath.Join(t.TempDir(), "texts.txt")}
	if err := os.WriteFile(side[1], []byte(strings.Join(demo.Texts()[:6], "\n")), 0o666); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if code, _, errs := program(t, "onnx-inject", evalOf(w, whole, side...)...); code != 0 {
		t.Fatal(errs)
	}
	took := time.Since(start)
	r := rand.New(rand.NewPCG(7, 8))
	killed, folders, lost, doubled, changed := 0, 0, 0, 0, 0
	for killed < *kills {
		dir := t.TempDir()
		for done := false; !done; {
			args := evalOf(w, dir, side...)
			if killed >= *kills/2 {
				args = append(args, "--isolate")
			}
			c := exec.Command("onnx-inject", args...)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if killed < *kills {
				time.Sleep(time.Duration(r.Int64N(int64(took))))
				c.Process.Kill() // fails if the process has already ended
			}
			c.Wait()
			switch code := c.ProcessState.ExitCode(); code {
			case 0:
				done = true
			case -1:
				killed++
			case exitLocked: // the child of the last one is about to end
				time.Sleep(10 * time.Millisecond)
			default:
				t.Fatalf("exit code %d", code)
			}
		}
		folders++
		l, d, c := differences(whole, dir)
		lost, doubled, changed = lost+l, doubled+d, changed+c
		sameResults(t, whole, dir, results.SideEffectsFile)
	}
	t.Logf("%d kills in %d evaluations, each resumed to the end: %d rows lost, %d doubled, %d changed", killed, folders, lost, doubled, changed)
}

// differences counts the rows of cells.csv, prompts.csv and side_effects.csv that are lost, doubled and changed.
func differences(want, got string) (lost, doubled, changed int) {
	for _, name := range []string{results.CellsFile, results.PromptsFile, results.SideEffectsFile} {
		count := map[string]int{}
		for line := range strings.Lines(string(readOr(filepath.Join(got, name)))) {
			count[line]++
		}
		for line := range strings.Lines(string(readOr(filepath.Join(want, name)))) {
			switch n := count[line]; {
			case n == 0:
				lost++
			case n > 1:
				doubled += n - 1
			}
			delete(count, line)
		}
		changed += len(count)
	}
	return lost, doubled, changed
}

func sameResults(t *testing.T, want, got string, more ...string) {
	t.Helper()
	for _, name := range append([]string{results.ManifestFile, results.CellsFile, results.PromptsFile, results.SummaryFile}, more...) {
		a, err1 := os.ReadFile(filepath.Join(want, name))
		b, err2 := os.ReadFile(filepath.Join(got, name))
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Fatalf("%s: %d bytes, want the same %d: %v %v", name, len(b), len(a), err1, err2)
		}
	}
}

// A second evaluation into the same folder is refused at once, with the number of the first process. A lock that a killed process
// left is taken over.
func TestD04LockedEval(t *testing.T) {
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

	dir = t.TempDir() // a process that is killed while it holds the lock
	slow := []string{"eval", world, "--data", filepath.Join(world, "prompts.csv"), "--plan", "points", "-o", dir}
	long := exec.Command("onnx-inject", slow...)
	if err := long.Start(); err != nil {
		t.Fatal(err)
	}
	for range 600 {
		if time.Sleep(20 * time.Millisecond); len(readOr(filepath.Join(dir, results.PromptsFile))) > 0 {
			break
		}
	}
	if code, _, errs := program(t, "onnx-inject", slow...); code != exitLocked || !strings.Contains(errs, fmt.Sprintf("process %d is writing", long.Process.Pid)) {
		t.Errorf("exit code %d: %s", code, errs)
	}
	long.Process.Kill()
	long.Wait()
	if b := readOr(filepath.Join(dir, ".lock")); string(b) != fmt.Sprintln(long.Process.Pid) {
		t.Errorf("the killed process left the lock %q", b)
	}
	if w, err := results.Create(dir, &results.Manifest{}); err == nil || errors.Is(err, results.ErrLocked) { // another evaluation, but not locked
		t.Errorf("%v, %v", w, err)
	}
}
