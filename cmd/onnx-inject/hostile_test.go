package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/graphtest"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// TestHostileFiles gives every file of the matrix to inspect, rewrite and run. A file that is refused must be refused by all
// of them, for the same reason, on one line, and no file may be written. The others are no decoders, which the commands may
// say, but nothing may fail inside.
func TestHostileFiles(t *testing.T) {
	t.Setenv("ONNX_INJECT_ORT_LIB", orttest.Host(t).Lib)
	for _, row := range graphtest.HostileRows() {
		t.Run(row, func(t *testing.T) {
			dir := t.TempDir()
			path, out := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "out.onnx")
			for _, h := range graphtest.Hostiles(row) {
				if err := os.WriteFile(path, h.Data, 0o644); err != nil {
					t.Fatal(err)
				}
				for _, args := range [][]string{{"inspect", path}, {"rewrite", path, "-o", out, "--expose", "z"}, {"run", path, "--prompt", "Peru"}} {
					var stdout, stderr bytes.Buffer
					code := run(append([]string{"onnx-inject"}, args...), &stdout, &stderr)
					text := stderr.String()
					switch {
					case h.Want == "" && !slices.Contains([]int{0, exitRefused}, code):
						t.Errorf("%s: %s: exit %d\n%.500s", h.Name, args[0], code, text)
					case h.Want != "" && (code != exitRefused || !strings.Contains(text, h.Want)):
						t.Errorf("%s: %s: exit %d, want %d and %q\n%.500s", h.Name, args[0], code, exitRefused, h.Want, text)
					case h.Want != "" && strings.Count(text, "\n") > 2: // the error and the hint
						t.Errorf("%s: %s: many lines\n%.500s", h.Name, args[0], text)
					}
					if _, err := os.Stat(out); err == nil && code != 0 {
						t.Errorf("%s: %s exits with %d and leaves a file", h.Name, args[0], code)
					}
				}
			}
		})
	}
}
