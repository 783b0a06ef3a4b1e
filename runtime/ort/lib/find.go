package lib

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Source is the place that a library comes from. The constants are in search order.
type Source string

const (
	FromFlag    Source = "--ort-lib"
	FromEnv     Source = "ONNX_INJECT_ORT_LIB"
	FromBinding Source = "ONNXRUNTIME_SHARED_LIBRARY_PATH"
	FromPackage Source = "onnxruntime package"
	FromBeside  Source = "beside the executable"
	FromCache   Source = "user cache"
	FromSystem  Source = "system"
)

// packageVariable names the library of [FromPackage].
const packageVariable = "ONNX_INJECT_PACKAGE_ORT"

// Found is the library to load and where it came from.
type Found struct {
	Info
	Source Source `json:"source"`
}

// Place is one path that was searched.
type Place struct {
	Source  Source `json:"source"`
	Path    string `json:"path"`
	Exists  bool   `json:"exists"`
	Version string `json:"version,omitempty"`
	Problem string `json:"problem,omitempty"` // why the file there cannot be used
}

// Find returns the library to use; explicit is the path given by the user, or "". In the cache Find prefers a build of
// flavor f but accepts the other flavor: both work on the CPU, and a missing CUDA provider is reported when CUDA is
// requested.
func Find(explicit string, f Flavor) (Found, error) {
	for _, p := range places(explicit, f) {
		err := p.check()
		if err == nil {
			return Found{Info: p.info, Source: p.Source}, nil
		}
		if !p.stated() && !p.Exists {
			continue
		}
		advice := hint.Of(err)
		if p.Source == FromPackage {
			advice = adviceUpgrade
		}
		return Found{}, hint.With(fmt.Errorf("find ONNX Runtime (%s): %w", p.Source, err), advice)
	}
	return Found{}, hint.With(errors.New("find ONNX Runtime: no library on this machine"), adviceInstall)
}

// place is a Place and the data that its check needs.
type place struct {
	Place
	info  Info
	build *Build // in the cache: the build that must be there
}

func places(explicit string, f Flavor) []*place {
	var out []*place
	add := func(s Source, path string) {
		if path != "" {
			out = append(out, &place{Place: Place{Source: s, Path: path}})
		}
	}
	add(FromFlag, explicit)
	add(FromEnv, os.Getenv(string(FromEnv)))
	add(FromBinding, os.Getenv(string(FromBinding)))
	add(FromPackage, os.Getenv(packageVariable))
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		for _, p := range libraries(filepath.Join(filepath.Dir(exe), "lib")) {
			add(FromBeside, p)
		}
	}
	other := CUDA
	if f == CUDA {
		other = CPU
	}
	for _, f := range []Flavor{f, other} {
		dir, err := CacheDir(f)
		if err != nil {
			continue // no home folder, no cache
		}
		for _, b := range pinned().builds(platform(), f) {
			out = append(out, &place{Place: Place{Source: FromCache, Path: b.library(dir)}, build: &b})
		}
	}
	for _, dir := range systemDirs() {
		for _, p := range libraries(dir) {
			add(FromSystem, p)
		}
	}
	return out
}

// stated reports whether the user named exactly this path.
func (p *place) stated() bool {
	return p.Source == FromFlag || p.Source == FromEnv || p.Source == FromBinding
}

// check fills in the facts about the file and returns the reason why it cannot be used.
func (p *place) check() error {
	if _, err := os.Stat(p.Path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		p.Exists = true
	}
	var err error
	p.info, err = Check(p.Path)
	p.Version = p.info.Version
	if err == nil && p.build != nil {
		if err = p.build.verify(filepath.Dir(p.Path)); err != nil {
			err = hint.With(fmt.Errorf("cached file %w", err), "the file is damaged or was changed; run `onnx-inject ort install` to replace it")
		}
	}
	if err != nil && (p.Exists || p.stated()) {
		p.Problem = err.Error()
	}
	return err
}

// libraries lists the ONNX Runtime libraries in dir, the plain name first, then the newest version.
func libraries(dir string) []string {
	pattern := map[string]string{"windows": "onnxruntime.dll", "darwin": "libonnxruntime*.dylib"}[runtime.GOOS]
	if pattern == "" {
		pattern = "libonnxruntime.so*"
	}
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil // only a malformed pattern fails
	}
	found = slices.DeleteFunc(found, func(p string) bool { return strings.Contains(filepath.Base(p), "providers") })
	slices.SortFunc(found, func(a, b string) int {
		switch x, y := nameVersion(a), nameVersion(b); {
		case x == y:
			return 0
		case x == "" || y != "" && older(y, x):
			return -1
		}
		return 1
	})
	return found
}

// nameVersion returns the version in a file name such as libonnxruntime.so.1.30.0 or libonnxruntime.1.30.0.dylib, ""
// when there is none.
func nameVersion(path string) string {
	_, s, _ := strings.Cut(filepath.Base(path), ".")
	s = strings.TrimPrefix(strings.TrimPrefix(s, "so"), ".")
	return strings.TrimSuffix(strings.TrimSuffix(s, "dylib"), ".")
}

// systemDirs leaves out Windows, because its System32 holds an old onnxruntime.dll that belongs to the system.
func systemDirs() []string {
	switch runtime.GOOS {
	case "linux":
		triple := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
		return []string{"/usr/local/lib", "/opt/onnxruntime/lib", "/usr/lib64", "/usr/lib/" + triple, "/usr/lib"}
	case "darwin":
		return []string{"/opt/homebrew/lib", "/usr/local/lib"}
	}
	return nil
}
