//go:build unix

package jobs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

const parts = 3

// flags keep the evaluation small: 8 prompts, so that parts are of different sizes.
var flags = []string{"--limit", "8", "--taus", "0.5,2", "--memory", "curated", "--memory", "random:words.txt", "--top", "2"}

// The parts of processes, tasks or pods together equal the results of one process.
func TestPartsAreTheWhole(t *testing.T) {
	w := newWorld(t)
	w.run(t, nil, w.program, append([]string{"eval", "world", "--data", "world/prompts.csv", "-o", "whole", "--threads", "1"}, flags...)...)
	for _, c := range []struct {
		name string
		run  func(t *testing.T, out string)
	}{
		{"local", func(t *testing.T, out string) {
			w.run(t, []string{"THREADS=1"}, "local.sh", append([]string{strconv.Itoa(parts), "world", "world/prompts.csv", out}, flags...)...)
			if page, err := os.ReadFile(filepath.Join(w.dir, out, "report.html")); err != nil || len(page) < 1000 {
				t.Errorf("report.html: %d bytes, %v", len(page), err)
			}
		}},
		{"slurm", func(t *testing.T, out string) {
			for i := range parts { // an array that begins at 5
				env := []string{fmt.Sprintf("SLURM_ARRAY_TASK_ID=%d", 5+i), "SLURM_ARRAY_TASK_MIN=5", fmt.Sprintf("SLURM_ARRAY_TASK_COUNT=%d", parts), "SLURM_CPUS_PER_TASK=1"}
				w.run(t, env, "slurm.sh", append([]string{"world", "world/prompts.csv", out}, flags...)...)
			}
		}},
		{"kubernetes", func(t *testing.T, out string) {
			command := containerCommand(t)
			for i := range parts {
				env := []string{fmt.Sprintf("JOB_COMPLETION_INDEX=%d", i), fmt.Sprintf("JOB_COMPLETIONS=%d", parts),
					"MODEL=world", "DATA=world/prompts.csv", "OUT=" + out, "THREADS=1", "FLAGS=" + strings.Join(flags, " ")}
				w.run(t, env, command[0], command[1:]...)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.run(t, c.name)
			found, err := filepath.Glob(filepath.Join(w.dir, c.name, "part-*[0-9]"))
			if err != nil || len(found) != parts {
				t.Fatalf("folders %v, %v: want %d", found, err, parts)
			}
			w.sameAsWhole(t, found)
		})
	}
}

// A part that fails makes the script fail with the reason.
func TestLocalFails(t *testing.T) {
	w := newWorld(t)
	cmd := w.command(nil, "local.sh", "2", "world", "world/prompts.csv", "out", "--taus", "nonsense")
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "part 0 ended with exit code 2") || !strings.Contains(string(out), "nonsense") {
		t.Errorf("local.sh with a wrong flag: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "out", "report.html")); err == nil {
		t.Error("a report was created although a part failed")
	}
}

// world is a folder with the built-in model, and the program.
type world struct{ dir, program, library string }

func newWorld(t *testing.T) world {
	t.Helper()
	bin := t.TempDir()
	w := world{t.TempDir(), filepath.Join(bin, "onnx-inject"), orttest.Host(t).Lib}
	if out, err := exec.Command("go", "build", "-o", w.program, "../../cmd/onnx-inject").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := demo.WriteTo(filepath.Join(w.dir, "world")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "words.txt"), []byte("People\nIn\nThe\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w world) command(env []string, name string, args ...string) *exec.Cmd {
	if abs, err := filepath.Abs(name); err == nil && strings.HasSuffix(name, ".sh") {
		name = abs
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "ONNX_INJECT_ORT_LIB="+w.library, "PATH="+filepath.Dir(w.program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func (w world) run(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	if out, err := w.command(env, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// sameAsWhole compares the combined results of folders with the folder "whole", byte by byte for each row.
func (w world) sameAsWhole(t *testing.T, folders []string) {
	t.Helper()
	whole, err := results.Load(t.Context(), filepath.Join(w.dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	var runs []*results.Run
	for _, f := range folders {
		r, err := results.Load(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	merged, err := results.Merge(runs)
	if err != nil {
		t.Fatal(err)
	}
	if len(merged) != 1 || len(merged[0].Prompts) != 8 || len(merged[0].Cells) != len(whole.Cells) {
		t.Fatalf("%d runs; want one of 8 prompts and %d cells", len(merged), len(whole.Cells))
	}
	if d := cmp.Diff(whole.Cells, merged[0].Cells); d != "" {
		t.Errorf("cells (-whole +parts):\n%s", d)
	}
	for _, name := range []string{results.CellsFile, results.PromptsFile} {
		if d := cmp.Diff(rows(t, []string{filepath.Join(w.dir, "whole")}, name), rows(t, folders, name)); d != "" {
			t.Errorf("rows of %s (-whole +parts):\n%s", name, d)
		}
	}
}

// rows returns the lines of a file in several folders, by prompt; the demo's texts have no line breaks.
func rows(t *testing.T, folders []string, name string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, f := range folders {
		b, err := os.ReadFile(filepath.Join(f, name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		at := 0
		for i, column := range strings.Split(lines[0], ",") {
			if column == "prompt" {
				at = i
			}
		}
		for _, line := range lines[1:] {
			prompt := strings.Split(line, ",")[at]
			out[prompt] = append(out[prompt], line)
		}
	}
	if len(out) != 8 {
		t.Fatalf("%s: %d prompts", name, len(out))
	}
	return out
}

// containerCommand reads the command of the pods, and checks that they get the number of completions.
func containerCommand(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	find := func(expression string) string {
		m := regexp.MustCompile(expression).FindSubmatch(b)
		if m == nil {
			t.Fatalf("kubernetes.yaml: want a line that matches %s", expression)
		}
		return string(m[1])
	}
	if a, b := find(`(?m)^  completions: (\d+)`), find(`name: JOB_COMPLETIONS, value: "(\d+)"`); a != b {
		t.Errorf("%s completions, but pods get %s", a, b)
	}
	var command []string
	if err := json.Unmarshal([]byte(find(`(?m)^ +command: (\[.*\])$`)), &command); err != nil {
		t.Fatal(err)
	}
	return command
}
