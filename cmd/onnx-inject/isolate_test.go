package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/isolate"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// The faulty program reads these variables.
const (
	fault      = "ONNX_INJECT_TEST_FAULT"       // how its child dies: a signal, or "memory"
	faultAfter = "ONNX_INJECT_TEST_FAULT_AFTER" // when: as soon as this file has three lines
)

// faulty is the program with a fault. Its parent process is as usual; the child process, which runs the model, dies.
func faulty() {
	if os.Getenv("ONNX_INJECT_ISOLATED") != "" {
		go func() {
			for bytes.Count(readOr(os.Getenv(faultAfter)), []byte("\n")) < 3 {
				time.Sleep(time.Millisecond)
			}
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				panic(err)
			}
			switch kind := os.Getenv(fault); kind {
			case "SIGSEGV":
				self.Signal(syscall.SIGSEGV)
			case "SIGABRT":
				self.Signal(syscall.SIGABRT)
			case "SIGKILL":
				self.Kill()
			default:
				fmt.Println(len(make([]byte, 1<<44)))
			}
		}()
	}
	main()
}

func readOr(path string) []byte {
	b, _ := os.ReadFile(path)
	return b
}

// world returns a folder with the demo model, and sets the library for child processes.
func world(t *testing.T) string {
	t.Helper()
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// program runs a program that TestMain put on the PATH, and returns its exit code, -1 for a signal.
func program(t *testing.T, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := exec.Command(name, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// evalOf returns the arguments of a small evaluation of the demo model.
func evalOf(world, dir string, more ...string) []string {
	return append([]string{"eval", world, "--data", filepath.Join(world, "prompts.csv"), "--limit", "40", "--taus", "1,2", "--memory", "curated", "--memory", "wrong",
		"--threads", "1", "-o", dir}, more...)
}

// A process that dies in the middle of an evaluation, of a lack of memory or of a fault in the C++ library, becomes a message of one
// line with an exit code. The rows so far are safe: the evaluation resumes and ends with the bytes of an uninterrupted one. Without
// a limit on memory the system kills the process; with one the host or Go's runtime ends it.
func TestD08OutOfMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("runs evaluations")
	}
	w, whole := world(t), t.TempDir()
	if code, _, errs := program(t, "onnx-inject", evalOf(w, whole)...); code != 0 {
		t.Fatal(errs)
	}
	for _, tt := range []struct {
		fault string
		code  int
		want  string
	}{
		{"memory", exitMemory, "onnx-inject: out of memory: the process crashed "},
		{"SIGKILL", exitMemory, "onnx-inject: out of memory: the process crashed "},
		{"SIGABRT", exitRefused, "onnx-inject: the process crashed "},
		{"SIGSEGV", exitRefused, "onnx-inject: the process crashed "},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			if tt.fault == "memory" && !isolate.LimitsMemory {
				t.Skip("this system does not limit memory")
			}
			dir := t.TempDir()
			t.Setenv(fault, tt.fault)
			t.Setenv(faultAfter, filepath.Join(dir, results.PromptsFile))
			code, out, errs := program(t, "faulty", evalOf(w, dir, "--isolate")...)
			lines := strings.SplitAfter(errs, "\n")
			if code != tt.code || out != "" || !strings.HasPrefix(errs, tt.want) || len(lines) != 3 || !strings.HasPrefix(lines[1], "onnx-inject: hint: ") {
				t.Fatalf("exit code %d, want %d\n%s%s", code, tt.code, out, errs)
			}
			r, err := results.Load(t.Context(), dir)
			if err != nil || len(r.Prompts) < 2 || len(r.Prompts) == 40 {
				t.Fatalf("%d prompts after a crash in the middle, %v", len(r.Prompts), err)
			}
			if code, _, errs := program(t, "onnx-inject", evalOf(w, dir)...); code != 0 {
				t.Fatal(errs)
			}
			sameResults(t, whole, dir)
		})
	}
}

// A limit on the address space, as ulimit -v sets it, does not end in the crash report of a runtime: the exit code is 0 or 7.
func TestD08AddressSpace(t *testing.T) {
	if !isolate.LimitsMemory {
		t.Skip("this system does not limit memory")
	}
	if isolate.AddressSpace() > 0 {
		t.Skip("the address space of the tests is limited already")
	}
	w := world(t)
	for _, limit := range []int{1_800_000, 1_850_000, 1_950_000, 4_000_000} { // kB; with less than 1,600,000 the runtime of Go may not even start
		code, out, errs := program(t, "sh", "-c", fmt.Sprintf(`ulimit -v %d; exec onnx-inject run "$0" --prompt Japan`, limit), w)
		lines := strings.Count(errs, "\n")
		switch {
		case code == 0 && out != "" && errs == "" && limit > 1_800_000:
		case code == exitMemory && out == "" && strings.HasPrefix(errs, "onnx-inject: ") && strings.Contains(errs, "out of memory: ") && lines <= 2 && limit < 4_000_000:
		default:
			t.Errorf("ulimit -v %d: exit code %d\n%s%s", limit, code, out, errs)
		}
	}
}
