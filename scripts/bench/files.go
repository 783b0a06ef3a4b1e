package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// onnxVersion is the release of Python's onnx package for P2 and P4.
const onnxVersion = "1.23.2"

//go:embed load_add_save.py
var loadAddSave []byte

// model returns the path of a generated model, created on first use; flags are gen's flags without -o. It reads the bytes of
// the model once, so that every measurement finds them in the page cache.
func (b *bench) model(ctx context.Context, name string, flags ...string) (string, error) {
	path := filepath.Join(b.cache, name)
	if _, err := os.Stat(path); err != nil {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		args := append([]string{"run", "./scripts/bench/gen", "-o", path}, flags...)
		if _, _, err := process(ctx, "go", args...); err != nil {
			return "", err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return path, err
}

// small is GPT-2 small with its weights inline, 0.5 GB. xl is GPT-2 XL's graph with 6.2 GB of sparse external data.
func (b *bench) small(ctx context.Context) (string, error) {
	return b.model(ctx, "small.onnx", "-size", "small")
}

func (b *bench) xl(ctx context.Context) (string, error) {
	return b.model(ctx, "xl.onnx", "-size", "xl", "-external", "-sparse")
}

// python returns a Python with onnx installed, in a separate environment.
func (b *bench) python(ctx context.Context) (string, error) {
	venv := filepath.Join(b.cache, "venv")
	python := filepath.Join(venv, "bin", "python")
	if _, _, err := process(ctx, python, "-c", fmt.Sprintf("import onnx; assert onnx.__version__ == %q", onnxVersion)); err == nil {
		return python, nil
	}
	if _, _, err := process(ctx, "python3", "-m", "venv", venv); err != nil {
		return "", err
	}
	_, _, err := process(ctx, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "onnx=="+onnxVersion)
	return python, err
}

// beside is the path of a rewritten file: in the folder of the weights, as the "ref" form requires.
func beside(model, name string) string { return filepath.Join(filepath.Dir(model), "out-"+name) }

// out is such a path for a model in the cache folder itself.
func (b *bench) out(name string) string { return filepath.Join(b.cache, "out-"+name) }

// rewrite runs the rewrite command: from, to, and its flags.
func (b *bench) rewrite(ctx context.Context, from, to string, flags ...string) (sample, error) {
	s, _, err := process(ctx, b.binary, append([]string{"rewrite", from, "-o", to}, flags...)...)
	return s, err
}
