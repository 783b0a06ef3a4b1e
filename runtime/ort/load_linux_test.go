//go:build cgo

package ort_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// A process loads one library, so invalid libraries are tried in separate processes: with this variable set, the test
// program opens a model with the library that the variable names, and prints the error and the hint.
const tryLibrary = "ORT_TEST_TRY_LIBRARY"

func TestMain(m *testing.M) {
	path := os.Getenv(tryLibrary)
	if path == "" {
		os.Exit(m.Run())
	}
	_, err := ort.Host{Lib: path}.Open(context.Background(), runtime.Model{Bytes: []byte("x"), Path: "m.onnx"},
		runtime.Options{Device: runtime.Device{CUDA: true}})
	fmt.Printf("%v\n%s\n", err, hint.Of(err))
}

func try(t *testing.T, path string) (err, hint string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), tryLibrary+"="+path)
	out, e := cmd.CombinedOutput()
	if e != nil {
		t.Fatalf("%v: %s", e, out)
	}
	err, hint, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return err, hint
}

// build compiles a shared library with the C compiler that cgo requires anyway.
func build(t *testing.T, path, source string, flags ...string) string {
	t.Helper()
	cc, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		t.Fatal(err)
	}
	c := filepath.Join(t.TempDir(), "lib.c")
	if err := os.WriteFile(c, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	argv := append(strings.Fields(string(cc)), append([]string{"-shared", "-fPIC", "-o", path, c}, flags...)...)
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// an ONNX Runtime that has no API version at all
const tooOld = `
static const void *api(unsigned version) { return 0; }
static const char *version(void) { return "1.17.3"; }
static const struct { const void *(*api)(unsigned); const char *(*version)(void); } base = { api, version };
const void *OrtGetApiBase(void) { return &base; }
`

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "versions")
	if err := os.WriteFile(script, []byte("VERS_1.19.2 { global: OrtGetApiBase; local: *; };"), 0o644); err != nil {
		t.Fatal(err)
	}
	const install = "run `onnx-inject ort install`, or name an ONNX Runtime library, 1.24 or newer, with --ort-lib or ONNX_INJECT_ORT_LIB"
	for _, c := range []struct {
		name, source string
		flags        []string
		want, hint   string // %s is the path of the library
	}{
		{"old by its symbols", tooOld, []string{"-Wl,--version-script=" + script},
			"find ONNX Runtime (--ort-lib): library %q: this library is too old, need >= 1.24, got 1.19.2", install},
		{"old by its API answer", tooOld, nil, "load ONNX Runtime: library %q: this library is too old, need >= 1.24, got an unknown version", install},
		{"another library", "int x;", nil, "load ONNX Runtime: library %q: is not ONNX Runtime (it has no OrtGetApiBase)", ""},
		{"dependency missing", tooOld, []string{"-Wl,--no-as-needed", build(t, filepath.Join(dir, "gone", "libgone.so"), "int y;", "-Wl,-soname,libgone.so.7")},
			"load ONNX Runtime: library %q: libgone.so.7: cannot open shared object file: No such file or directory", ""},
	} {
		path := build(t, filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-")+".so"), c.source, c.flags...)
		err, hint := try(t, path)
		if want := fmt.Sprintf(c.want, path); err != want || hint != c.hint {
			t.Errorf("%s:\n got %s\nwant %s\n got hint %q\nwant %q", c.name, err, want, hint, c.hint)
		}
	}
}

// TestCUDALibraries adds the files that CUDA needs to a real core library, one at a time, and checks which files are
// reported as missing.
func TestCUDALibraries(t *testing.T) {
	core, err := os.ReadFile(orttest.Host(t).Lib)
	if err != nil {
		t.Fatal(err)
	}
	site := t.TempDir()
	dir := filepath.Join(site, "onnxruntime", "capi")
	path := build(t, filepath.Join(dir, "libonnxruntime.so"), "int x;")
	if err := os.WriteFile(path, core, 0o644); err != nil {
		t.Fatal(err)
	}
	blas := build(t, filepath.Join(site, "away", "libcublasLt.so.999"), "int a;", "-Wl,-soname,libcublasLt.so.999")
	driver := build(t, filepath.Join(site, "away", "libcuda.so.999"), "int b;", "-Wl,-soname,libcuda.so.999")

	check := func(want, hint string) {
		t.Helper()
		gotErr, gotHint := try(t, path)
		if want = `open "m.onnx" on cuda:0: CUDA: ` + want; gotErr != want || !strings.HasPrefix(gotHint, hint) {
			t.Errorf("\n got %s\nwant %s\n got hint %q\nwant %q", gotErr, want, gotHint, hint)
		}
	}
	_, version := ort.Loaded()
	if version == "" {
		if version, err = ort.Load(orttest.Host(t).Lib); err != nil {
			t.Fatal(err)
		}
	}
	check("no libonnxruntime_providers_cuda.so beside "+path+" (ONNX Runtime "+version+")", "run `onnx-inject ort install --cuda`")
	provider := build(t, filepath.Join(dir, "libonnxruntime_providers_cuda.so"), "int c;", "-Wl,--no-as-needed", blas, driver)
	check("no libonnxruntime_providers_shared.so beside "+path+" (ONNX Runtime "+version+")", "run `onnx-inject ort install --cuda`")
	build(t, filepath.Join(dir, "libonnxruntime_providers_shared.so"), "int d;")
	needs := filepath.Base(provider) + " needs "
	check(needs+"libcublasLt.so.999, libcuda.so.999, which this machine cannot load", "install the CUDA libraries")

	// the folder in which Python keeps the CUDA libraries
	beside := filepath.Join(site, "nvidia", "cu999", "lib")
	if err := os.MkdirAll(beside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(blas, filepath.Join(beside, filepath.Base(blas))); err != nil {
		t.Fatal(err)
	}
	check(needs+"libcuda.so.999, which this machine cannot load", "install the NVIDIA driver")
}
