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
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
	"github.com/onnx-inject/onnx-inject/runtime/ort/orttest"
)

// A process loads one library, so invalid libraries are tried in separate processes: with this variable set, the test
// program opens a model with the library that the variable names, and prints the error and the hint.
const tryLibrary = "ORT_TEST_TRY_LIBRARY"

// searchCache as the variable's value lets the process search for a library.
const searchCache = "search"

func TestMain(m *testing.M) {
	path := os.Getenv(tryLibrary)
	if path == "" {
		os.Exit(m.Run())
	}
	if path == searchCache {
		path = ""
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

const adviceInstall = "run `onnx-inject ort install`, or name an ONNX Runtime library, 1.24 or newer, with --ort-lib or ONNX_INJECT_ORT_LIB"

// refused compiles a library, tries to open a model with it, and compares the error and the hint; %q in want is the path.
func refused(t *testing.T, path, source, want, hint string, flags ...string) {
	t.Helper()
	build(t, path, source, flags...)
	err, gotHint := try(t, path)
	if want := fmt.Sprintf(want, path); err != want || gotHint != hint {
		t.Errorf("\n got %s\nwant %s\n got hint %q\nwant %q", err, want, gotHint, hint)
	}
}

// A library without the API version that the binding requires is refused with both versions: by its symbols before it is loaded, else
// by its own answer.
func TestS02LibraryTooOld(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "versions")
	if err := os.WriteFile(script, []byte("VERS_1.19.2 { global: OrtGetApiBase; local: *; };"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(dir, "symbols.so"), tooOld, "find ONNX Runtime (--ort-lib): library %q: this library is too old, need >= 1.24, got 1.19.2", adviceInstall,
		"-Wl,--version-script="+script)
	refused(t, filepath.Join(dir, "answer.so"), tooOld, "load ONNX Runtime: library %q: this library is too old, need >= 1.24, got an unknown version", adviceInstall)
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	refused(t, filepath.Join(dir, "other.so"), "int x;", "load ONNX Runtime: library %q: is not ONNX Runtime (it has no OrtGetApiBase)", "")
	gone := build(t, filepath.Join(dir, "gone", "libgone.so"), "int y;", "-Wl,-soname,libgone.so.7")
	refused(t, filepath.Join(dir, "dependency.so"), tooOld, "load ONNX Runtime: library %q: libgone.so.7: cannot open shared object file: No such file or directory", "",
		"-Wl,--no-as-needed", gone)
}

// A library's constructor runs while it is loaded. This one creates a file, so that the test sees whether a library was loaded.
const leavesMark = tooOld + `
#include <stdio.h>
#include <stdlib.h>
__attribute__((constructor)) static void ran(void) { FILE *f = fopen(getenv("ORT_TEST_MARK"), "w"); if (f) fclose(f); }
`

// A library that is refused is never loaded: nothing of it runs.
func TestS01RefusedBeforeLoading(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "mark")
	t.Setenv("ORT_TEST_MARK", mark)
	ran := func() bool {
		_, err := os.Stat(mark)
		os.Remove(mark)
		return err == nil
	}
	library := build(t, filepath.Join(dir, "library.so"), leavesMark)
	if _, _ = try(t, library); !ran() {
		t.Fatal("the constructor did not run, so this test cannot see a load")
	}

	content, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	place := func(path string, file, folder os.FileMode) string {
		t.Helper()
		for _, err := range []error{os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o755), os.Chmod(path, file), os.Chmod(filepath.Dir(path), folder)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")) // a cache in which every pinned library is replaced by this one
	for _, b := range lib.Pinned().Builds {
		for _, flavor := range []lib.Flavor{lib.CPU, lib.CUDA} {
			cache, err := lib.CacheDir(flavor)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Files {
				place(filepath.Join(cache, filepath.Base(f.Member)), 0o644, 0o755)
			}
		}
	}
	t.Setenv(string(lib.FromEnv), "")
	t.Setenv(string(lib.FromBinding), "")
	t.Chdir(dir)
	for _, c := range []struct{ name, path, want string }{
		{"replaced in the cache", searchCache, "want sha256 "},
		{"relative path", "./library.so", "a relative path depends on the current folder"},
		{"bare name", "library.so", "a relative path depends on the current folder"},
		{"file that others can write", place(filepath.Join(dir, "open", "library.so"), 0o666, 0o755), "is writable by everyone"},
		{"folder that others can write", place(filepath.Join(dir, "loose", "library.so"), 0o644, 0o777), "is writable by everyone"},
	} {
		if err, _ := try(t, c.path); !strings.Contains(err, c.want) {
			t.Errorf("%s: got %s, want %s", c.name, err, c.want)
		}
		if ran() {
			t.Errorf("%s: the library was loaded", c.name)
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
