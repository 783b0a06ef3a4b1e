package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/atomicfile"
	"github.com/onnx-inject/onnx-inject/models/demo"
)

// A rewrite that is killed at any instant leaves the old file or the new one, whole.
func TestKilledRewrite(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 20
	}
	self, err := exec.LookPath("onnx-inject") // TestMain put it first there
	if err != nil {
		t.Fatal(err)
	}
	world, dir := t.TempDir(), t.TempDir()
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out.onnx")
	rewrite := func(layers string) *exec.Cmd {
		return exec.Command(self, "rewrite", world, "-o", out, "--inject", layers, "--weights", "embed", "--force")
	}
	var versions [2][]byte
	var took time.Duration
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
	r := rand.New(rand.NewPCG(5, 6))
	finished := 0
	for range kills {
		c := rewrite("0")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.Int64N(int64(took) * 5 / 4)))
		c.Process.Kill() // fails when the process has ended by itself
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
		if bytes.Equal(got, versions[0]) { // start again from the other one
			if err := atomicfile.Write(out, versions[1], true); err != nil {
				t.Fatal(err)
			}
		}
	}
	if finished == kills {
		t.Errorf("all %d rewrites finished before they were killed", kills)
	}
	t.Logf("%d of %d were killed half-way", kills-finished, kills)
}
