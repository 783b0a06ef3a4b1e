package lib

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// TestMain lets the test program act as a package client: "test fake ARCHIVE" copies the archive into the current folder,
// "test fake hang" waits, "test fake fail" prints an error.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "fake" {
		os.Exit(m.Run())
	}
	if os.Args[len(os.Args)-1] == "--version" {
		os.Exit(0)
	}
	switch what := os.Args[2]; what {
	case "hang":
		time.Sleep(time.Minute)
	case "fail":
		fmt.Fprintln(os.Stderr, "notice: a new version is available\nerror: no such package")
		os.Exit(1)
	default:
		data, err := os.ReadFile(what)
		if err == nil {
			err = os.WriteFile(filepath.Base(what), data, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func fake(name, what, glob string) client {
	return client{name: name, try: [][]string{{"no-such-command"}, {os.Args[0], "fake", what}}, args: func(Build, string) []string { return nil }, glob: glob}
}

func wheel(t *testing.T, members map[string]string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "p.whl"))
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, data := range members {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, data)
	}
	if err := errors.Join(z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func tarball(t *testing.T, members map[string]string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "p.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	w := tar.NewWriter(z)
	for name, data := range members {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, data)
	}
	if err := errors.Join(w.Close(), z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func TestInstall(t *testing.T) {
	m := Manifest{Version: "9.9", Builds: []Build{
		{Platform: "a/b", Flavor: CPU, Client: "pip", Package: "wheel", Megabytes: 1, Files: []File{{"x/core.so", sum([]byte("core"))}, {"x/extra.so", sum([]byte("extra"))}}},
		{Platform: "a/b", Flavor: CPU, Client: "npm", Package: "pack", Megabytes: 2, Files: []File{{"package/core2.so", sum([]byte("core2"))}}},
	}}
	pip := fake("pip", wheel(t, map[string]string{"x/core.so": "core", "x/extra.so": "extra", "x/other.so": "other"}), "*.whl")
	npm := fake("npm", tarball(t, map[string]string{"package/readme": "no", "package/core2.so": "core2"}), "*.tgz")
	changed := fake("pip", wheel(t, map[string]string{"x/core.so": "c0re", "x/extra.so": "extra"}), "*.whl")
	fromPip := map[string]string{"core.so": "core", "extra.so": "extra"}

	for _, c := range []struct {
		name    string
		before  map[string]string
		clients []client
		want    Installed
		after   map[string]string
		err     string
		hint    string
	}{
		{name: "pip first", clients: []client{pip, npm}, want: Installed{Path: "core.so", Client: "pip", Package: "wheel"}, after: fromPip},
		{name: "npm when there is no pip", clients: []client{npm}, want: Installed{Path: "core2.so", Client: "npm", Package: "pack"}, after: map[string]string{"core2.so": "core2"}},
		{name: "npm when pip fails", clients: []client{fake("pip", "fail", "*.whl"), npm}, want: Installed{Path: "core2.so", Client: "npm", Package: "pack"}, after: map[string]string{"core2.so": "core2"}},
		{name: "already there", before: fromPip, clients: nil, want: Installed{Path: "core.so", Client: "pip", Package: "wheel", Already: true}, after: fromPip},
		{name: "already there from npm", before: map[string]string{"core2.so": "core2"}, clients: []client{pip},
			want: Installed{Path: "core2.so", Client: "npm", Package: "pack", Already: true}, after: map[string]string{"core2.so": "core2"}},
		{name: "damaged file replaced", before: map[string]string{"core.so": "c0re", "extra.so": "extra"}, clients: []client{pip},
			want: Installed{Path: "core.so", Client: "pip", Package: "wheel"}, after: fromPip},
		{name: "half installed", before: map[string]string{"core.so": "core"}, clients: []client{pip}, want: Installed{Path: "core.so", Client: "pip", Package: "wheel"}, after: fromPip},
		{name: "one byte changed", clients: []client{changed}, after: map[string]string{"extra.so": "extra"},
			err: `install ONNX Runtime 9.9 (cpu) for a/b: pip: member "x/core.so": want sha256 ` + sum([]byte("core")) + ", got " + sum([]byte("c0re"))},
		{name: "member missing", clients: []client{fake("npm", tarball(t, nil), "*.tgz")}, after: map[string]string{},
			err: `install ONNX Runtime 9.9 (cpu) for a/b: npm: member "package/core2.so": not in the package`},
		{name: "nothing downloaded", clients: []client{fake("pip", pip.try[1][2], "*.other")}, after: map[string]string{},
			err: "install ONNX Runtime 9.9 (cpu) for a/b: pip: want one *.other, got 0"},
		{name: "client complains", clients: []client{fake("pip", "fail", "*.whl")}, after: map[string]string{},
			err: "install ONNX Runtime 9.9 (cpu) for a/b: pip: exit status 1: error: no such package", hint: "name a library that you already have with --ort-lib or ONNX_INJECT_ORT_LIB"},
		{name: "no client", after: map[string]string{}, err: "install ONNX Runtime 9.9 (cpu) for a/b: no package client found", hint: "install Python's pip or npm, or name a library with --ort-lib"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new", "folder")
			for name, data := range c.before {
				write(t, filepath.Join(dir, name), []byte(data))
			}
			var said []string
			got, err := install(t.Context(), InstallOptions{Dir: dir, Flavor: CPU, Log: func(s string) { said = append(said, s) }}, m, "a/b", c.clients)
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Fatalf("got error %v\nwant %s", err, c.err)
			}
			if c.hint != "" && hint.Of(err) != c.hint {
				t.Errorf("got hint %q, want %q", hint.Of(err), c.hint)
			}
			if err == nil {
				c.want.Path = filepath.Join(dir, c.want.Path)
				c.want.Version, c.want.Flavor = "9.9", CPU
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
				if got.Already != (len(said) == 0) {
					t.Errorf("logged %q", said)
				}
			}
			if d := cmp.Diff(c.after, listing(t, dir)); d != "" {
				t.Errorf("files left: %s", d)
			}
		})
	}
}

func TestInstallUnknownPlatform(t *testing.T) {
	_, err := install(t.Context(), InstallOptions{Dir: t.TempDir(), Flavor: CUDA, Log: func(string) {}}, Pinned(), "darwin/amd64", nil)
	if want := "install ONNX Runtime 1.30.0 (cuda) for darwin/amd64: no build is pinned for this platform"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestInstallCancelled(t *testing.T) {
	m := Manifest{Version: "9.9", Builds: []Build{{Platform: "a/b", Flavor: CPU, Client: "pip", Package: "p", Files: []File{{"x", "y"}}}}}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := install(ctx, InstallOptions{Dir: t.TempDir(), Flavor: CPU, Log: func(string) {}}, m, "a/b", []client{fake("pip", "hang", "*.whl")})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestPipArguments(t *testing.T) {
	got := strings.Join(clients[0].args(Build{Package: "onnxruntime", Tag: "win_amd64"}, "1.30.0"), " ")
	want := "download --quiet --disable-pip-version-check --no-input --no-deps --only-binary=:all: --platform win_amd64 --python-version 3.12 --dest . onnxruntime==1.30.0"
	if got != want {
		t.Errorf("got %s", got)
	}
}
