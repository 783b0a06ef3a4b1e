//go:build cgo

package ort

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/runtime"
)

// TestBridge compares the C declarations in bridge.h with those of the binding that this program is linked with.
func TestBridge(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatal(err)
	}
	header, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "onnxruntime_wrapper.h"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile("bridge.h")
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Join(strings.Fields(string(header)), " ")
	n := 0
	for decl := range strings.Lines(string(ours)) {
		if !strings.HasSuffix(decl, ");\n") {
			continue // not a function
		}
		n++
		if decl = strings.Join(strings.Fields(decl), " "); !strings.Contains(theirs, decl) {
			t.Errorf("the binding does not declare %s", decl)
		}
	}
	if n < 20 {
		t.Errorf("only %d declarations", n)
	}
}

func TestHandle(t *testing.T) {
	type inner struct{ p *int }
	type outer struct {
		s *inner
		n int //lint:ignore U1000 looked up by its name
	}
	x := 1
	if p, err := handle(&outer{s: &inner{&x}}, "s", "p"); err != nil || *(*int)(p) != 1 {
		t.Errorf("got %v, %v", p, err)
	}
	for _, c := range []struct {
		from   any
		fields []string
	}{
		{&outer{}, []string{"s", "p"}}, {&outer{s: &inner{}}, []string{"s", "p"}}, {&outer{}, []string{"x"}}, {&outer{}, []string{"n"}},
		{outer{}, []string{"s"}}, {nil, nil},
	} {
		if p, err := handle(c.from, c.fields...); err == nil {
			t.Errorf("%+v %v: got %v", c.from, c.fields, p)
		}
	}
}

func TestCause(t *testing.T) {
	for text, want := range map[string]bool{
		"Failed to allocate memory for requested buffer of size 7": true,
		"std::bad_alloc": true,
		"pthread_create failed, error code: 12 error msg: Cannot allocate memory": true,
		"CUDA failure 2: out of memory ; GPU=0 ":                                  true,
		"indices element out of data bounds":                                      false,
	} {
		err := cause(text)
		if errors.Is(err, runtime.ErrMemory) != want || !strings.HasSuffix(err.Error(), text) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
