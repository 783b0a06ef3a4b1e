//go:build cgo

package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-inject/onnx-inject/graph/base/hint"
	"github.com/onnx-inject/onnx-inject/runtime/ort/lib"
)

const adviceCUDA = "run `onnx-inject ort install --cuda`, name the library of the package onnxruntime-gpu with --ort-lib, or use --device cpu"

// checkCUDA returns an error that names what the loaded library lacks to run on CUDA, nil when it lacks nothing.
func checkCUDA() error {
	path, version := Loaded()
	for _, p := range []string{lib.CUDAProvider(path), lib.SharedProvider(path)} {
		if _, err := os.Stat(p); err != nil {
			return hint.With(fmt.Errorf("CUDA: no %s beside %s (ONNX Runtime %s)", filepath.Base(p), path, version), adviceCUDA)
		}
	}
	provider := lib.CUDAProvider(path)
	if gone := missing(provider); len(gone) > 0 {
		advice := "install the CUDA libraries of that version and put their folder into LD_LIBRARY_PATH, or use --device cpu"
		if len(gone) == 1 && strings.HasPrefix(gone[0], "libcuda.so") {
			advice = "install the NVIDIA driver, or use --device cpu"
		}
		return hint.With(fmt.Errorf("CUDA: %s needs %s, which this machine cannot load", filepath.Base(provider), strings.Join(gone, ", ")), advice)
	}
	return nil
}

// missing lists the libraries that a provider needs and that do not load. Python environments keep the CUDA libraries in
// the folder nvidia next to the package onnxruntime. Libraries found there are loaded, which is all the provider needs.
func missing(provider string) []string {
	needed, err := lib.Needed(provider)
	if err != nil {
		return []string{err.Error()}
	}
	var gone []string
	for _, name := range needed {
		if !loads(name) && !loadsBeside(provider, name) {
			gone = append(gone, name)
		}
	}
	return gone
}

func loadsBeside(provider, name string) bool {
	site := filepath.Join(filepath.Dir(provider), "..", "..", "nvidia")
	found, err := filepath.Glob(filepath.Join(site, "*", "lib", name))
	if err != nil {
		return false // only a malformed pattern fails
	}
	for _, p := range found {
		if loads(p) {
			return true
		}
	}
	return false
}
