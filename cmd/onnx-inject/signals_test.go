package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/models/memory"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// deaf is the program with a standard output that never takes anything: no command can end, and none looks at its context.
func deaf() { os.Exit(process{stdout: stuck{}, stderr: os.Stderr}.run(os.Args)) }

type stuck struct{}

func (stuck) Write([]byte) (int, error) {
	os.Stderr.WriteString("stuck\n")
	select {}
}

// ends sends signals to a running command, and returns its exit code, how long it took to end after the first signal, and the lines
// of standard error.
func ends(t *testing.T, c *exec.Cmd, after time.Duration, signals ...os.Signal) (code int, took time.Duration, lines []string) {
	t.Helper()
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	start := time.Now()
	for _, s := range signals {
		c.Process.Signal(s) // fails if the process has ended
		time.Sleep(20 * time.Millisecond)
	}
	c.Wait()
	code = c.ProcessState.ExitCode()
	if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal()) // what a shell reports
	}
	return code, time.Since(start), strings.Split(strings.TrimSuffix(errs.String(), "\n"), "\n")
}

// slow is longer than the two seconds that a command has, because tests share the machine with others.
const slow = 4 * time.Second

// A command that does not look at its context ends nevertheless: two seconds after the first signal, at once after the second.
func TestD02DeafCommand(t *testing.T) {
	for _, tt := range []struct {
		signals []os.Signal
		code    int
		most    time.Duration
		last    string
	}{
		{[]os.Signal{syscall.SIGINT}, 130, slow, "onnx-inject: interrupted"},
		{[]os.Signal{syscall.SIGTERM}, 143, slow, "onnx-inject: interrupted"},
		{[]os.Signal{syscall.SIGINT, syscall.SIGINT}, 130, patience, "stuck"},
		{[]os.Signal{syscall.SIGTERM, syscall.SIGTERM}, 143, patience, "stuck"},
	} {
		t.Run(fmt.Sprint(tt.signals), func(t *testing.T) {
			t.Parallel()
			code, took, lines := ends(t, exec.Command("deaf", "version"), 500*time.Millisecond, tt.signals...)
			if code != tt.code || took > tt.most || lines[len(lines)-1] != tt.last {
				t.Errorf("exit code %d after %v, %q", code, took, lines)
			}
		})
	}
}

// Every command ends within two seconds of a signal: with its own exit code if it was done, otherwise with that of the signal and
// one message. Nothing is left of a file that was being written.
func TestD02EveryCommand(t *testing.T) {
	w, big := world(t), bigResults(t)
	out := t.TempDir()
	in := func(name string) string { return filepath.Join(out, name) }
	data := filepath.Join(w, "prompts.csv")
	for _, args := range [][]string{
		{"demo", "-o", in("demo")},
		{"inspect", w},
		{"rewrite", w, "-o", in("heads.onnx"), "--expose", "result", "--inject", "all", "--weights", "embed"},
		{"run", w, "--prompt", "Japan", "--memory", " Japan"},
		{"run", w, "--prompt", "Japan", "--memory", " Japan", "--isolate"},
		{"eval", w, "--data", data, "--plan", "points", "-o", in("results")},
		{"eval", w, "--data", data, "--plan", "points", "-o", in("isolated"), "--isolate"},
		{"report", big, "-o", in("report.html"), "--png"},
		{"report", big, "-o", in("report.html"), "--parquet", in("cells.parquet")},
		{"lens", w, "--data", data},
		{"encode", w, "--text", " Japan", "-o", in("v.npy")},
		{"tokens", w, "Japan"},
		{"ort", "doctor"},
		{"man"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			for i, after := range []time.Duration{50 * time.Millisecond, 400 * time.Millisecond} {
				signal := []os.Signal{syscall.SIGINT, syscall.SIGTERM}[i]
				want := []int{130, 143}[i]
				c := exec.Command("onnx-inject", args...)
				code, took, lines := ends(t, c, after, signal)
				status, ok := c.ProcessState.Sys().(syscall.WaitStatus)
				killed := ok && status.Signaled() // by the signal itself: before the handler was set, or when the command was done
				if took > slow {
					t.Errorf("%v after %v: took %v to end", signal, after, took)
				}
				switch code {
				case want:
					if n := strings.Count(strings.Join(lines, "\n"), "interrupted"); n != 1 && !killed {
						t.Errorf("%v after %v: %q", signal, after, lines)
					}
				case 0, exitWrite: // done, or the file of the first round exists
				default:
					t.Errorf("%v after %v: exit code %d, %q", signal, after, code, lines)
				}
			}
		})
	}
	t.Cleanup(func() {
		if left, _ := filepath.Glob(in(".onnx-inject-*")); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// bigResults writes a folder of results that takes about a second to read.
func bigResults(t *testing.T) string {
	t.Helper()
	m := &results.Manifest{Version: results.ManifestVersion, Tool: "test", Model: results.Model{Name: "m"}, Data: results.File{Name: "d.csv"}, Prompts: 40,
		Memories: []results.Source{{Name: "curated"}}, Encoding: "unembed", Convention: "raw", Positions: "all", Texts: memory.PaperTexts, Shard: results.Shard{Of: 1}}
	for l := range 60 {
		m.Layers = append(m.Layers, l)
	}
	for tau := range 60 {
		m.Taus = append(m.Taus, float64(tau+1))
	}
	dir := t.TempDir()
	w, err := results.Create(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Begin(results.Plan{Used: "points"}); err != nil {
		t.Fatal(err)
	}
	for i := range m.Prompts {
		p := results.Prompt{Index: i, TwoHop: "x", Answer: "y", Tokens: 1, Clean: results.Score{LogP: -2, Rank: 1}, Ceiling: results.None()}
		var cells []results.Cell
		for _, l := range m.Layers {
			for _, tau := range m.Taus {
				cells = append(cells, results.Cell{Prompt: i, Layer: l, Tau: tau, Source: "curated", Memory: "m", Encoding: "unembed", Score: results.Score{LogP: -tau / 30}})
			}
		}
		if err := w.Append(p, cells); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Ctrl-C finishes the current prompt, prints how to resume, and ends with exit code 130. So it does with a child process.
func TestD02InterruptedEval(t *testing.T) {
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	w := world(t)
	for _, more := range [][]string{nil, {"--isolate"}} {
		dir := t.TempDir()
		c := exec.Command("onnx-inject", append([]string{"eval", w, "--data", filepath.Join(w, "prompts.csv"), "--plan", "points", "--threads", "1", "-o", dir}, more...)...)
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for range 600 { // until a prompt has been written
			time.Sleep(50 * time.Millisecond)
			if bytes.Count(readOr(filepath.Join(dir, results.PromptsFile)), []byte("\n")) > 2 {
				break
			}
		}
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		c.Wait()
		want := regexp.MustCompile(`^onnx-inject: interrupted: (\d+) of 216 prompts are in .*\nonnx-inject: hint: run the same command again to resume\n$`)
		m := want.FindSubmatch(errs.Bytes())
		if c.ProcessState.ExitCode() != 130 || m == nil || out.Len() > 0 {
			t.Fatalf("%v: exit code %d: %s%s", more, c.ProcessState.ExitCode(), &out, &errs)
		}
		r, err := results.Load(t.Context(), dir)
		if err != nil || fmt.Sprint(len(r.Prompts)) != string(m[1]) || len(r.Cells) != 90*len(r.Prompts) {
			t.Errorf("%v: %d prompts and %d cells after %q", err, len(r.Prompts), len(r.Cells), &errs)
		}
	}
}
