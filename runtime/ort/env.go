//go:build cgo

package ort

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
)

// env is the library loaded by this process. A failed load leaves it empty, so that another path can be tried.
var env struct {
	sync.Mutex
	path, version string
}

// built reports that this program can load a library; stub.go holds the other case.
func built() error { return nil }

// Loaded returns the real path and the version of the library that this process has loaded, "" before that.
func Loaded() (path, version string) {
	env.Lock()
	defer env.Unlock()
	return env.path, env.version
}

// Load checks and loads the library at path and returns its version. Loading the same file again does nothing. Loading
// another file is an error, because a process can hold only one library.
func Load(path string) (version string, err error) {
	info, err := lib.Check(path)
	if err != nil {
		return "", fmt.Errorf("load ONNX Runtime: %w", err)
	}
	// The library looks for its providers in the folder that it was loaded from, so pass the real path.
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("load ONNX Runtime: %w", err)
	}
	env.Lock()
	defer env.Unlock()
	if env.path == real {
		return env.version, nil
	}
	if env.path != "" {
		return "", fmt.Errorf("load ONNX Runtime: library %q: %q is already loaded, and a process can hold only one", real, env.path)
	}
	binding.SetSharedLibraryPath(real)
	if err := keepSignals(func() error { return binding.InitializeEnvironment(binding.WithLogLevelFatal()) }); err != nil {
		return "", fmt.Errorf("load ONNX Runtime: %w", loadError(real, info.Version, err))
	}
	// The official Windows builds send usage events by default; on other systems this call does nothing.
	if err := binding.DisableTelemetry(); err != nil {
		binding.DestroyEnvironment()
		return "", fmt.Errorf("load ONNX Runtime: %w", err)
	}
	env.path, env.version = real, binding.GetVersion()
	return env.version, nil
}

// loadError replaces the binding's message. "API base: 2" is its code for a library without the requested API version;
// by then the library is unloaded, and its version string is gone.
func loadError(path, version string, err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Error setting ORT API base: 2"):
		return lib.TooOld(path, version)
	case strings.Contains(text, "Error looking up OrtGetApiBase"), strings.Contains(text, "Error finding OrtGetApiBase"):
		return fmt.Errorf("library %q: is not ONNX Runtime (it has no OrtGetApiBase)", path)
	}
	if _, cause, ok := strings.Cut(text, fmt.Sprintf("Error loading ONNX shared library %q: ", path)); ok {
		text = strings.TrimPrefix(cause, path+": ")
	}
	if strings.Contains(text, "failed to map segment") || strings.Contains(strings.ToLower(text), "cannot allocate memory") {
		return fmt.Errorf("%w: library %q: %s", runtime.ErrMemory, path, text)
	}
	if strings.Contains(text, "GLIBC") {
		return hint.With(fmt.Errorf("library %q: %s", path, text), "this system is older than the library; take an older build, 1.24 or newer")
	}
	return fmt.Errorf("library %q: %s", path, text)
}
