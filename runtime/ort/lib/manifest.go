package lib

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
)

// Oldest is the oldest ONNX Runtime that works: the binding requires API 24, which 1.24.1 introduced.
const Oldest = "1.24.1"

// Flavor is the set of devices that a build of the library supports.
type Flavor string

const (
	CPU  Flavor = "cpu"
	CUDA Flavor = "cuda" // CPU and NVIDIA GPUs
)

// Manifest pins the builds that [Install] can install.
type Manifest struct {
	Version string  `json:"version"` // of ONNX Runtime
	Builds  []Build `json:"builds"`  // best first
}

// Build is one package that contains the library for one platform.
type Build struct {
	Platform  string `json:"platform"` // GOOS/GOARCH
	Flavor    Flavor `json:"flavor"`
	Client    string `json:"client"`        // the package client that downloads it: pip or npm
	Package   string `json:"package"`       // its name there; the version is the manifest's
	Tag       string `json:"tag,omitempty"` // pip's platform tag
	Megabytes int    `json:"megabytes"`     // size of the download
	Files     []File `json:"files"`         // the files to extract; the library itself comes first
}

// File is one member of a package's archive.
type File struct {
	Member string `json:"member"` // path inside the archive
	SHA256 string `json:"sha256"` // of the member's bytes, in hex
}

//go:embed manifest.json
var manifestJSON []byte

var pinned = sync.OnceValue(func() (m Manifest) {
	if err := json.Unmarshal(manifestJSON, &m); err != nil {
		panic("lib: manifest.json: " + err.Error())
	}
	return m
})

// Pinned returns the manifest that is embedded in this program.
func Pinned() Manifest { return pinned() }

func (m Manifest) builds(platform string, f Flavor) []Build {
	var out []Build
	for _, b := range m.Builds {
		if b.Platform == platform && b.Flavor == f {
			out = append(out, b)
		}
	}
	return out
}

func platform() string { return runtime.GOOS + "/" + runtime.GOARCH }

// name is the file name under which a member is installed.
func (f File) name() string { return path.Base(f.Member) }

// library is the path of the build's library after installation in dir.
func (b Build) library(dir string) string { return filepath.Join(dir, b.Files[0].name()) }

// verify compares the files of the build in dir with their sums. The error for a missing file wraps fs.ErrNotExist.
func (b Build) verify(dir string) error {
	for _, f := range b.Files {
		p := filepath.Join(dir, f.name())
		got, err := sumFile(p)
		if err != nil {
			return err
		}
		if got != f.SHA256 {
			return fmt.Errorf("%q: want sha256 %s, got %s", p, f.SHA256, got)
		}
	}
	return nil
}

func sumFile(p string) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// CacheDir is the folder that [Install] fills and [Find] searches: one for each version, platform and flavor.
func CacheDir(f Flavor) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "onnx-inject", "onnxruntime", pinned().Version, runtime.GOOS+"-"+runtime.GOARCH, string(f)), nil
}
