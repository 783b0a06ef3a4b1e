package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/onnx-inject/onnx-inject/models/demo"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// nameless matches a flag whose usage does not name its value.
var nameless = regexp.MustCompile(`(?m)^  -.* value  `)

// TestExamples runs the example of every help text unchanged, in a folder with the model of demo. It only parses three examples
// that are slow or use the network; the scripts cover demo and pull, and the tests of package lib cover install.
func TestExamples(t *testing.T) {
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	t.Chdir(t.TempDir())
	if err := demo.WriteTo("onnx-inject-demo"); err != nil {
		t.Fatal(err)
	}
	skip := []string{"onnx-inject demo", "onnx-inject ort install", "onnx-inject pull openai-community/gpt2"}
	var check func(path string, cmd *command)
	check = func(path string, cmd *command) {
		args := words(t, cmd.example)
		if len(args) < 2 || args[0] != "onnx-inject" {
			t.Fatalf("%s: example %q", path, cmd.example)
		}
		var help, out, errs bytes.Buffer
		if code := run(append(strings.Fields("onnx-inject "+path), "-h"), &help, &errs); code != 0 {
			t.Errorf("%s -h: exit code %d: %s", path, code, &errs)
		}
		ending := cmd.example
		if cmd.name == "help" { // help -h prints the help of the program
			ending = "onnx-inject demo"
		}
		if !strings.HasSuffix(help.String(), "\nexample:\n  "+ending+"\n") {
			t.Errorf("%s -h does not end with its example:\n%s", path, &help)
		}
		if nameless.MatchString(help.String()) {
			t.Errorf("%s -h: a flag's value has no name:\n%s", path, &help)
		}
		if !slices.Contains(skip, cmd.example) {
			if code := run(args, &out, &errs); code != 0 || out.Len() == 0 {
				t.Errorf("%s: exit code %d\n%s%s", cmd.example, code, &out, &errs)
			}
		} else if _, err := arrange(newApp(&out, &errs), args); err != nil {
			t.Errorf("%s: %v", cmd.example, err)
		}
		for _, p := range cmd.parts {
			check(path+" "+p.name, p)
		}
	}
	for _, cmd := range commands() {
		check(cmd.name, cmd)
	}
}

// words splits a command line like a shell, with the kind of quotes that examples use.
func words(t *testing.T, line string) []string {
	t.Helper()
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// Every command has a name, a description and an example, and every flag has a description.
func TestCommandsAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	var check func(cmd *command)
	check = func(cmd *command) {
		if cmd.name == "" || cmd.usage == "" || cmd.doc == "" || cmd.example == "" || (cmd.run == nil) == (cmd.parts == nil) || seen[cmd.name] {
			t.Errorf("command %+v", cmd)
		}
		for line := range strings.SplitSeq(cmd.doc, "\n") {
			if n := len([]rune(line)); n > 122 {
				t.Errorf("%s: a line of %d characters: %s", cmd.name, n, line)
			}
		}
		for _, f := range cmd.flags {
			if d, ok := f.(cli.DocGenerationFlag); !ok || d.GetUsage() == "" {
				t.Errorf("%s: flag %v has no usage", cmd.name, f.Names())
			}
		}
		for _, p := range cmd.parts {
			check(p)
		}
	}
	for _, cmd := range commands() {
		check(cmd)
		seen[cmd.name] = true
	}
}

// A panic is an internal error: exit code 1, and the output that a bug report needs.
func TestPanic(t *testing.T) {
	var errs bytes.Buffer
	code := run([]string{"onnx-inject", "version"}, panicking{}, &errs)
	if code != exitInternal || !strings.Contains(errs.String(), "onnx-inject: internal error: out of ink") ||
		!strings.Contains(errs.String(), "onnx-inject: hint: this is a bug in onnx-inject") {
		t.Errorf("exit code %d\n%s", code, &errs)
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("out of ink") }

// A signal ends a run quickly, with the exit code that shells expect.
func TestInterrupted(t *testing.T) {
	self, err := exec.LookPath("onnx-inject") // TestMain put it first on the PATH
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		signal syscall.Signal
		code   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}} {
		t.Run(tt.signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, self, "demo", "-o", filepath.Join(dir, "world"))
			c.Env = append(os.Environ(), "ONNX_INJECT_ORT_LIB="+orttest.Host(t).Lib)
			var out, errs bytes.Buffer
			c.Stdout, c.Stderr = &out, &errs
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, err := os.Stat(filepath.Join(dir, "world", "words.txt")); err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("demo wrote no model")
				}
			}
			time.Sleep(500 * time.Millisecond) // now it is running prompts
			start := time.Now()
			if err := c.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			err := c.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tt.code || errs.String() != "onnx-inject: interrupted\n" || out.Len() > 0 {
				t.Errorf("%v, stdout %q, stderr %q; want exit code %d", err, &out, &errs, tt.code)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v to end", d)
			}
		})
	}
}

// build compiles the program with additional environment variables.
func build(t *testing.T, env ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "onnx-inject")
	c := exec.Command("go", "build", "-o", bin, ".")
	c.Env = append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// Without cgo the program builds, inspect and rewrite work, and run reports what is missing.
func TestWithoutCgo(t *testing.T) {
	bin := build(t, "CGO_ENABLED=0")
	dir := t.TempDir()
	if err := demo.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"inspect .", 0, "gpt2"},
		{"rewrite . -o heads.onnx --expose result --inject all", 0, "12"},
		{"run . --prompt Japan", 3, "this program was built without cgo"},
	} {
		c := exec.Command(bin, strings.Fields(tt.args)...)
		c.Dir = dir
		c.Env = append(os.Environ(), "ONNX_INJECT_ORT_LIB="+orttest.Host(t).Lib)
		out, err := c.CombinedOutput()
		code := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != tt.code || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: exit code %d, %v\n%s", tt.args, code, err, out)
		}
	}
}
