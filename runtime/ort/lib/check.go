package lib

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Info is what the headers of a library file state.
type Info struct {
	Path     string `json:"path"`
	Version  string `json:"version,omitempty"`  // "" when the file does not state it
	Platform string `json:"platform,omitempty"` // GOOS/GOARCH
}

const adviceInstall = "run `onnx-inject ort install`, or name an ONNX Runtime library, 1.24 or newer, with --ort-lib or ONNX_INJECT_ORT_LIB"

const adviceUpgrade = "upgrade that package: `pip install --upgrade onnxruntime` or `npm install onnxruntime-node@latest`; ONNX_INJECT_ORT_LIB names another library"

// Check decides whether the library at path may be loaded, without loading it. The path must be absolute, only its owner
// may be able to replace the file, and the file must be a library for this machine that is not older than [Oldest].
func Check(path string) (Info, error) {
	info := Info{Path: path}
	if !filepath.IsAbs(path) {
		advice := "give the absolute path"
		if abs, err := filepath.Abs(path); err == nil {
			advice += ", such as " + abs
		}
		return info, hint.With(fmt.Errorf("library %q: a relative path depends on the current folder", path), advice)
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return info, hint.With(fmt.Errorf("library %q: no such file", path), adviceInstall)
	} else if err != nil {
		return info, fmt.Errorf("library %q: %w", path, err)
	}
	for _, p := range []string{path, real} {
		if err := checkOwned(p); err != nil {
			return info, hint.With(fmt.Errorf("library %q: %w", path, err),
				"anyone on this machine could put another file in its place; remove the write permission of other users")
		}
	}
	read, err := readLibrary(real)
	if err != nil {
		return info, hint.With(fmt.Errorf("library %q: %w", path, err), adviceInstall)
	}
	info.Version, info.Platform = read.Version, read.Platform
	if info.Platform != platform() {
		return info, hint.With(fmt.Errorf("library %q: want a library for %s, got one for %s", path, platform(), info.Platform), adviceInstall)
	}
	if info.Version != "" && older(info.Version, Oldest) {
		return info, TooOld(path, info.Version)
	}
	return info, nil
}

// TooOld is the error for a library that is older than [Oldest]. An empty version means that the version is unknown.
func TooOld(path, version string) error {
	if version == "" {
		version = "an unknown version"
	}
	return hint.With(fmt.Errorf("library %q: this library is too old, need >= 1.24, got %s", path, version), adviceInstall)
}

// checkOwned refuses a path that others may replace: a file that everyone may write, or a folder above it that everyone
// may write and that is not sticky (in a sticky folder such as /tmp only the owner may replace a file).
func checkOwned(path string) error {
	if runtime.GOOS == "windows" { // Windows keeps permissions outside the mode bits
		return nil
	}
	for p := path; ; p = filepath.Dir(p) {
		st, err := os.Stat(p)
		if err != nil {
			return err
		}
		if st.IsDir() && p == path {
			return errors.New("is a folder")
		}
		if st.Mode().Perm()&0o002 != 0 && st.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("%q is writable by everyone (mode %v)", p, st.Mode())
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

// older compares dotted versions by their leading numbers.
func older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

func numbers(v string) (n [3]int) {
	for i, s := range strings.SplitN(v, ".", 3) {
		end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if end >= 0 {
			s = s[:end]
		}
		n[i], _ = strconv.Atoi(s) // text without a number counts as 0
	}
	return n
}
