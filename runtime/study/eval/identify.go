package eval

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph"
	"github.com/onnx-inject/onnx-inject/graph/base/sidefile"
	"github.com/onnx-inject/onnx-inject/models"
	"github.com/onnx-inject/onnx-inject/runtime/decoder"
	"github.com/onnx-inject/onnx-inject/runtime/study/results"
)

// Identify describes a model for a manifest. It reads all bytes of its files.
func Identify(m *decoder.Model, l *models.Layout) (results.Model, error) {
	out := results.Model{
		Name: modelName(m.Path, m.Folder.Model), Family: l.Family, Variant: l.Exporter,
		Layers: l.Layers, Heads: l.Heads, DModel: l.DModel, Vocab: l.Vocab,
	}
	var err error
	if out.SHA256, err = hashModel(m.Graph); err != nil {
		return out, err
	}
	out.Tokenizer, err = HashTokenizer(m.Folder.TokenizerDir)
	return out, err
}

// modelName is the name of the given folder or file.
func modelName(given, file string) string {
	if abs, err := filepath.Abs(given); err == nil {
		given = abs
	}
	if given == file || filepath.Ext(given) == ".onnx" {
		return filepath.Base(file)
	}
	return filepath.Base(given)
}

// identify returns the name of a file and the SHA-256 of its bytes.
func identify(path string) (*results.File, error) {
	sum, err := hash(path)
	if err != nil {
		return nil, err
	}
	return &results.File{Name: filepath.Base(path), SHA256: sum}, nil
}

// hash returns the SHA-256 of the concatenated files.
func hash(paths ...string) (string, error) {
	h := sha256.New()
	for _, path := range paths {
		f, err := sidefile.Open(path, math.MaxInt64)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashModel returns the hash of a model file followed by the files of its weights, in the order of their names.
func hashModel(g *graph.Model) (string, error) {
	path := g.Path()
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", err
	}
	var data []string
	for _, f := range g.Files() {
		if f.Real != real {
			data = append(data, f.Real)
		}
	}
	slices.SortFunc(data, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return hash(append([]string{path}, data...)...)
}

// later runs f in the background and returns a function that waits for its result.
func later[T any](f func() (T, error)) func() (T, error) {
	var v T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		v, err = f()
	}()
	return func() (T, error) {
		<-done
		return v, err
	}
}

// hashDir returns the hash of the named files that exist in a folder; "" when there are none.
func hashDir(dir string, names ...string) (string, error) {
	var paths []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil && dir != "" {
			paths = append(paths, path)
		}
	}
	if paths == nil {
		return "", nil
	}
	return hash(paths...)
}
