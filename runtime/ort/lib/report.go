package lib

import (
	"context"
	"os"
	"path/filepath"
	"runtime"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
)

// Report is the state of ONNX Runtime on this machine, for people and as JSON. [Inspect] fills in the facts that files
// show. Package runtime/ort loads the library and fills in the rest: LoadedVersion, LoadProblem, CUDA.Missing.
type Report struct {
	Platform string   `json:"platform"` // GOOS/GOARCH
	Pinned   string   `json:"pinned"`   // the version that Install downloads
	Oldest   string   `json:"oldest"`   // the oldest version that works
	Looked   []Place  `json:"looked"`   // every place, in order
	Chosen   *Found   `json:"chosen"`   // null when there is none
	Problem  string   `json:"problem,omitempty"`
	Hint     string   `json:"hint,omitempty"`
	Clients  []string `json:"clients"` // package clients found, as commands

	LoadedVersion string `json:"loaded_version,omitempty"` // the version that the loaded library reports
	LoadProblem   string `json:"load_problem,omitempty"`   // why it did not load
	CUDA          GPU    `json:"cuda"`
}

// GPU reports whether the chosen library can use CUDA.
type GPU struct {
	Provider string   `json:"provider"`          // the file that must be next to the library
	Present  bool     `json:"present"`           // whether it is there
	Missing  []string `json:"missing,omitempty"` // libraries that it needs and that do not load
}

// Inspect checks every place without loading a library.
func Inspect(ctx context.Context, explicit string, f Flavor) Report {
	r := Report{Platform: platform(), Pinned: pinned().Version, Oldest: Oldest, Looked: []Place{}, Clients: []string{}}
	for _, p := range places(explicit, f) {
		p.check()
		r.Looked = append(r.Looked, p.Place)
	}
	found, err := Find(explicit, f)
	if err != nil {
		r.Problem, r.Hint = err.Error(), hint.Of(err)
	} else {
		r.Chosen = &found
		r.CUDA.Provider = CUDAProvider(found.Path)
		_, err := os.Stat(r.CUDA.Provider)
		r.CUDA.Present = err == nil
	}
	for _, c := range clients {
		if argv := c.find(ctx); argv != nil {
			r.Clients = append(r.Clients, c.name)
		}
	}
	return r
}

// CUDAProvider returns the path at which the core library at path looks for its CUDA provider: in its own real folder.
func CUDAProvider(path string) string { return beside(path, "cuda") }

// SharedProvider returns the path of the small library that every separate provider needs; it is in the same folder.
func SharedProvider(path string) string { return beside(path, "shared") }

func beside(path, provider string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	name := "libonnxruntime_providers_" + provider + ".so"
	switch runtime.GOOS {
	case "windows":
		name = "onnxruntime_providers_" + provider + ".dll"
	case "darwin":
		name = "libonnxruntime_providers_" + provider + ".dylib"
	}
	return filepath.Join(filepath.Dir(path), name)
}
