package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
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
