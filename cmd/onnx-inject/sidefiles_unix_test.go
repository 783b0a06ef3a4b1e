//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// strange are things that a file may be instead, and what the refusal says.
var strange = []struct {
	name string
	put  func(path string) error
	want string
}{
	{"pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "want a regular file, got a named pipe"},
	{"endless", func(path string) error { return os.Symlink("/dev/zero", path) }, "want a regular file, got a device"},
	{"folder", func(path string) error { return os.Mkdir(path, 0o700) }, "want a regular file, got a folder"},
	{"sparse", func(path string) error {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		return os.Truncate(path, 30<<30)
	}, "want at most "},
}

// A file beside a model, of prompts, of memories or of results may be a pipe that nobody writes to, a device without an end, a
// folder, or larger than the memory: each is refused at once.
func TestStrangeSideFiles(t *testing.T) {
	self, err := exec.LookPath("onnx-inject") // TestMain put it first there
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	dir := t.TempDir()
	world, out := filepath.Join(dir, "world"), filepath.Join(dir, "out")
	if err := demo.WriteTo(world); err != nil {
		t.Fatal(err)
	}
	run := []string{"run", world, "--prompt", "Peru"}
	eval := func(more ...string) []string {
		return append([]string{"eval", world, "--limit", "1", "--layers", "0", "--taus", "1", "-o", out}, more...)
	}
	data := filepath.Join(world, "prompts.csv")
	if b, err := exec.Command(self, eval("--data", data)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		file    string
		command []string
	}{
		{"world/config.json", []string{"inspect", world}},
		{"world/genai_config.json", []string{"inspect", world}},
		{"world/tokenizer.json", run}, {"world/vocab.json", run}, {"world/merges.txt", run}, {"world/tokenizer_config.json", run},
		{"world/special_tokens_map.json", run}, {"world/added_tokens.json", run}, {"world/generation_config.json", run},
		{"memory.npy", append(run, "--vector", at("memory.npy"))},
		{"memory.safetensors", append(run, "--vector", at("memory.safetensors"))},
		{"memory.gguf", append(run, "--vector", at("memory.gguf"))},
		{"data.csv", eval("--data", at("data.csv"))},
		{"data.jsonl", eval("--data", at("data.jsonl"))},
		{"words.txt", eval("--data", data, "--memory", "file:"+at("words.txt"))},
		{"words.csv", eval("--data", data, "--memory", "random:"+at("words.csv")+"#a")},
		{"words.npy", eval("--data", data, "--memory", "file:"+at("words.npy"))},
		{"out/manifest.json", []string{"report", out, "-o", at("page.html")}},
		{"out/cells.csv", []string{"report", out, "-o", at("page.html")}},
		{"out/prompts.csv", []string{"report", out, "-o", at("page.html")}},
		{"tau/model-hand/memory_tweaker_unembed_head_hook/tweak_1.csv", []string{"report", "--published", at("tau"), "-o", at("page.html")}},
	} {
		for _, s := range strange {
			if s.name == "folder" && strings.HasPrefix(tt.file, "tau/") {
				continue // folders of that name are searched for files
			}
			t.Run(filepath.Base(tt.file)+" "+s.name, func(t *testing.T) {
				path := at(tt.file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				was := path + ".was"
				if err := os.Rename(path, was); err == nil {
					defer os.Rename(was, path)
				}
				if err := s.put(path); err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(path)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				c := exec.CommandContext(ctx, self, tt.command...)
				peak := filepath.Join(t.TempDir(), "peak")
				c.Env = append(os.Environ(), peakFile+"="+peak)
				said, _ := c.CombinedOutput()
				if code := c.ProcessState.ExitCode(); code != exitRefused || !strings.Contains(string(said), s.want) || !strings.Contains(string(said), filepath.Base(tt.file)) {
					t.Errorf("exit code %d after %v, want 3 and %q:\n%s", code, c.ProcessState.UserTime(), s.want, said)
				}
				if kb := peakOf(t, peak); kb > 256<<10 {
					t.Errorf("the refusal took %d MB", kb>>10)
				}
			})
		}
	}
}

// peakOf reads what a process wrote about its memory, in KiB.
func peakOf(t *testing.T, path string) int64 {
	t.Helper()
	status, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(status), "VmHWM:")
	var kb int64
	if _, err := fmt.Sscan(after, &kb); found && err != nil {
		t.Fatal(err)
	}
	return kb // 0 on systems without this file
}
