package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const (
	program = "github.com/onnx-inject/onnx-inject/cmd/onnx-inject"
	ours    = "github.com/onnx-inject/onnx-inject"
)

// platforms are the systems for which the program is built. A module may be linked on one of them only.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// linked is a module with at least one package in the program.
type linked struct {
	Path, Version, Dir string
	Direct             bool // one of our packages imports it
	ByOthers           bool // a package of another module imports it
}

// linkedModules lists the modules of the program on all platforms, sorted by path, without our own.
func linkedModules() ([]linked, error) {
	type pkg struct {
		ImportPath string
		Imports    []string
		Module     *struct{ Path, Version, Dir string }
	}
	found := map[string]*linked{}
	for _, platform := range platforms {
		goos, goarch, _ := strings.Cut(platform, "/")
		cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Module", program)
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=1")
		out, err := cmd.Output()
		if err != nil {
			return nil, failed("go list", err)
		}
		packages := map[string]pkg{}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p pkg
			if err := d.Decode(&p); err == io.EOF {
				break
			} else if err != nil {
				return nil, err
			}
			packages[p.ImportPath] = p
		}
		for _, p := range packages {
			if m := p.Module; m != nil && m.Path != ours && found[m.Path] == nil {
				found[m.Path] = &linked{Path: m.Path, Version: m.Version, Dir: m.Dir}
			}
		}
		for _, p := range packages {
			for _, i := range p.Imports {
				to := packages[i].Module
				if p.Module == nil || to == nil || to.Path == p.Module.Path || to.Path == ours {
					continue
				}
				if p.Module.Path == ours {
					found[to.Path].Direct = true
				} else {
					found[to.Path].ByOthers = true
				}
			}
		}
	}
	var out []linked
	for _, m := range found {
		out = append(out, *m)
	}
	slices.SortFunc(out, func(a, b linked) int { return cmp.Compare(a.Path, b.Path) })
	return out, nil
}

// failed adds what a command wrote to stderr to its error.
func failed(what string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%s: %w: %s", what, err, bytes.TrimSpace(exit.Stderr))
	}
	return fmt.Errorf("%s: %w", what, err)
}
