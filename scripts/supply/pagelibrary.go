package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
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

// addPages adds the packages of the plotting library to a bill of materials of the program (CycloneDX, JSON), which lists only Go modules.
// The checksum of a package is the one in package-lock.json.
func addPages(bom []byte, root string, licences map[string]string) ([]byte, error) {
	packages, err := pagePackages(root)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "scripts", "pagelibrary", "package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, fmt.Errorf("package-lock.json: %w", err)
	}
	var (
		document     map[string]any
		components   []any
		dependencies []struct {
			Ref       string   `json:"ref"`
			DependsOn []string `json:"dependsOn,omitempty"`
		}
	)
	lists := struct{ Components, Dependencies any }{&components, &dependencies}
	if err := errors.Join(json.Unmarshal(bom, &document), json.Unmarshal(bom, &lists)); err != nil {
		return nil, fmt.Errorf("bill of materials: %w", err)
	}
	if len(components) == 0 || len(dependencies) == 0 {
		return nil, fmt.Errorf("bill of materials: want components and their dependencies, got %d and %d", len(components), len(dependencies))
	}
	program := &dependencies[0] // the modules follow
	for _, p := range packages {
		name, version := strings.TrimPrefix(p.Path, "npm:"), strings.TrimPrefix(p.Version, "v")
		locked := lock.Packages["node_modules/"+name]
		sum, ok := strings.CutPrefix(locked.Integrity, "sha512-")
		hash, err := base64.StdEncoding.DecodeString(sum)
		if !ok || err != nil || locked.Version != version {
			return nil, fmt.Errorf("%s %s: package-lock.json: want this version with a SHA-512, got %+v", p.Path, p.Version, locked)
		}
		purl := "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + version
		components = append(components, map[string]any{
			"bom-ref": purl, "type": "library", "name": name, "version": version, "scope": "required", "purl": purl,
			"hashes":   []any{map[string]string{"alg": "SHA-512", "content": hex.EncodeToString(hash)}},
			"licenses": []any{map[string]string{"expression": licences[p.Path]}},
		})
		program.DependsOn = append(program.DependsOn, purl)
	}
	document["components"], document["dependencies"] = components, dependencies
	return json.MarshalIndent(document, "", "  ")
}
