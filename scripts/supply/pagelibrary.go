package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// pageLibrary is the folder of the plotting library that HTML pages contain, from the root of the repository.
const pageLibrary = "runtime/study/webpage/plot"

// pagePackages lists the packages in the plotting library, as modules with the prefix "npm:", in the order of packages.txt.
func pagePackages(root string) ([]linked, error) {
	dir := filepath.Join(root, filepath.FromSlash(pageLibrary))
	list, err := os.ReadFile(filepath.Join(dir, "packages.txt"))
	if err != nil {
		return nil, err
	}
	var out []linked
	for line := range strings.Lines(string(list)) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return nil, fmt.Errorf("packages.txt: want the name of a package and its version, got %q", line)
		}
		out = append(out, linked{Path: "npm:" + name, Version: version, Dir: filepath.Join(dir, "licences", filepath.FromSlash(name))})
	}
	return out, nil
}
