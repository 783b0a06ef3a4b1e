package eval

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"github.com/onnx-inject/onnx-inject/runtime/results"
)

// identify names a file and its bytes.
func identify(path string) (*results.File, error) {
	sum, err := hash(path)
	if err != nil {
		return nil, err
	}
	return &results.File{Name: filepath.Base(path), SHA256: sum}, nil
}

// hash returns the SHA-256 of files, one behind the other.
func hash(paths ...string) (string, error) {
	h := sha256.New()
	for _, path := range paths {
		f, err := os.Open(path)
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
