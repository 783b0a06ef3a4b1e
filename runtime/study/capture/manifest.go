package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/graph/base/atomicfile"
	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/runtime/study/outdir"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Manifest describes a capture. A capture resumes only when its manifest equals the one in the folder. A manifest holds no time
// and no path, so the same capture writes the same bytes on any machine.
type Manifest struct {
	Format    string        `json:"format"`  // "capture"
	Version   int           `json:"version"` // of the folder: 1
	Tool      string        `json:"tool"`    // name and version of the program
	Model     results.Model `json:"model"`
	Data      results.File  `json:"data"`
	Prompts   int           `json:"prompts"` // of the data, over all shards
	Hooks     []HookFacts   `json:"hooks"`   // in the order of the tensors
	Positions string        `json:"positions"`
	DType     string        `json:"dtype"`      // float32, float16
	FileMiB   int           `json:"file_mib"`   // size of the values of a file
	PromptBOS bool          `json:"prompt_bos"` // prompts begin with the beginning-of-text token
	Rows      int           `json:"rows"`       // of this folder
	Files     int           `json:"files"`
	Shard     results.Shard `json:"shard"`
	Batch     Batch         `json:"batch"`
	Host      results.Host  `json:"host"`
}

// HookFacts describes a tensor.
type HookFacts struct {
	Name  string  `json:"name"`
	Shape []int64 `json:"shape"` // of a row
}

// Batch is how many prompts of equal length run together at most, and the reason when this is one.
type Batch struct {
	Prompts int    `json:"prompts"`
	Reason  string `json:"reason,omitempty"`
}

const (
	manifestFormat  = "capture"
	manifestVersion = 1
	maxManifest     = 16 << 20
)

// ReadManifest reads the manifest of a folder. The error wraps [fs.ErrNotExist] when it has none.
func ReadManifest(dir string) (*Manifest, error) {
	data, err := sidefile.ReadFile(filepath.Join(dir, outdir.ManifestFile), maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.With(fmt.Errorf("no %s in the folder: %w", outdir.ManifestFile, fs.ErrNotExist), "give a folder written by onnx-inject capture")
	}
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", outdir.ManifestFile, err)
	}
	if m.Format != manifestFormat {
		return nil, hint.With(fmt.Errorf("%s has the format %q, want %q: the folder holds no capture", outdir.ManifestFile, m.Format, manifestFormat), "give another folder")
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("%s has version %d, but this program reads version %d", outdir.ManifestFile, m.Version, manifestVersion)
	}
	_, err = outdir.CheckSeal(data)
	return m, err
}

func (m *Manifest) write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, outdir.ManifestFile), outdir.Seal(data), true)
}
