package main

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/models/demo"
)

var kills = flag.Int("kills", 10, "how often the tests of killed processes kill one; make kill has 200")

// rewriting returns a command that writes one of two versions of a file, both versions, and how long writing takes. The file is
// the second version.
func rewriting(t *testing.T) (out string, rewrite func(layers string) *exec.Cmd, versions [2][]byte, took time.Duration) {
	t.Helper()
	self, err := exec.LookPath("onnx-inject") // TestMain put it first on the PATH
	if err != nil {
		t.Fatal(err)
	}
	world := t.TempDir()
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(t.TempDir(), "out.onnx")
	rewrite = func(layers string) *exec.Cmd {
		return exec.Command(self, "rewrite", world, "-o", out, "--inject", layers, "--weights", "embed", "--force")
	}
	for i, layers := range []string{"0", "all"} {
		start := time.Now()
		if b, err := rewrite(layers).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		took = time.Since(start)
		if versions[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
	}
	return out, rewrite, versions, took
}

// A rewrite that is killed at any time leaves the complete old file or the complete new one, and at most one temporary file, which
// the next run removes.
func TestC03KilledRewrite(t *testing.T) {
	out, rewrite, versions, took := rewriting(t)
	r := rand.New(rand.NewPCG(5, 6))
	finished, replaced, stale := 0, 0, 0
	for range *kills {
		c := rewrite("0")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.Int64N(int64(took))))
		c.Process.Kill() // fails if the process has already ended
		if c.Wait() == nil {
			finished++
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, versions[0]) && !bytes.Equal(got, versions[1]) {
			t.Fatalf("%d bytes are neither the old file nor the new one", len(got))
		}
		left := temporaries(out)
		if len(left) > 1 {
			t.Fatalf("the next run removes what the last left, but %d files are there: %v", len(left), left)
		}
		stale += len(left)
		if bytes.Equal(got, versions[0]) { // start again from the other version; a plain write leaves the temporary file alone
			replaced++
			if err := os.WriteFile(out, versions[1], 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	if finished == *kills {
		t.Errorf("all %d rewrites finished before they were killed", *kills)
	}
	if b, err := rewrite("0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if left := temporaries(out); len(left) > 0 {
		t.Errorf("after a whole run: %v", left)
	}
	t.Logf("%d kills: %d while running; %d left the old file, %d the new one, 0 another; %d left a temporary file, 0 are there after the next run",
		*kills, *kills-finished, *kills-replaced, replaced, stale)
}

// temporaries lists the temporary files next to a file.
func temporaries(out string) []string {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), atomicfile.Prefix+"*"))
	return left
}

// The exit code of a rewrite that a signal stops at any time shows which version of the file exists. No other file is left.
func TestD02InterruptedRewrite(t *testing.T) {
	const tries = 20
	out, rewrite, versions, took := rewriting(t)
	r := rand.New(rand.NewPCG(7, 8))
	stopped := 0
	for i := range tries {
		signal, code := syscall.SIGINT, 130
		if i%2 == 1 {
			signal, code = syscall.SIGTERM, 143
		}
		c := rewrite("0")
		var errs bytes.Buffer
		c.Stderr = &errs
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.Int64N(int64(took))))
		c.Process.Signal(signal) // fails if the process has already ended
		c.Wait()
		want := versions[1]
		switch got := c.ProcessState.ExitCode(); got {
		case 0:
			want = versions[0]
		case -1: // the signal came before the handler was set, or after the file was written
		case code:
			stopped++
			if !strings.Contains(errs.String(), "interrupted") {
				t.Errorf("standard error: %s", &errs)
			}
		default:
			t.Errorf("exit code %d, want 0 or %d\n%s", got, code, &errs)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if c.ProcessState.ExitCode() == -1 && bytes.Equal(got, versions[0]) {
			want = versions[0]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%v: the file does not match the exit code", c.ProcessState)
		}
		if bytes.Equal(got, versions[0]) { // start again from the other version
			if err := atomicfile.Write(out, versions[1], true); err != nil {
				t.Fatal(err)
			}
		}
		if left := temporaries(out); c.ProcessState.Exited() && len(left) > 0 {
			t.Errorf("%v: left %v", c.ProcessState, left)
		}
	}
	if stopped == 0 {
		t.Error("no rewrite was interrupted")
	}
	t.Logf("%d of %d were interrupted", stopped, tries)
}
