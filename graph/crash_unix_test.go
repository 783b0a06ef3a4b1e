//go:build unix

package graph

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
)

// crashDir names the environment variable that gives the helper process of TestKilledSave its folder.
const crashDir = "ONNX_INJECT_TEST_CRASH_DIR"

// TestCrashHelper is the process that TestKilledSave kills. It tests nothing by itself.
func TestCrashHelper(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return
	}
	var versions []*Model
	for _, name := range []string{"a", "b"} {
		m, err := Load(filepath.Join(dir, name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, m)
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		if _, err := Save(t.Context(), versions[i%2], filepath.Join(dir, "out.onnx"), Copy, true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledSave kills a process that repeatedly replaces a model by another, at 40 random instants. Afterwards the file
// must always be one of the two models, complete, and the next save must succeed. Data of a killed process may stay,
// because nothing shows whose it is. It is used again for the same weights, so that it does not accumulate.
func TestKilledSave(t *testing.T) {
	dir := t.TempDir()
	text := map[string]bool{}
	for _, v := range []string{"a", "b"} {
		m, err := Parse(fmt.Sprintf(`ir 8 opset 17 graph %s { in x: float32[512] const w = float32[512] {%s} y: float32[512] = Add(x, w) out y }`, v,
			strings.Repeat(map[string]string{"a": "1 ", "b": "2 "}[v], 512)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{v, "out"} {
			if _, err := Save(t.Context(), m, filepath.Join(dir, name+".onnx"), Embed, true); err != nil {
				t.Fatal(err)
			}
		}
		text[fmt.Sprint(weightSums(t, m))] = true
	}
	for range 40 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashHelper$")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
			t.Fatalf("the helper did not start: %v", err)
		}
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		more, _ := io.ReadAll(out)
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("the helper ended too early: %v\n%s", err, more)
		}
		m, err := Load(filepath.Join(dir, "out.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if !text[fmt.Sprint(weightSums(t, m))] {
			t.Fatal("the model is neither of the two")
		}
	}
	m, err := Load(filepath.Join(dir, "a.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Save(t.Context(), m, filepath.Join(dir, "out.onnx"), Copy, true); err != nil {
		t.Fatal(err)
	}
	data, err := filepath.Glob(filepath.Join(dir, "out.onnx*.data"))
	if err != nil || len(data) < 1 || len(data) > 2 { // there are two sets of weights
		t.Errorf("data files %v", data)
	}
}

// sizeLimit names the environment variable that gives the helper process of TestFileSizeLimit its folder.
const sizeLimit = "ONNX_INJECT_TEST_SIZE_LIMIT"

// TestSizeLimitHelper saves under a limit of 100 KB on file sizes. It tests nothing by itself.
func TestSizeLimitHelper(t *testing.T) {
	path := os.Getenv(sizeLimit)
	if path == "" {
		return
	}
	m, err := Load("../models/testdata/fp16.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100_000, Max: 100_000}); err != nil {
		t.Fatal(err)
	}
	for _, w := range []Weights{Embed, Copy} {
		_, err = Save(t.Context(), m, path, w, false)
		var e *atomicfile.Error
		if !errors.As(err, &e) || !errors.Is(err, syscall.EFBIG) {
			t.Errorf("%s: got %v, want a write error, %v", w, err, syscall.EFBIG)
		}
	}
}

// TestFileSizeLimit writes where the system refuses it. The error must name the target, and no file may be left.
func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestSizeLimitHelper$")
	cmd.Env = append(os.Environ(), sizeLimit+"="+filepath.Join(dir, "out.onnx"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if left := contents(t, dir); len(left) != 0 {
		t.Errorf("%d files are left", len(left))
	}
}
