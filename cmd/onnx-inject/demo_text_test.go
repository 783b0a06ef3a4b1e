package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// The next steps of the demo name the program as the user called it.
func TestCalledAs(t *testing.T) {
	dir := t.TempDir()
	name := "inject-test"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	onPath, elsewhere := filepath.Join(dir, "bin", name), filepath.Join(dir, "my tools", name)
	for _, f := range []string{onPath, elsewhere} {
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Dir(onPath))
	for arg0, want := range map[string]string{
		name:                       "inject-test",
		onPath:                     "inject-test", // the launcher of a package gives the whole path
		elsewhere:                  "'" + elsewhere + "'",
		"bin/inject":               "bin/inject",
		"./onnx-inject":            "./onnx-inject",
		filepath.Join(dir, "gone"): filepath.Join(dir, "gone"),
	} {
		if got := calledAs(arg0); got != want {
			t.Errorf("%s: got %s, want %s", arg0, got, want)
		}
	}
	t.Setenv("ONNX_INJECT_COMMAND", "npx onnx-inject")
	if got := calledAs(elsewhere); got != "npx onnx-inject" {
		t.Errorf("got %s", got)
	}
}

// The advice of an error names the program as the user called it, too.
func TestAdviceAsCalled(t *testing.T) {
	for _, tt := range []struct{ arg0, advice, want string }{
		{"./bin/onnx-inject", "onnx-inject demo writes this folder", "./bin/onnx-inject demo writes this folder"},
		{"./bin/onnx-inject", "see onnx-inject COMMAND -h, or onnx-inject help", "see ./bin/onnx-inject COMMAND -h, or ./bin/onnx-inject help"},
		{"./bin/onnx-inject", "for example: onnx-inject inspect onnx-inject-demo", "for example: ./bin/onnx-inject inspect onnx-inject-demo"},
		{"./bin/onnx-inject", "this is a bug in onnx-inject; please report it", "this is a bug in onnx-inject; please report it"},
		{"onnx-inject", "onnx-inject eval writes one", "onnx-inject eval writes one"},
	} {
		if got := hint.Of(asCalled(tt.arg0, hint.With(errors.New("x"), tt.advice))); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.arg0, got, tt.want)
		}
	}
	if err := errors.New("x"); asCalled("a", err) != err || asCalled("a", nil) != nil {
		t.Error("an error without advice changes")
	}
}
