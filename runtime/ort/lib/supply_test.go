package lib

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// The rows S01 to S04 of the reliability matrix, on files. Package ort tests S01 and S02 with libraries that could be loaded.

// A cached library with any byte changed is refused.
func TestS01LibraryChecksum(t *testing.T) {
	cache := isolate(t)
	good := here(t, 30)
	saved := pinned
	t.Cleanup(func() { pinned = saved })
	m := Manifest{Version: "1.30.0", Builds: []Build{
		{Platform: platform(), Flavor: CPU, Client: "pip", Package: "p", Files: []File{{Member: "a/lib.so", SHA256: sum(good)}}},
	}}
	pinned = func() Manifest { return m }
	path := write(t, filepath.Join(cache, "lib.so"), good)
	if f, err := Find("", CPU); err != nil || f.Path != path {
		t.Fatalf("the pinned file: got %q, %v", f.Path, err)
	}
	for i := range good {
		changed := append([]byte(nil), good...)
		changed[i] ^= 1
		write(t, path, changed)
		if f, err := Find("", CPU); err == nil {
			t.Errorf("byte %d is changed: Find returns %q", i, f.Path)
		}
	}
	for _, other := range [][]byte{good[:len(good)-1], append(append([]byte(nil), good...), 0), nil} {
		write(t, path, other)
		if f, err := Find("", CPU); err == nil {
			t.Errorf("%d bytes instead of %d: Find returns %q", len(other), len(good), f.Path)
		}
	}
}

// Each package client gets an exact version and runs no script of a package. Every file has a pinned sum, so that a package with
// other contents is refused, and only pinned files leave the archive.
func TestS03Packages(t *testing.T) {
	b := Build{Package: "onnxruntime-node", Tag: "manylinux_2_28_x86_64"}
	want := map[string][]string{
		"pip": {"download", "--no-deps", "--only-binary=:all:", "onnxruntime-node==1.30.0"}, // wheels only: a source package would be built
		"npm": {"pack", "--ignore-scripts", "onnxruntime-node@1.30.0"},                      // pack downloads and installs nothing
	}
	for _, c := range clients {
		have := map[string]bool{}
		for _, arg := range c.args(b, "1.30.0") {
			have[arg] = true
		}
		for _, arg := range want[c.name] {
			if !have[arg] {
				t.Errorf("%s: %q has no argument %q", c.name, c.args(b, "1.30.0"), arg)
			}
		}
		delete(want, c.name)
	}
	if len(want) > 0 {
		t.Errorf("no such clients: %v", want)
	}

	pack := map[string]string{
		"package/core.so":      "core",
		"package/package.json": `{"scripts": {"preinstall": "touch ran", "install": "touch ran", "postinstall": "touch ran", "prepack": "touch ran"}}`,
		"../outside":           "x", "/tmp/onnx-inject-outside": "x", "package/../../core.so": "x",
	}
	m := Manifest{Version: "1.30.0", Builds: []Build{
		{Platform: "a/b", Flavor: CPU, Client: "npm", Package: "pack", Files: []File{{"package/core.so", sum([]byte("core"))}}},
	}}
	for _, c := range []struct {
		core, err string
		left      map[string]string
	}{
		{"core", "", map[string]string{"core.so": "core"}},
		{"c0re", "want sha256", map[string]string{}},
	} {
		pack["package/core.so"] = c.core
		parent := t.TempDir()
		dir := filepath.Join(parent, "cache")
		_, err := install(t.Context(), InstallOptions{Dir: dir, Flavor: CPU, Log: func(string) {}}, m, "a/b", []client{fake("npm", tarball(t, pack), "*.tgz")})
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: got %v, want %q", c.core, err, c.err)
		}
		if d := cmp.Diff(c.left, listing(t, dir)); d != "" {
			t.Errorf("%s: files in the cache: %s", c.core, d)
		}
		entries, err := os.ReadDir(parent)
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: files beside the cache: %v, %v", c.core, entries, err)
		}
	}
}

// The module of the Go binding carries libraries for its own tests. No place that is searched is below it, the folder from which the
// program starts is not searched, and its libraries are refused on another platform.
func TestS04TestDataOfTheBinding(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(strings.TrimSpace(string(out)), "test_data")
	names := map[string]string{
		"onnxruntime_arm64.so": "linux/arm64", "onnxruntime_arm64.dylib": "darwin/arm64", "onnxruntime.dll": "windows/amd64",
	}
	isolate(t)
	for _, flavor := range []Flavor{CPU, CUDA} {
		for _, p := range places("", flavor) {
			if !filepath.IsAbs(p.Path) || strings.HasPrefix(p.Path, filepath.Dir(data)) || strings.Contains(p.Path, "test_data") {
				t.Errorf("the search includes %s (%s)", p.Path, p.Source)
			}
		}
	}
	// The binding's own default is a bare name, which the system would search; here it must never be found by its name.
	here := t.TempDir()
	t.Chdir(here)
	for name, made := range names {
		path := filepath.Join(data, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("the binding's test library: %v", err)
		}
		for _, as := range []string{name, "onnxruntime.so", "onnxruntime.dll", "libonnxruntime.so", "libonnxruntime.dylib", "lib/libonnxruntime.so"} {
			write(t, filepath.Join(here, as), content)
		}
		if f, err := Find("", CPU); err == nil && f.Source != FromSystem {
			t.Errorf("with %s in the current folder: found %s", name, f.Path)
		}
		if made == runtime.GOOS+"/"+runtime.GOARCH {
			continue // it could be loaded here, but only when the user names it
		}
		_, err = Find(path, CPU)
		want := fmt.Sprintf("want a library for %s, got one for %s", platform(), made)
		if err == nil || !strings.Contains(err.Error(), want) || hint.Of(err) != adviceInstall {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
