package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
)

// kills is small for make test; make kill gives a large number.
// capturing returns a command that captures the demo's prompts into a folder.
func capturing(t *testing.T) func(dir string) *exec.Cmd {
	t.Helper()
	self, err := exec.LookPath("onnx-inject") // TestMain put it first on the PATH
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	world := t.TempDir()
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	return func(dir string) *exec.Cmd {
		return exec.Command(self, "capture", world, "--data", filepath.Join(world, "prompts.csv"), "--expose", "resid_post,mlp_out,z@2", "--file-size", "2", "--threads", "1", "-o", dir)
	}
}

// A capture that is killed repeatedly at random times produces the same bytes as an uninterrupted one, and no other file.
func TestKilledCapture(t *testing.T) {
	capture := capturing(t)
	whole, dir := t.TempDir(), ""
	start := time.Now()
	if b, err := capture(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	took := time.Since(start)
	r := rand.New(rand.NewPCG(9, 10))
	killed, rounds := 0, 0
	for killed < *kills {
		if dir == "" {
			dir = t.TempDir()
			rounds++
		}
		c := capture(dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.Int64N(int64(took))))
		c.Process.Kill() // fails if the process has already ended
		if c.Wait() != nil {
			killed++
			continue
		}
		sameFolder(t, whole, dir)
		dir = ""
	}
	if dir != "" {
		if b, err := capture(dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		sameFolder(t, whole, dir)
	}
	t.Logf("%d kills in %d captures", killed, rounds)
}

// sameFolder requires two folders to have the same files with the same bytes, except the lock. What a killed process left of
// a file is removed with the next file that is written.
func sameFolder(t *testing.T, want, got string) {
	t.Helper()
	list := func(dir string) map[string][]byte {
		out := map[string][]byte{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() == outdir.LockFile {
				continue
			}
			if out[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	a, b := list(want), list(got)
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Fatalf("%s: %d bytes, want the same %d", name, len(b[name]), len(a[name]))
		}
		delete(b, name)
	}
	for name := range b {
		t.Fatalf("%s is not part of a capture", name)
	}
}

// Ctrl-C finishes the current batch, prints how to resume, and ends with exit code 130.
func TestInterruptedCapture(t *testing.T) {
	dir := t.TempDir()
	c := capturing(t)(dir)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for range 6000 { // until a batch has been written
		time.Sleep(time.Millisecond)
		if st, err := os.Stat(filepath.Join(dir, "spool")); err == nil && st.Size() > 0 {
			break
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	want := regexp.MustCompile(`^onnx-inject: interrupted: (\d+) of 216 prompts are in .*\nonnx-inject: hint: run the same command again to resume\n$`)
	if c.ProcessState.ExitCode() != 130 || !want.Match(errs.Bytes()) || out.Len() > 0 {
		t.Fatalf("exit code %d: %s%s", c.ProcessState.ExitCode(), &out, &errs)
	}
}
